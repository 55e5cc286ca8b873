// The one door to liburing. Constants newer than Debian 12's liburing 2.3 headers and `static inline` forms of
// macros that Swift cannot import; no logic.
//
// Order matters: liburing.h defines _XOPEN_SOURCE before libc, so <sys/select.h> must come first or fd_set differs
// from Swift's Glibc module; and liburing ships its own copy of the kernel header under the same include guard, so
// the system's must come before it or it collides with swift-system's.
#pragma once
#include <sys/select.h>
#include <linux/io_uring.h>
#include <liburing.h>

// Classic BPF for sockets and eventfd, which Swift's Glibc module leaves out.
#include <linux/filter.h>
#include <sys/eventfd.h>
#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/ioctl.h>

// Flags that the headers spell as casts or leave out; Swift imports typed constants only.
static const unsigned char SHUTTLE_SQE_BUFFER_SELECT = 1U << IOSQE_BUFFER_SELECT_BIT;
static const unsigned char SHUTTLE_SQE_CQE_SKIP_SUCCESS = 1U << IOSQE_CQE_SKIP_SUCCESS_BIT;
static const unsigned int SHUTTLE_REGISTER_RESTRICTIONS = 11;
static const unsigned int SHUTTLE_REGISTER_ENABLE_RINGS = 12;
static const unsigned int SHUTTLE_REGISTER_RING_FDS = IORING_REGISTER_RING_FDS;
static const unsigned int SHUTTLE_UNREGISTER_RING_FDS = IORING_UNREGISTER_RING_FDS;
static const unsigned short SHUTTLE_RESTRICTION_REGISTER_OP = IORING_RESTRICTION_REGISTER_OP;
static const unsigned short SHUTTLE_RESTRICTION_SQE_OP = IORING_RESTRICTION_SQE_OP;
static const unsigned short SHUTTLE_RESTRICTION_SQE_FLAGS_ALLOWED = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
// Linux 6.13: a message to a ring from a thread that has no ring.
static const unsigned int SHUTTLE_REGISTER_SEND_MSG_RING = 31;

// The total number of bytes after which a multishot receive ends (Linux 6.17) shares its place with the file index.
static inline void shuttle_sqe_set_receive_limit(struct io_uring_sqe *sqe, unsigned int bytes)
{
    sqe->file_index = bytes;
}

static inline void shuttle_sqe_set_buffer_group(struct io_uring_sqe *sqe, unsigned short group)
{
    sqe->buf_group = group;
}

// Linux 6.10: one receive fills several buffers of a group, in the order in which they were provided.
static const unsigned short SHUTTLE_RECEIVE_BUNDLE = 1U << 4;
static const unsigned int SHUTTLE_FEATURE_BUNDLE = 1U << 14;
// Linux 6.12: a wait for several completions that contents itself with one after a while.
static const unsigned int SHUTTLE_FEATURE_MINIMUM_WAIT = 1U << 15;

// Submits everything and waits for `completions`; after `minimum_wait` microseconds (where the kernel knows it, else 0)
// one is enough. liburing 2.3 has no form with a minimum wait: this does with its
// queue what its own submission does.
static inline int shuttle_submit_and_wait(struct io_uring *ring, unsigned completions, unsigned minimum_wait)
{
    struct io_uring_sq *sq = &ring->sq;
    unsigned tail = *sq->ktail, mask = *sq->kring_mask;
    for (; sq->sqe_head != sq->sqe_tail; sq->sqe_head++, tail++)
        sq->array[tail & mask] = sq->sqe_head & mask;
    io_uring_smp_store_release(sq->ktail, tail);
    unsigned submissions = tail - io_uring_smp_load_acquire(sq->khead);
    struct io_uring_getevents_arg argument = {
        .sigmask_sz = _NSIG / 8,
        .pad = minimum_wait,
    };
    unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    if (ring->enter_ring_fd != ring->ring_fd)
        flags |= IORING_ENTER_REGISTERED_RING;
    return io_uring_enter2(ring->enter_ring_fd, submissions, completions, flags, (sigset_t *)&argument, sizeof(argument));
}

// glibc gives connect's address a transparent union under _GNU_SOURCE, which Swift cannot pass.
static inline void shuttle_prep_connect(struct io_uring_sqe *sqe, int fd, const struct sockaddr *address, unsigned length)
{
    io_uring_prep_connect(sqe, fd, address, length);
}

static inline int shuttle_connect(int fd, const struct sockaddr *address, unsigned length)
{
    return connect(fd, address, length);
}

// Behind _GNU_SOURCE in libc's header; the descriptor is blocking and closed on exec.
extern int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
static inline int shuttle_accept(int listener)
{
    return accept4(listener, 0, 0, SOCK_CLOEXEC);
}

// Swift calls the function of glibc through a pointer.
static inline int shuttle_peer_address(int socket, void *address, unsigned *length) {
    return getpeername(socket, (struct sockaddr *)address, length);
}

// The process that a unix socket was connected by, or that listens there, as it was then, SO_PEERCRED of unix(7); 0 when
// it cannot be told. The structure is behind _GNU_SOURCE.
static inline int shuttle_peer_process(int socket)
{
    struct { int process; unsigned user; unsigned group; } credentials = {0};
    unsigned length = sizeof(credentials);
    return getsockopt(socket, SOL_SOCKET, 17 /* SO_PEERCRED */, &credentials, &length) == 0 ? credentials.process : 0;
}

// splice(2), pipe2(2) and the pipe's capacity, fcntl(2), are behind _GNU_SOURCE or variadic.
extern int pipe2(int ends[2], int flags);
extern ssize_t splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t count, unsigned flags);
static inline int shuttle_pipe(int *ends)
{
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK);
}
static inline int shuttle_set_pipe_capacity(int pipe, int bytes)
{
    return fcntl(pipe, 1031 /* F_SETPIPE_SZ */, bytes);
}
static inline int shuttle_pipe_capacity(int pipe)
{
    return fcntl(pipe, 1032 /* F_GETPIPE_SZ */);
}
static inline ssize_t shuttle_splice_in(int socket, int pipe, size_t count)
{
    return splice(socket, 0, pipe, 0, count, 1 | 2 /* SPLICE_F_MOVE | SPLICE_F_NONBLOCK */);
}
static inline ssize_t shuttle_splice_out(int pipe, int socket, size_t count)
{
    return splice(pipe, 0, socket, 0, count, 1 | 2);
}
static inline void shuttle_set_blocking(int socket, bool blocking)
{
    fcntl(socket, F_SETFL, blocking ? O_RDWR : O_RDWR | O_NONBLOCK);
}
static inline int shuttle_readable_bytes(int socket)
{
    int bytes = 0;
    return ioctl(socket, FIONREAD, &bytes) == 0 ? bytes : 0;
}

// CPUs of this thread's affinity mask; 0 when they cannot be told. The set's macros are not for Swift.
extern int sched_getaffinity(int pid, __SIZE_TYPE__ size, void *set);
static inline int shuttle_affinity_count(void)
{
    unsigned long set[128] = {0}; // 8192 CPUs, the kernel's configurable maximum
    int count = 0;
    if (sched_getaffinity(0, sizeof(set), set) != 0)
        return 0;
    for (unsigned i = 0; i < sizeof(set) / sizeof(set[0]); i++)
        count += __builtin_popcountl(set[i]);
    return count;
}

// Names the calling thread, as debuggers and /proc show it; at most 15 bytes. prctl's variadic form is not for Swift.
#include <sys/prctl.h>
static inline void shuttle_name_thread(const char *name)
{
    prctl(PR_SET_NAME, name, 0, 0, 0);
}
