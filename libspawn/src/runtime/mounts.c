/* Operations that mount: file systems, binds, masked and read-only paths.
 *
 * Binds use the mount API by file descriptors (open_tree, mount_setattr, move_mount; Linux 5.12): flags are added
 * to a copy before anyone can see it, and flags that a user namespace has locked are never touched by accident.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

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

static int attach_with_options(int tree, int target, const struct mount_options *o, bool recursive)
{
        int r = tree_setattr(tree, false, o->attr_set, o->attr_clr, 0);

        /* Clearing a flag that the user namespace has locked is refused (mount_namespaces(7)); what was to be set
         * must be. */
        if (r == -EPERM && o->attr_clr != 0)
                r = tree_setattr(tree, false, o->attr_set & ~(uint64_t) MOUNT_ATTR__ATIME, 0, 0);
        if (r < 0)
                return r;
        r = tree_setattr(tree, true, o->rec_set, o->rec_clr, 0);
        if (r == 0 && o->propagation != 0)
                r = tree_setattr(tree, recursive && (o->propagation & MS_REC), 0, 0,
                                 o->propagation & ~(unsigned long) MS_REC);
        return r < 0 ? r : tree_attach(tree, target);
}

/* proc and sysfs are trusted by what runs later: their place must not be a link that the image chose. */
static int open_target(const struct op *op, struct builder *b, const char *type, spawn_error *e)
{
        bool strict = strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0;
        int fd = strict ? root_open_nolink(b->root_fd, op->target, O_PATH) : -ENOENT;

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

/* What must happen after mounting: copy the image's files up, then flags and propagation. */
static int finish(const struct op *op, struct builder *b, int under, spawn_error *e)
{
        const struct mount_options *o = &op->mount->options;
        int r = 0;

        if (!o->tmpcopyup && o->propagation == 0 && o->rec_set == 0 && o->rec_clr == 0)
                return 0;
        _cleanup_close_ int fd = root_open(b->root_fd, op->target, O_PATH | O_DIRECTORY);
        if (fd < 0)
                return fail_code(e, fd, "mounts", "open `%s`", op->target);
        if (o->tmpcopyup) {
                r = copy_up(under, fd);
                if (r < 0)
                        return fail_code(e, r, "mounts", "copy the contents of `%s` into the new tmpfs", op->target);
                r = tree_setattr(fd, false, o->attr_set & MOUNT_ATTR_RDONLY, 0, 0);
        }
        if (r == 0)
                r = tree_setattr(fd, true, o->rec_set, o->rec_clr, 0);
        if (r == 0)
                r = tree_setattr(fd, (o->propagation & MS_REC) != 0, 0, 0, o->propagation & ~(unsigned long) MS_REC);
        return r < 0 ? fail_code(e, r, "mounts", "set the options of mount `%s`", op->target) : 0;
}

int op_filesystem(const struct op *op, struct builder *b, spawn_error *e)
{
        const struct oci_mount *m = op->mount;
        const char *type = strcmp(m->type, "cgroup") == 0 ? "cgroup2" : m->type;
        unsigned long flags = m->options.ms_flags;
        char labelled[4096];
        const char *data = m->options.data;
        int r;

        if (strcmp(type, "cgroup2") == 0 && strcmp(m->type, "cgroup") == 0)
                data = NULL; /* options of cgroup v1 (name=systemd) mean nothing to cgroup2 */
        if (strcmp(type, "tmpfs") == 0 || strcmp(type, "devpts") == 0)
                data = lsm_mount_data(b->config->mount_label, data, labelled, sizeof(labelled));
        if (m->options.tmpcopyup || plan_locks_late(m))
                flags &= ~(unsigned long) MS_RDONLY;
        _cleanup_close_ int target = open_target(op, b, type, e);
        if (target < 0)
                return target;
        r = mount_type(m->source != NULL ? m->source : type, target, type, flags, data);
        if (r == -EPERM || r == -EBUSY || r == -EACCES) {
                int again = mount_fallback(op, b, type, target);

                r = again == -EPERM ? r : again;
                if (r == 0)
                        return 0;
        }
        if (r < 0)
                return fail_code(e, r, "mounts", "mount `%s` to `%s`", m->source != NULL ? m->source : type,
                                 op->target);
        return finish(op, b, target, e);
}

static int clone_source(const struct op *op, spawn_error *e)
{
        const struct oci_mount *m = op->mount;
        int tree = tree_clone(AT_FDCWD, m->source, m->options.recursive);

        /* mount_namespaces(7): in a user namespace what is mounted below a directory must not be uncovered, so
         * only the whole tree can be had. */
        if (tree == -EINVAL && !m->options.recursive)
                tree = tree_clone(AT_FDCWD, m->source, true);
        if (tree == -ENOSYS)
                return spawn_err(e, ENOSYS, "mounts", "bind `%s`: this kernel is too old, Linux 5.12 is needed",
                                 m->source);
        return tree < 0 ? fail_code(e, tree, "mounts", "mount `%s` to `%s`", m->source, m->destination) : tree;
}

int op_bind_preopen(struct op *op, spawn_error *e)
{
        int tree = clone_source(op, e);

        if (tree < 0)
                return tree;
        op->tree_fd = tree;
        return 0;
}

static int apply_idmap(int tree, const struct op *op)
{
        struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t) op->idmap_fd};

        if (op->idmap_fd < 0)
                return 0;
        return mount_setattr(tree, "", AT_EMPTY_PATH | (op->mount->options.idmap_recursive ? AT_RECURSIVE : 0U), &attr,
                             sizeof(attr)) < 0
                       ? -errno
                       : 0;
}

