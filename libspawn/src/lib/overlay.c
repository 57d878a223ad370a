/* Mounts that the engine makes inside the session: overlay root file systems, binds, tmpfs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "util.h"

/* glibc before 2.36 has no wrappers, and its <sys/mount.h> and <linux/mount.h> do not mix on all versions. */
static int sys_fsopen(const char *type, unsigned flags)
{
        return (int) syscall(SYS_fsopen, type, flags);
}

static int sys_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux)
{
        return (int) syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}

static int sys_fsmount(int fd, unsigned flags, unsigned attr)
{
        return (int) syscall(SYS_fsmount, fd, flags, attr);
}

static int sys_move_mount(int from, const char *to)
{
        return (int) syscall(SYS_move_mount, from, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH);
}

/* The kernel explains a refused mount in messages read from the fs context. */
static int overlay_failed(int fs, const char *what, const char *target, spawn_error *reterr)
{
        int code = errno;
        char words[256];
        ssize_t n = read(fs, words, sizeof(words) - 1);

        if (n > 0) {
                words[n] = '\0';
                words[strcspn(words, "\n")] = '\0';
                return spawn_err(reterr, code, "mount overlay", "%s: %s (%s): %s", target, what, words, strerror(code));
        }
        return spawn_err(reterr, code, "mount overlay", "%s: %s: %s", target, what, strerror(code));
}

static int set_string_options(int fs, const char *options, const char *target, spawn_error *reterr)
{
        _cleanup_free_ char *copy = strdup(options);
        char *save = NULL;

        if (copy == NULL)
                return spawn_err(reterr, ENOMEM, "mount overlay", "out of memory");
        for (char *o = strtok_r(copy, ",", &save); o != NULL; o = strtok_r(NULL, ",", &save)) {
                char *eq = strchr(o, '=');
                int r;

                if (eq != NULL)
                        *eq++ = '\0';
                r = sys_fsconfig(fs, eq ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, o, eq, 0);
                if (r < 0)
                        return overlay_failed(fs, o, target, reterr);
        }
        return 0;
}

/* FIXME(kernel 6.5): without "lowerdir+" the layers share one option string of a page; names of open
 * directories keep each at 16 bytes, so that 200 layers fit whatever the store's path is. */
static int overlay_mount_old(const char *target, const char *const *lower, size_t n_lower, const char *upper,
                             const char *work, const char *options, spawn_error *reterr)
{
        _cleanup_free_ char *data = malloc(4096);
        _cleanup_free_ int *fds = calloc(n_lower, sizeof(int));
        size_t at, opened = 0;
        int r = 0;

        if (data == NULL || fds == NULL)
                return spawn_err(reterr, ENOMEM, "mount overlay", "out of memory");
        at = (size_t) snprintf(data, 4096, "lowerdir=");
        for (; opened < n_lower && r == 0; opened++) {
                fds[opened] = open(lower[opened], O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (fds[opened] < 0) {
                        r = spawn_err(reterr, errno, "mount overlay", "layer %s: %s", lower[opened], strerror(errno));
                        break;
                }
                if (at < 4096)
                        at += (size_t) snprintf(data + at, 4096 - at, "%s/proc/self/fd/%d", opened ? ":" : "",
                                                fds[opened]);
        }
        if (r == 0 && upper != NULL && at < 4096)
                at += (size_t) snprintf(data + at, 4096 - at, ",upperdir=%s,workdir=%s", upper, work);
        if (r == 0 && options[0] != '\0' && at < 4096)
                at += (size_t) snprintf(data + at, 4096 - at, ",%s", options);
        if (r == 0 && at >= 4096)
                r = spawn_err(reterr, E2BIG, "mount overlay", "%zu layers do not fit one mount call on this kernel",
                              n_lower);
        if (r == 0 && mount("overlay", target, "overlay", 0, data) < 0)
                r = spawn_err(reterr, errno, "mount overlay", "%s: %s", target, strerror(errno));
        for (size_t i = 0; i < opened; i++)
                (void) close(fds[i]);
        return r;
}

static int add_directories(int fs, const char *target, const char *const *lower, size_t n_lower, const char *upper,
                           const char *work, spawn_error *reterr)
{
        for (size_t i = 0; i < n_lower; i++)
                if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", lower[i], 0) < 0) {
                        if (i == 0 && errno == EINVAL)
                                return -ENOSYS; /* a kernel before 6.5 */
                        return overlay_failed(fs, lower[i], target, reterr);
                }
        if (upper != NULL && (sys_fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", upper, 0) < 0 ||
                              sys_fsconfig(fs, FSCONFIG_SET_STRING, "workdir", work, 0) < 0))
                return overlay_failed(fs, upper, target, reterr);
        return 0;
}

