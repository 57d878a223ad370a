/* Devices and links in /dev. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fail.h"
#include "plan.h"
#include "rootfs.h"
#include "util.h"

/* runtime-spec, config-linux.md, "Default Devices". */
const struct oci_device default_devices[] = {
        {.path = "/dev/null", .type = S_IFCHR, .mode = 0666, .major = 1, .minor = 3, .from_host = true},
        {.path = "/dev/zero", .type = S_IFCHR, .mode = 0666, .major = 1, .minor = 5, .from_host = true},
        {.path = "/dev/full", .type = S_IFCHR, .mode = 0666, .major = 1, .minor = 7, .from_host = true},
        {.path = "/dev/random", .type = S_IFCHR, .mode = 0666, .major = 1, .minor = 8, .from_host = true},
        {.path = "/dev/urandom", .type = S_IFCHR, .mode = 0666, .major = 1, .minor = 9, .from_host = true},
        {.path = "/dev/tty", .type = S_IFCHR, .mode = 0666, .major = 5, .minor = 0, .from_host = true},
};
const size_t n_default_devices = ELEMENTSOF(default_devices);

static dev_t device_number(const struct oci_device *d)
{
        return d->type == S_IFIFO ? 0 : makedev((unsigned int) d->major, (unsigned int) d->minor);
}

/* Something is there already: the device itself (then nothing is to be done), or a file to bind over. */
static bool is_device(int parent, const char *name, const struct oci_device *d)
{
        struct stat st;

        return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & S_IFMT) == d->type &&
               (d->type == S_IFIFO || st.st_rdev == device_number(d));
}

/* In a user namespace mknod(2) is refused; the host's own device does as well, with the host's permissions. */
static int bind_device(const struct oci_device *d, int parent, const char *name, spawn_error *e)
{
        struct stat st;
        int r;

        _cleanup_close_ int source = open(d->path, O_PATH | O_CLOEXEC);
        if (source < 0 || fstat(source, &st) < 0)
                return fail_errno(e, "devices", "open device `%s` of the host", d->path);
        if ((st.st_mode & S_IFMT) != d->type || (d->major >= 0 && d->minor >= 0 && st.st_rdev != device_number(d)))
                return spawn_err(e, ENODEV, "devices",
                                 "create device `%s`: the host's file of that name is not device %lld:%lld", d->path,
                                 (long long) d->major, (long long) d->minor);
        _cleanup_close_ int tree = tree_clone(source, "", false);
        if (tree < 0)
                return fail_code(e, tree, "devices", "bind device `%s`", d->path);
        /* A device is neither run nor set-user-ID. Where a flag is refused, the host's flags are as tight as can be. */
        (void) tree_setattr(tree, false, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, 0);
        int made = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (made >= 0)
                (void) close(made);
        else if (errno != EEXIST)
                return fail_errno(e, "devices", "create device `%s`", d->path);
        _cleanup_close_ int target = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (target < 0)
                return fail_errno(e, "devices", "create device `%s`", d->path);
        r = tree_attach(tree, target);
        return r < 0 ? fail_code(e, r, "devices", "bind device `%s`", d->path) : 0;
}

int op_device(const struct op *op, struct builder *b, spawn_error *e)
{
        const struct oci_device *d = op->device;
        char name[NAME_MAX + 1];

        _cleanup_close_ int parent = root_parent(b->root_fd, d->path, name);
        if (parent < 0)
                return fail_code(e, parent, "devices", "create device `%s`", d->path);
        if (is_device(parent, name, d))
                return 0;
        if (b->user_ns && d->type != S_IFIFO)
                return bind_device(d, parent, name, e);
        if (mknodat(parent, name, d->type | d->mode, device_number(d)) < 0) {
                if (errno == EPERM || errno == EEXIST)
                        return bind_device(d, parent, name, e);
                return fail_errno(e, "devices", "create device `%s`", d->path);
        }
        /* mknod(2) obeys the umask. */
        if (fchmodat(parent, name, d->mode, 0) < 0 || fchownat(parent, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) < 0)
                return fail_errno(e, "devices", "set owner and mode of device `%s`", d->path);
        return 0;
}

int op_workdir(const struct op *op, struct builder *b, spawn_error *e)
{
        int fd = root_create(b->root_fd, op->target, true);

        /* Whether the process can enter it is found out when it does; here it is still possible to make it. */
        if (fd >= 0)
                (void) close(fd);
        return 0;
}

int op_symlink(const struct op *op, struct builder *b, spawn_error *e)
{
        char name[NAME_MAX + 1];

        _cleanup_close_ int parent = root_parent(b->root_fd, op->target, name);
        if (parent < 0)
                return fail_code(e, parent, "devices", "create link `%s`", op->target);
        if (symlinkat(op->text, parent, name) == 0 || errno == EEXIST)
                return 0;
        return fail_errno(e, "devices", "create link `%s`", op->target);
}
