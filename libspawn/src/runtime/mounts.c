/* Operations that mount new file systems. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "copyup.h"
#include "fail.h"
#include "io.h"
#include "lsm.h"
#include "plan.h"
#include "rootfs.h"
#include "util.h"

/* What to show instead when the kernel refuses a new instance because a namespace is not ours. */
static const struct {
        const char *type, *source;
        int unless_ns; /* no replacement if the container has this namespace: it would show the host's */
} fallbacks[] = {
        {"sysfs", "/sys", 0},
        {"cgroup2", "/sys/fs/cgroup", 0},
        {"mqueue", "/dev/mqueue", CLONE_NEWIPC},
        {"proc", "/proc", CLONE_NEWPID},
};

/* The place of the mount; *ret_made: it was missing. proc and sysfs are trusted by what runs later: their place must
 * not be a link that the image chose. */
static int open_target(const struct op *op, struct builder *b, const char *type, bool *ret_made, spawn_error *e)
{
        bool strict = strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0;
        int fd = strict ? root_open_nolink(b->root_fd, op->target, O_PATH) : root_open(b->root_fd, op->target, O_PATH);

        *ret_made = fd == -ENOENT;
        if (fd == -ENOENT)
                fd = root_create(b->root_fd, op->target, true);
        if (fd == -ELOOP)
                return spawn_err(e, ELOOP, "mounts", "mount `%s` to `%s`: the target must not be a symbolic link", type,
                                 op->target);
        return fd < 0 ? fail_code(e, fd, "mounts", "create mount target `%s`", op->target) : fd;
}

static int mount_fallback(const struct op *op, struct builder *b, const char *type, int target)
{
        for (size_t i = 0; i < ELEMENTSOF(fallbacks); i++) {
                const char *source = fallbacks[i].source;

                if (strcmp(fallbacks[i].type, type) != 0)
                        continue;
                if (fallbacks[i].unless_ns != 0 && config_namespace(b->config, fallbacks[i].unless_ns) != NULL)
                        return -EPERM;
                /* Without a cgroup namespace the paths in /proc/PID/cgroup are the host's, and so must the tree be. */
                if (strcmp(type, "cgroup2") == 0 && b->cgroup != NULL &&
                    config_namespace(b->config, CLONE_NEWCGROUP) != NULL)
                        source = b->cgroup;
                _cleanup_close_ int tree = tree_clone(AT_FDCWD, source, true);
                if (tree < 0)
                        return tree;
                /* Flags of the whole tree: "ro" on /sys alone would leave what is mounted below it writable. */
                int r = tree_setattr(tree, true, op->mount->options.attr_set & ~(uint64_t) MOUNT_ATTR__ATIME, 0,
                                     MS_PRIVATE);
                return r < 0 ? r : tree_attach(tree, target);
        }
        return -EPERM;
}

/* devpts: without "gid=N", for when that group has no id in this user namespace. */
static void drop_gid(const char *data, char *buf, size_t size)
{
        const char *gid = strstr(data, "gid=");
        const char *end;

        while (gid != NULL && gid != data && gid[-1] != ',')
                gid = strstr(gid + 1, "gid=");
        if (gid == NULL) {
                (void) snprintf(buf, size, "%s", data);
                return;
        }
        end = gid + strcspn(gid, ",");
        if (*end == ',')
                end++;
        (void) snprintf(buf, size, "%.*s%s", (int) (gid - data), data, end);
}

static int mount_type(const char *source, int target, const char *type, unsigned long flags, const char *data)
{
        struct fd_path path = fd_path(target);
        char other[1024];

        if (mount(source, path.s, type, flags, data) == 0)
                return 0;
        if (errno == EINVAL && data != NULL && strcmp(type, "devpts") == 0 && strlen(data) < sizeof(other)) {
                drop_gid(data, other, sizeof(other));
                if (mount(source, path.s, type, flags, other) == 0)
                        return 0;
        }
        return -errno;
}