/* The new way: *ret_fs is the file system's context, ready for fsmount. -ENOSYS: this kernel needs the old way. */
static int overlay_configure(const char *target, const char *const *lower, size_t n_lower, const char *upper,
                             const char *work, const char *options, int *ret_fs, spawn_error *reterr)
{
        _cleanup_close_ int fs = -1;
        int r;

        /* FSCONFIG_SET_STRING takes at most 255 bytes; longer paths go the old way. */
        if ((upper != NULL && strlen(upper) > 250) || strlen(lower[0]) > 250)
                return -ENOSYS;
        fs = sys_fsopen("overlay", FSOPEN_CLOEXEC);
        if (fs < 0 && errno == ENOSYS)
                return -ENOSYS;
        if (fs < 0)
                return spawn_err(reterr, errno, "mount overlay", "fsopen: %s", strerror(errno));
        r = add_directories(fs, target, lower, n_lower, upper, work, reterr);
        if (r == 0)
                r = set_string_options(fs, options, target, reterr);
        if (r < 0)
                return r;
        if (sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return overlay_failed(fs, "create", target, reterr);
        *ret_fs = steal_fd(&fs);
        return 0;
}

int spawn_overlay_open(const char *const *lower, size_t n_lower, const char *upper, const char *work,
                       const char *options, spawn_error *reterr)
{
        _cleanup_close_ int fs = -1;
        int r = overlay_configure(upper, lower, n_lower, upper, work, options, &fs, reterr), mnt;

        if (r == -ENOSYS)
                return spawn_err(reterr, ENOSYS, "mount overlay", "%s: %s", upper, strerror(ENOSYS));
        if (r < 0)
                return r;
        mnt = sys_fsmount(fs, FSMOUNT_CLOEXEC, 0);
        return mnt < 0 ? overlay_failed(fs, "fsmount", upper, reterr) : mnt;
}

/* lower: topmost layer first, as overlayfs counts. upper NULL: read-only. options: "userxattr,volatile". */
int spawn_overlay_mount(const char *target, const char *const *lower, size_t n_lower, const char *upper,
                        const char *work, const char *options, spawn_error *reterr)
{
        _cleanup_close_ int fs = -1;
        _cleanup_close_ int mnt = -1;
        spawn_error old = {0};
        int r = overlay_configure(target, lower, n_lower, upper, work, options, &fs, reterr);

        if (r == -ENOSYS)
                return overlay_mount_old(target, lower, n_lower, upper, work, options, reterr);
        /* A kernel before 6.5 collects any option, and refuses "lowerdir+" only when it is to mount. */
        if (r == -EINVAL && overlay_mount_old(target, lower, n_lower, upper, work, options, &old) == 0)
                return 0;
        if (r < 0)
                return r;
        mnt = sys_fsmount(fs, FSMOUNT_CLOEXEC, 0);
        if (mnt < 0)
                return overlay_failed(fs, "fsmount", target, reterr);
        if (sys_move_mount(mnt, target) < 0)
                return spawn_err(reterr, errno, "mount overlay", "%s: %s", target, strerror(errno));
        return 0;
}

int spawn_bind_mount(const char *source, const char *target, unsigned long flags, spawn_error *reterr)
{
        if (mount(source, target, NULL, MS_BIND | flags, NULL) < 0)
                return spawn_err(reterr, errno, "bind mount", "%s on %s: %s", source, target, strerror(errno));
        return 0;
}

int spawn_tmpfs_mount(const char *target, const char *options, spawn_error *reterr)
{
        if (mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
                return spawn_err(reterr, errno, "mount tmpfs", "%s: %s", target, strerror(errno));
        return 0;
}

/* Returns 0 also when nothing is mounted there. detach: lazily, so that a user of the mount cannot hold it. */
int spawn_umount(const char *target, int detach, spawn_error *reterr)
{
        if (umount2(target, UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) < 0 && errno != EINVAL && errno != ENOENT)
                return spawn_err(reterr, errno, "unmount", "%s: %s", target, strerror(errno));
        return 0;
}
