// The one door to what a thread may do: calls that libc has no function for, or one that Swift cannot import. No logic.
// Each returns 0 or a value, or a negated errno.
#pragma once
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>

extern long syscall(long number, ...);
extern int getresuid(uid_t *, uid_t *, uid_t *);
extern int getresgid(gid_t *, gid_t *, gid_t *);
extern int setresuid(uid_t, uid_t, uid_t);
extern int setresgid(gid_t, gid_t, gid_t);
extern int setgroups(size_t, const gid_t *);

struct shuttle_capabilities {
    uint64_t permitted, effective, inheritable;
};

// Of the calling thread, capget(2).
static inline int shuttle_capabilities_get(struct shuttle_capabilities *out)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    if (syscall(SYS_capget, &header, data) != 0)
        return -errno;
    out->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    out->effective = data[0].effective | (uint64_t)data[1].effective << 32;
    out->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
    return 0;
}

static inline int shuttle_capabilities_set(struct shuttle_capabilities wanted)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)wanted.effective, (uint32_t)wanted.permitted, (uint32_t)wanted.inheritable},
        {(uint32_t)(wanted.effective >> 32), (uint32_t)(wanted.permitted >> 32), (uint32_t)(wanted.inheritable >> 32)},
    };
    return syscall(SYS_capset, &header, data) == 0 ? 0 : -errno;
}

// prctl(2) with one argument; the others must be 0.
static inline int shuttle_prctl(int operation, unsigned long argument)
{
    int value = prctl(operation, argument, 0UL, 0UL, 0UL);
    return value < 0 ? -errno : value;
}

// PR_CAP_AMBIENT with one of its operations.
static inline int shuttle_ambient(int operation, unsigned long capability)
{
    int value = prctl(PR_CAP_AMBIENT, (unsigned long)operation, capability, 0UL, 0UL);
    return value < 0 ? -errno : value;
}

static inline int shuttle_user_ids(uid_t ids[3])
{
    return getresuid(&ids[0], &ids[1], &ids[2]) == 0 ? 0 : -errno;
}

static inline int shuttle_group_ids(gid_t ids[3])
{
    return getresgid(&ids[0], &ids[1], &ids[2]) == 0 ? 0 : -errno;
}

static inline int shuttle_set_user(uid_t real, uid_t effective, uid_t saved)
{
    return setresuid(real, effective, saved) == 0 ? 0 : -errno;
}

static inline int shuttle_set_group(gid_t real, gid_t effective, gid_t saved)
{
    return setresgid(real, effective, saved) == 0 ? 0 : -errno;
}

static inline int shuttle_set_groups(size_t count, const gid_t *groups)
{
    return setgroups(count, groups) == 0 ? 0 : -errno;
}