/* "size=64k,mode=755" one by one; a value in quotes may hold commas (context="..."). Changes data. */
static int configure_data(int fs, char *data)
{
        while (data != NULL && *data != '\0') {
                char *key = data, *value = strpbrk(data, "=,"), *end;

                if (value == NULL || *value == ',') {
                        end = value != NULL ? value : key + strlen(key);
                        value = NULL;
                } else {
                        *value++ = '\0';
                        if (*value == '"' && strchr(value + 1, '"') != NULL) {
                                end = strchr(++value, '"');
                                *end++ = '\0';
                        } else {
                                end = value + strcspn(value, ",");
                        }
                }
                data = *end == ',' ? end + 1 : NULL;
                *end = '\0';
                if (fsconfig(fs, value != NULL ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0) < 0)
                        return -errno;
        }
        return 0;
}

/* The same as a mount by descriptor: what is done to it before it is attached needs no path, and nobody sees it
 * half-done. mount(2) is for the mounts that need nothing more: one system call, and any file system's option strings
 * (fsconfig(2) takes 255 bytes). */
static int detached_mount(const char *source, const char *type, const struct mount_options *o, const char *data)
{
        static const struct {
                unsigned long flag;
                const char *name;
        } flags[] = {
                {MS_SYNCHRONOUS, "sync"}, {MS_DIRSYNC, "dirsync"}, {MS_LAZYTIME, "lazytime"}, {MS_MANDLOCK, "mand"}};
        uint64_t attr = o->attr_set;
        char copy[4096 + 256];
        int r;

        _cleanup_close_ int fs = fsopen(type, FSOPEN_CLOEXEC);
        if (fs < 0)
                return -errno;
        (void) snprintf(copy, sizeof(copy), "%s", data != NULL ? data : "");
        if (fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if ((o->ms_flags & flags[i].flag) && fsconfig(fs, FSCONFIG_SET_FLAG, flags[i].name, NULL, 0) < 0)
                        return -errno;
        r = configure_data(fs, copy);
        if (r < 0)
                return r;
        if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        r = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned int) (attr & ~(uint64_t) MOUNT_ATTR_RDONLY));
        return r < 0 ? -errno : r;
}

/* A tmpfs that must be filled before it is locked is found again by its descriptor. */
static int keep_for_lock(struct builder *b, const struct oci_mount *m, int fd)
{
        if (b->late_fds == NULL)
                b->late_fds = calloc(b->config->n_mounts, sizeof(*b->late_fds));
        if (b->late_fds == NULL)
                return -ENOMEM;
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return -errno;
        b->late_fds[m - b->config->mounts] = fd;
        return 0;
}

static int attach_filesystem(const struct op *op, struct builder *b, int fd, int under, spawn_error *e)
{
        const struct mount_options *o = &op->mount->options;
        bool late = plan_locks_late(op->mount);
        int r = 0;

        if (o->tmpcopyup && (r = copy_up(under, fd)) < 0)
                return fail_code(e, r, "mounts", "copy the contents of `%s` into the new tmpfs", op->target);
        if (!late)
                r = tree_setattr(fd, false, o->attr_set & MOUNT_ATTR_RDONLY, 0, 0);
        if (r == 0)
                r = tree_setattr(fd, true, o->rec_set, o->rec_clr, 0);
        if (r == 0)
                r = tree_idmap(fd, op->idmap_fd, o->idmap_recursive);
        if (r == 0)
                r = tree_setattr(fd, (o->propagation & MS_REC) != 0, 0, 0, o->propagation & ~(unsigned long) MS_REC);
        if (r == 0)
                r = tree_attach(fd, under);
        if (r == 0 && late)
                r = keep_for_lock(b, op->mount, fd);
        if (r < 0)
                return fail_code(e, r, "mounts", "set the options of mount `%s`", op->target);
        return path_is_root(op->target) ? builder_set_root(b, fd, e) : 0;
}

static bool has_mode(const char *data)
{
        const char *p = data;

        while (p != NULL && strncmp(p, "mode=", 5) != 0) {
                p = strchr(p, ',');
                p += p != NULL;
        }
        return p != NULL;
}

/* A tmpfs looks like the directory that it covers. */
static const char *mode_data(int under, const char *data, char *buf, size_t size)
{
        struct stat st;

        if (has_mode(data) || fstat(under, &st) < 0)
                return data;
        (void) snprintf(buf, size, "%s%smode=%o", data != NULL ? data : "", data != NULL ? "," : "",
                        (unsigned int) st.st_mode & 07777);
        return buf;
}

