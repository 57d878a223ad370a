/* Capabilities: names, bounding set, the four others. */
#include <linux/capability.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <fcntl.h>

#include "caps.h"
#include "fail.h"
#include "io.h"
#include "util.h"

static const char *const names[] = {
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_LINUX_IMMUTABLE",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_BROADCAST",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_IPC_LOCK",
        "CAP_IPC_OWNER",
        "CAP_SYS_MODULE",
        "CAP_SYS_RAWIO",
        "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_PACCT",
        "CAP_SYS_ADMIN",
        "CAP_SYS_BOOT",
        "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE",
        "CAP_SYS_TIME",
        "CAP_SYS_TTY_CONFIG",
        "CAP_MKNOD",
        "CAP_LEASE",
        "CAP_AUDIT_WRITE",
        "CAP_AUDIT_CONTROL",
        "CAP_SETFCAP",
        "CAP_MAC_OVERRIDE",
        "CAP_MAC_ADMIN",
        "CAP_SYSLOG",
        "CAP_WAKE_ALARM",
        "CAP_BLOCK_SUSPEND",
        "CAP_AUDIT_READ",
        "CAP_PERFMON",
        "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
};

int cap_from_name(const char *name)
{
        int skip = strncasecmp(name, "CAP_", 4) == 0 ? 0 : 4;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcasecmp(names[i] + skip, name) == 0)
                        return (int) i;
        return -EINVAL;
}

const char *cap_name(int cap)
{
        return cap >= 0 && (size_t) cap < ELEMENTSOF(names) ? names[cap] : NULL;
}

int caps_last(void)
{
        _cleanup_free_ char *text = NULL;
        int last;

        if (read_file_at(AT_FDCWD, "/proc/sys/kernel/cap_last_cap", 64, &text) > 0) {
                last = atoi(text);
                if (last > 0 && last < 64)
                        return last;
        }
        for (last = 0; last < 63 && prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0; last++)
                ;
        return last;
}

int caps_bound(uint64_t keep, int last, spawn_error *e)
{
        for (int cap = 0; cap <= last; cap++) {
                if (keep & (UINT64_C(1) << cap))
                        continue;
                if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
                        return fail_errno(e, "capabilities", "drop `%s` from the bounding set",
                                          cap_name(cap) != NULL ? cap_name(cap) : "a capability");
        }
        return 0;
}

static int get(struct __user_cap_data_struct data[2])
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

        return syscall(SYS_capget, &header, data) < 0 ? -errno : 0;
}

static int set(const struct __user_cap_data_struct data[2])
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

bool caps_any(void)
{
        struct __user_cap_data_struct data[2];

        return get(data) < 0 || (data[0].permitted | data[1].permitted) != 0;
}

int caps_raise_all(spawn_error *e)
{
        struct __user_cap_data_struct data[2];
        int r = get(data);

        for (int i = 0; r == 0 && i < 2; i++)
                data[i].effective = data[i].permitted;
        if (r == 0)
                r = set(data);
        return r < 0 ? fail_code(e, -r, "capabilities", "raise capabilities") : 0;
}

int caps_apply(uint64_t effective, uint64_t permitted, uint64_t inheritable, uint64_t ambient, spawn_error *e)
{
        struct __user_cap_data_struct had[2], data[2];
        uint64_t may;
        int r = get(had);

        if (r < 0)
                return fail_code(e, -r, "capabilities", "read capabilities");
        may = (uint64_t) had[1].permitted << 32 | had[0].permitted;
        /* What the kernel or the parent user namespace does not give cannot be asked for: as other runtimes do,
         * the rest is granted. A container that needs a missing one fails when it uses it. */
        permitted &= may;
        effective &= permitted;
        inheritable &= may;
        for (int i = 0; i < 2; i++) {
                data[i].effective = (uint32_t) (effective >> (32 * i));
                data[i].permitted = (uint32_t) (permitted >> (32 * i));
                data[i].inheritable = (uint32_t) (inheritable >> (32 * i));
        }
        r = set(data);
        if (r < 0)
                return fail_code(e, -r, "capabilities", "set capabilities");
        /* EINVAL: a kernel before 4.3 without ambient capabilities; then nothing can be left over either. */
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
                return fail_errno(e, "capabilities", "clear ambient capabilities");
        for (int cap = 0; cap < 64; cap++) {
                if (!(ambient & permitted & inheritable & (UINT64_C(1) << cap)))
                        continue;
                if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
                        return fail_errno(e, "capabilities", "raise ambient `%s`", cap_name(cap));
        }
        return 0;
}
