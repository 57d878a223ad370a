/* Operations that hide or lock: masked and read-only paths, the root. */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fail.h"
#include "plan.h"
#include "rootfs.h"
#include "util.h"

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
        int fd = b->late_fds != NULL ? b->late_fds[op->mount - b->config->mounts] : 0;
        int r = fd <= 0 ? -EBADF : tree_setattr(fd, false, MOUNT_ATTR_RDONLY, 0, 0);

        if (fd > 0)
                (void) close(fd);
        return r < 0 ? fail_code(e, r, "mounts", "make `%s` read-only", op->target) : 0;
}

int op_root_readonly(const struct op *op, struct builder *b, spawn_error *e)
{
        int r = tree_setattr(b->root_fd, false, MOUNT_ATTR_RDONLY, 0, 0);

        return r < 0 ? fail_code(e, r, "mounts", "make the root file system read-only") : 0;
}
