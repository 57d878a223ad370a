/* tmpcopyup: a tmpfs that starts with the files of the directory below it. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "copyup.h"
#include "io.h"
#include "util.h"

#define DEPTH_MAX 128 /* one open directory a level: well below RLIMIT_NOFILE */

static int copy_dir(int src, int dst, int depth);

static int copy_attributes(int fd, const struct stat *st)
{
        const struct timespec times[2] = {st->st_atim, st->st_mtim};

        /* An owner without an id here stays ours; mode after owner: chown(2) clears set-user-ID. */
        if (fchown(fd, st->st_uid, st->st_gid) < 0 && errno != EINVAL && errno != EPERM)
                return -errno;
        if (fchmod(fd, st->st_mode & 07777) < 0)
                return -errno;
        return futimens(fd, times) < 0 ? -errno : 0;
}

static int copy_file(int src_dir, int dst_dir, const char *name, const struct stat *st)
{
        _cleanup_close_ int in = openat(src_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        _cleanup_close_ int out = openat(dst_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (in < 0 || out < 0)
                return -errno;
        for (;;) {
                ssize_t n = sendfile(out, in, NULL, 1 << 30);

                if (n == 0)
                        break;
                if (n < 0)
                        return -errno;
        }
        return copy_attributes(out, st);
}

static int copy_link(int src_dir, int dst_dir, const char *name, const struct stat *st)
{
        char target[PATH_MAX];
        ssize_t n = readlinkat(src_dir, name, target, sizeof(target) - 1);

        if (n < 0)
                return -errno;
        target[n] = '\0';
        if (symlinkat(target, dst_dir, name) < 0)
                return -errno;
        (void) fchownat(dst_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
        return 0;
}

static int copy_subdir(int src_dir, int dst_dir, const char *name, const struct stat *st, int depth)
{
        int r;

        if (mkdirat(dst_dir, name, 0700) < 0)
                return -errno;
        _cleanup_close_ int in = openat(src_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        _cleanup_close_ int out = openat(dst_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (in < 0 || out < 0)
                return -errno;
        r = copy_dir(in, out, depth + 1);
        return r < 0 ? r : copy_attributes(out, st);
}

static int copy_entry(int src, int dst, const char *name, int depth)
{
        struct stat st;

        if (fstatat(src, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        switch (st.st_mode & S_IFMT) {
        case S_IFDIR:
                return depth >= DEPTH_MAX ? -ELOOP : copy_subdir(src, dst, name, &st, depth);
        case S_IFREG:
                return copy_file(src, dst, name, &st);
        case S_IFLNK:
                return copy_link(src, dst, name, &st);
        default:
                /* Devices are refused in a user namespace, and an image's devices are not to be had anyway. */
                if (mknodat(dst, name, st.st_mode, st.st_rdev) < 0 && errno != EPERM)
                        return -errno;
                return 0;
        }
}

static int copy_dir(int src, int dst, int depth)
{
        int dup = fcntl(src, F_DUPFD_CLOEXEC, 3), r = 0;
        DIR *dir = dup < 0 ? NULL : fdopendir(dup);
        const struct dirent *de;

        if (dir == NULL) {
                r = -errno;
                if (dup >= 0)
                        (void) close(dup);
                return r;
        }
        while (r == 0 && (de = readdir(dir)) != NULL)
                if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
                        r = copy_entry(src, dst, de->d_name, depth);
        (void) closedir(dir);
        return r;
}

int copy_up(int src_fd, int dst_fd)
{
        /* "." of an O_PATH fd is that very directory, not what was mounted over it since. */
        _cleanup_close_ int src = openat(src_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int dst = openat(dst_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;
        int r;

        if (src < 0 || dst < 0 || fstat(src, &st) < 0)
                return -errno;
        r = copy_dir(src, dst, 0);
        if (r < 0)
                return r;
        /* The mount point's own mode and owner too, as mount options said nothing of them. */
        r = copy_attributes(dst, &st);
        return r;
}
