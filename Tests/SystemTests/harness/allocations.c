// Counts the calls of each thread to the allocator. Preloaded into the program under test; allocations.py builds it,
// names the file for the counts in $ALLOCATION_COUNTS, and reads it while the program runs.
//
// Counting must not allocate: a thread takes a row of the shared file at its first call and keeps it. What glibc's own
// functions call among themselves (a realloc that moves) does not come by here and is not counted twice.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

enum { rows_max = 1024 };

// As allocations.py unpacks it.
struct row {
    uint64_t thread, mallocs, callocs, reallocs, aligned, frees, unused[2];
};

static struct row *rows;
static uint64_t rows_taken;
// For calls before the file is mapped and for threads beyond the last row.
static __thread struct row nowhere __attribute__((tls_model("initial-exec")));
static __thread struct row *mine __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void map_counts(void)
{
    const char *path = getenv("ALLOCATION_COUNTS");
    if (path == NULL)
        return;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    // Emptied first: a program that became this one by exec has counted there too.
    if (file < 0 || ftruncate(file, 0) != 0 || ftruncate(file, rows_max * sizeof(struct row)) != 0)
        _exit(70);
    void *memory = mmap(NULL, rows_max * sizeof(struct row), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED)
        _exit(70);
    close(file);
    rows = memory;
    mine = NULL;
}

static struct row *row(void)
{
    if (mine == NULL && rows != NULL) {
        uint64_t place = __atomic_fetch_add(&rows_taken, 1, __ATOMIC_RELAXED);
        mine = place < rows_max ? &rows[place] : &nowhere;
        __atomic_store_n(&mine->thread, (uint64_t)gettid(), __ATOMIC_RELEASE);
    }
    return mine != NULL ? mine : &nowhere;
}

static void count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
    count(&row()->mallocs);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count(&row()->callocs);
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size)
{
    count(&row()->reallocs);
    return __libc_realloc(memory, size);
}

void free(void *memory)
{
    count(&row()->frees);
    __libc_free(memory);
}

void *memalign(size_t alignment, size_t size)
{
    count(&row()->aligned);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
        return EINVAL;
    void *found = memalign(alignment, size);
    if (found == NULL)
        return ENOMEM;
    *memory = found;
    return 0;
}
