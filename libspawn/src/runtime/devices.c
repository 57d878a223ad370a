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

/* The host's node with these numbers: under its own name, or as udev(7) lists it by number. */
static int open_host_device(const struct oci_device *d, char *path, size_t size, spawn_error *e)
{
        struct stat st;

        for (int by_number = 0; by_number < 2; by_number++) {
                if (by_number)
                        (void) snprintf(path, size, "/dev/%s/%lld:%lld", d->type == S_IFBLK ? "block" : "char",
                                        (long long) d->major, (long long) d->minor);
                else
                        (void) snprintf(path, size, "%s", d->path);
                _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
                if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == d->type &&
                    st.st_rdev == device_number(d))
                        return steal_fd(&fd);
        }
        return spawn_err(
                e, ENODEV, "devices",
                "create device `%s`: it cannot be made in a user namespace, and the host has no device %lld:%lld "
                "under that name",
                d->path, (long long) d->major, (long long) d->minor);
}

/* Over a file in the container. */
static int attach_device(const struct oci_device *d, int tree, int parent, const char *name, spawn_error *e)
{
        int r, made = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

        if (made >= 0)
                (void) close(made);
        else if (errno != EEXIST)
                return fail_errno(e, "devices", "create device `%s`", d->path);
        _cleanup_close_ int target = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (target < 0)
                return fail_errno(e, "devices", "create device `%s`", d->path);
        /* A device is neither run nor set-user-ID. */
        r = tree_setattr(tree, false, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, 0);
        if (r < 0)
                return fail_code(e, r, "devices", "set the flags of device `%s`", d->path);
        r = tree_attach(tree, target);
        return r < 0 ? fail_code(e, r, "devices", "bind device `%s`", d->path) : 0;
}

/* In a user namespace mknod(2) is refused; the host's own device does as well, with the host's permissions. */
static int bind_device(const struct oci_device *d, int parent, const char *name, spawn_error *e)
{
        char path[PATH_MAX];

        _cleanup_close_ int source = open_host_device(d, path, sizeof(path), e);
        if (source < 0)
                return source;
        _cleanup_close_ int tree = tree_clone(source, "", false);
        if (tree < 0)
                return fail_code(e, tree, "devices", "bind device `%s`", path);
        return attach_device(d, tree, parent, name, e);
}

/* The id on the host of one in the container; -1: none. */
static uint32_t on_host(const struct oci_idmaps *m, uint32_t id)
{
        for (size_t i = 0; i < m->n; i++)
                if (id >= m->v[i].inside && id - m->v[i].inside < m->v[i].count)
                        return id - m->v[i].inside + m->v[i].outside;
        return UINT32_MAX;
}

int devices_premake(const struct config *c, spawn_error *e)
{
        char name[24];

        _cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
        if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -1;
        _cleanup_close_ int dir = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
        if (dir < 0)
                return -1;
        for (size_t i = 0; i < c->n_devices; i++) {
                const struct oci_device *d = &c->devices[i];

                if (d->type == S_IFIFO)
                        continue;
                (void) snprintf(name, sizeof(name), "%zu", i);
                if (mknodat(dir, name, d->type | d->mode, device_number(d)) < 0)
                        return -1; /* an ordinary user's: bind_device() */
                if (fchmodat(dir, name, d->mode, 0) < 0 ||
                    fchownat(dir, name, on_host(&c->uids, d->uid), on_host(&c->gids, d->gid), AT_SYMLINK_NOFOLLOW) < 0)
                        return fail_errno(e, "devices", "linux.devices[%zu]: set owner and mode", i);
        }
        return steal_fd(&dir);
}

/* A node of devices_premake(). Copies are taken where it is mounted in our namespace, over a root that no path leads
 * to and that is left behind: a detached mount can only be copied since Linux 6.15. */
static int attach_premade(const struct op *op, struct builder *b, int parent, const char *name, spawn_error *e)
{
        char number[24];

        if (!b->devices_attached) {
                _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
                int r = root < 0 ? -errno : tree_attach(b->devices_fd, root);

                if (r < 0)
                        return fail_code(e, r, "devices", "attach the prepared devices");
                b->devices_attached = true;
        }
        (void) snprintf(number, sizeof(number), "%zu", (size_t) (op->device - b->config->devices));
        _cleanup_close_ int tree = tree_clone(b->devices_fd, number, false);
        if (tree < 0)
                return fail_code(e, tree, "devices", "bind device `%s`", op->device->path);
        return attach_device(op->device, tree, parent, name, e);
}

/* Default devices lie in /dev itself: a link there would have the image choose where they go. */
static int open_parent(const struct builder *b, const char *path, bool strict, char name[NAME_MAX + 1], spawn_error *e)
{
        int fd;

        if (!strict) {
                fd = root_parent(b->root_fd, path, name);
                return fd < 0 ? fail_code(e, fd, "devices", "create `%s`", path) : fd;
        }
        (void) snprintf(name, NAME_MAX + 1, "%s", path + strlen("/dev/"));
        fd = root_open_nolink(b->root_fd, "/dev", O_PATH | O_DIRECTORY);
        if (fd == -ENOENT) {
                cleanup_closep(&(int){root_create(b->root_fd, "/dev", true)});
                fd = root_open_nolink(b->root_fd, "/dev", O_PATH | O_DIRECTORY);
        }
        if (fd == -ELOOP)
                return spawn_err(e, ELOOP, "devices", "create `%s`: /dev must not be a symbolic link", path);
        return fd < 0 ? fail_code(e, fd, "devices", "create `%s`", path) : fd;
}

int op_device(const struct op *op, struct builder *b, spawn_error *e)
{
        const struct oci_device *d = op->device;
        char name[NAME_MAX + 1];
        struct stat st;

        _cleanup_close_ int parent = open_parent(b, d->path, d->from_host, name, e);
        if (parent < 0)
                return parent;
        if (is_device(parent, name, d))
                return 0;
        /* config-linux.md, "Devices": another file there is an error; for the default ones, an image's own /dev/null
         * as a plain file is common, and covered. */
        if (!d->from_host && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0)
                return spawn_err(e, EEXIST, "devices", "create device `%s`: another file is there already", d->path);
        if (b->devices_fd >= 0 && !d->from_host && d->type != S_IFIFO)
                return attach_premade(op, b, parent, name, e);
        if (b->user_ns && d->type != S_IFIFO)
                return bind_device(d, parent, name, e);
        if (mknodat(parent, name, d->type | d->mode, device_number(d)) < 0) {
                if ((errno == EPERM || errno == EEXIST) && d->type != S_IFIFO)
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

        _cleanup_close_ int parent = open_parent(b, op->target, true, name, e);
        if (parent < 0)
                return parent;
        if (symlinkat(op->text, parent, name) == 0 || errno == EEXIST)
                return 0;
        return fail_errno(e, "devices", "create link `%s`", op->target);
}