static bool needs_descriptor(const struct op *op, const struct builder *b)
{
        const struct mount_options *o = &op->mount->options;

        return o->tmpcopyup || o->propagation != 0 || o->rec_set != 0 || o->rec_clr != 0 || op->idmap_fd >= 0 ||
               plan_locks_late(op->mount) || path_is_root(op->target) || b->no_proc;
}

/* Options of cgroup v1, hierarchies above all, mean nothing to cgroup2, which "cgroup" stands for; all others are the
 * kernel's to judge (cgroups(7)). */
static const char *without_v1(const char *data, char *buf, size_t size)
{
        static const char *const v1[] = {"all",     "none",       "noprefix", "clone_children", "cpuset_v2_mode",
                                         "xattr",   "cpu",        "cpuacct",  "cpuset",         "memory",
                                         "devices", "freezer",    "net_cls",  "net_prio",       "blkio",
                                         "hugetlb", "perf_event", "pids",     "rdma",           "misc"};
        size_t n = 0;

        buf[0] = '\0';
        while (data != NULL && *data != '\0') {
                size_t len = strcspn(data, ",");
                bool known = strncmp(data, "name=", 5) == 0 || strncmp(data, "release_agent=", 14) == 0;

                for (size_t i = 0; i < ELEMENTSOF(v1); i++)
                        known = known || (strlen(v1[i]) == len && strncmp(v1[i], data, len) == 0);
                if (!known && n + len + 2 < size)
                        n += (size_t) snprintf(buf + n, size - n, "%s%.*s", n > 0 ? "," : "", (int) len, data);
                data += len + (data[len] == ',');
        }
        return n > 0 ? buf : NULL;
}

int op_filesystem(const struct op *op, struct builder *b, spawn_error *e)
{
        const struct oci_mount *m = op->mount;
        const char *type = strcmp(m->type, "cgroup") == 0 ? "cgroup2" : m->type;
        const char *source = m->source != NULL ? m->source : type, *data = m->options.data;
        bool tmpfs = strcmp(type, "tmpfs") == 0, made;
        char labelled[4096], with_mode[4096 + 32], kept[4096];
        int r;

        if (strcmp(m->type, "cgroup") == 0)
                data = without_v1(data, kept, sizeof(kept));
        if (tmpfs || strcmp(type, "devpts") == 0)
                data = lsm_mount_data(config_annotation(b->config, "run.oci.mount_context_type"),
                                      b->config->mount_label, data, labelled, sizeof(labelled));
        _cleanup_close_ int target = open_target(op, b, type, &made, e);
        if (target < 0)
                return target;
        if (tmpfs && !made)
                data = mode_data(target, data, with_mode, sizeof(with_mode));
        if (needs_descriptor(op, b)) {
                _cleanup_close_ int fd = detached_mount(source, type, &m->options, data);

                if (fd >= 0)
                        return attach_filesystem(op, b, fd, target, e);
                r = fd;
        } else {
                r = mount_type(source, target, type, m->options.ms_flags, data);
        }
        if (r == -EPERM || r == -EBUSY || r == -EACCES) {
                int again = mount_fallback(op, b, type, target);

                r = again == -EPERM ? r : again;
        }
        return r < 0 ? fail_code(e, r, "mounts", "mount `%s` to `%s`", source, op->target) : 0;
}

/* mount(8), "remount": the flags of what is there; with bind those of the mount alone, else of its file system too. */
int op_remount(const struct op *op, struct builder *b, spawn_error *e)
{
        const struct oci_mount *m = op->mount;
        const struct mount_options *o = &m->options;
        struct fd_path path;
        int r;

        _cleanup_close_ int target = root_open(b->root_fd, op->target, O_PATH);
        if (target < 0)
                return fail_code(e, target, "mounts", "remount `%s`", op->target);
        if (o->bind) {
                r = tree_setattr(target, o->recursive, o->attr_set, o->attr_clr, 0);
        } else {
                path = fd_path(target);
                r = mount(m->source, path.s, m->type, o->ms_flags | MS_REMOUNT, o->data) < 0 ? -errno : 0;
        }
        if (r == 0)
                r = tree_setattr(target, true, o->rec_set, o->rec_clr, 0);
        if (r == 0)
                r = tree_setattr(target, (o->propagation & MS_REC) != 0, 0, 0,
                                 o->propagation & ~(unsigned long) MS_REC);
        return r < 0 ? fail_code(e, r, "mounts", "remount `%s`", op->target) : 0;
}