int op_bind(const struct op *op, struct builder *b, spawn_error *e)
{
        const struct oci_mount *m = op->mount;
        struct stat st;
        int r;

        _cleanup_close_ int tree = op->tree_fd >= 0 ? fcntl(op->tree_fd, F_DUPFD_CLOEXEC, 3) : clone_source(op, e);
        if (tree < 0)
                return tree;
        if (fstat(tree, &st) < 0)
                return fail_errno(e, "mounts", "stat `%s`", m->source);
        _cleanup_close_ int target = root_create(b->root_fd, op->target, S_ISDIR(st.st_mode));
        if (target < 0)
                return fail_code(e, target, "mounts", "create mount target `%s`", op->target);
        r = apply_idmap(tree, op);
        if (r < 0)
                return fail_code(e, r, "mounts", "map the ids of `%s` for `%s`", m->source, op->target);
        r = attach_with_options(tree, target, &m->options, m->options.recursive);
        return r < 0 ? fail_code(e, r, "mounts", "mount `%s` to `%s`", m->source, op->target) : 0;
}

/* An empty directory that nothing can be put in, made once and copied. The copy is taken from the first place it
 * was attached to: a detached mount can only be cloned since Linux 6.15. */
static int empty_directory(struct builder *b)
{
        static const uint64_t locked = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

        if (b->empty_fd >= 0)
                return tree_clone(b->empty_fd, "", false);
        _cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
        if (fs < 0)
                return -errno;
        (void) fsconfig(fs, FSCONFIG_SET_STRING, "source", "tmpfs", 0);
        (void) fsconfig(fs, FSCONFIG_SET_STRING, "mode", "755", 0);
        if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        b->empty_fd = fsmount(fs, FSMOUNT_CLOEXEC, locked);
        return b->empty_fd < 0 ? -errno : fcntl(b->empty_fd, F_DUPFD_CLOEXEC, 3);
}

/* A mask made of anything but the real /dev/null could be read or written. */
static int null_device(struct builder *b)
{
        if (b->null_fd < 0) {
                struct stat st;
                _cleanup_close_ int fd = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);

                if (fd < 0 || fstat(fd, &st) < 0)
                        return -errno;
                if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
                        return -ENXIO;
                b->null_fd = steal_fd(&fd);
        }
        return tree_clone(b->null_fd, "", false);
}

int op_mask(const struct op *op, struct builder *b, spawn_error *e)
{
        struct stat st;
        int r;

        _cleanup_close_ int target = root_open(b->root_fd, op->target, O_PATH);
        /* ENOTDIR, EACCES: nothing that a process in the container could reach by this name either. */
        if (target == -ENOENT || target == -ENOTDIR || target == -EACCES)
                return 0;
        if (target < 0 || fstat(target, &st) < 0)
                return fail_code(e, target < 0 ? target : errno, "mounts", "mask `%s`", op->target);
        _cleanup_close_ int tree = S_ISDIR(st.st_mode) ? empty_directory(b) : null_device(b);
        r = tree < 0 ? tree : tree_attach(tree, target);
        return r < 0 ? fail_code(e, r, "mounts", "mask `%s`", op->target) : 0;
}

int op_readonly(const struct op *op, struct builder *b, spawn_error *e)
{
        int r;

        _cleanup_close_ int target = root_open(b->root_fd, op->target, O_PATH);
        if (target == -ENOENT || target == -ENOTDIR || target == -EACCES)
                return 0;
        if (target < 0)
                return fail_code(e, target, "mounts", "make `%s` read-only", op->target);
        _cleanup_close_ int tree = tree_clone(target, "", true);
        r = tree < 0 ? tree : tree_setattr(tree, true, MOUNT_ATTR_RDONLY, 0, 0);
        if (r >= 0)
                r = tree_attach(tree, target);
        return r < 0 ? fail_code(e, r, "mounts", "make `%s` read-only", op->target) : 0;
}

int op_lock(const struct op *op, struct builder *b, spawn_error *e)
{
        _cleanup_close_ int fd = root_open(b->root_fd, op->target, O_PATH | O_DIRECTORY);
        int r = fd < 0 ? fd : tree_setattr(fd, false, MOUNT_ATTR_RDONLY, 0, 0);

        return r < 0 ? fail_code(e, r, "mounts", "make `%s` read-only", op->target) : 0;
}

int op_root_readonly(const struct op *op, struct builder *b, spawn_error *e)
{
        int r = tree_setattr(b->root_fd, false, MOUNT_ATTR_RDONLY, 0, 0);

        return r < 0 ? fail_code(e, r, "mounts", "make the root file system read-only") : 0;
}
