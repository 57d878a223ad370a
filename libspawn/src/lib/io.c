/* Whole files, atomic replacement, file descriptors. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "io.h"
#include "util.h"

ssize_t read_fd(int fd, size_t max, char **ret)
{
        _cleanup_free_ char *buf = NULL;
        size_t len = 0, room = 0;
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        for (;;) {
                if (room - len < 2) {
                        size_t want = room != 0 ? room * 2
                                                : (st.st_size > 0 && (size_t) st.st_size < max ? (size_t) st.st_size
                                                   : max < 65536                               ? max
                                                                                               : 0) +
                                                          1024;
                        char *bigger = len > max ? NULL : realloc(buf, want);

                        if (bigger == NULL)
                                return len > max ? -EFBIG : -ENOMEM;
                        buf = bigger;
                        room = want;
                }
                ssize_t n = read(fd, buf + len, room - len - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                len += (size_t) n;
        }
        if (len > max)
                return -EFBIG;
        buf[len] = '\0';
        *ret = steal_pointer(&buf);
        return (ssize_t) len;
}

ssize_t read_file_at(int dirfd, const char *path, size_t max, char **ret)
{
        _cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

        return fd < 0 ? -errno : read_fd(fd, max, ret);
}

int write_all(int fd, const void *data, size_t len)
{
        const char *p = data;

        while (len > 0) {
                ssize_t n = write(fd, p, len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                p += n;
                len -= (size_t) n;
        }
        return 0;
}

/* One write(2): the kernel's files take a value whole. */
static int write_once(int fd, const char *text)
{
        ssize_t n;

        do
                n = write(fd, text, strlen(text));
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

int write_file_at(int dirfd, const char *path, const char *text)
{
        _cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);

        return fd < 0 ? -errno : write_once(fd, text);
}

int write_procfs(const char *path, const char *text)
{
        struct statfs fs;
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0 || fstatfs(fd, &fs) < 0)
                return -errno;
        return fs.f_type != PROC_SUPER_MAGIC ? -EXDEV : write_once(fd, text);
}

int replace_file_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode)
{
        char tmp[PATH_MAX];
        const char *slash = strrchr(name, '/'), *base = slash != NULL ? slash + 1 : name;
        int r;

        r = snprintf(tmp, sizeof(tmp), "%.*s.%.200s.%d", (int) (base - name), name, base, (int) getpid());
        if (r < 0 || (size_t) r >= sizeof(tmp))
                return -ENAMETOOLONG;
        {
                _cleanup_close_ int fd =
                        openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

                if (fd < 0)
                        return -errno;
                r = write_all(fd, data, len);
        }
        if (r == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(dirfd, tmp, 0);
        return r;
}

int make_dirs(const char *path, mode_t mode)
{
        char copy[PATH_MAX];
        size_t len = strlen(path);

        if (len >= sizeof(copy))
                return -ENAMETOOLONG;
        if (mkdir(path, mode) == 0)
                return 0;
        if (errno != ENOENT && errno != EEXIST)
                return -errno;
        memcpy(copy, path, len + 1);
        for (char *p = copy + 1; *p != '\0'; p++) {
                if (*p != '/')
                        continue;
                *p = '\0';
                if (mkdir(copy, mode) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
                        return -errno;
                *p = '/';
        }
        if (mkdir(copy, mode) < 0) {
                struct stat st;
                int saved = errno;

                if (stat(copy, &st) < 0)
                        return -saved;
                return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
        }
        return 0;
}

static int remove_children(int fd)
{
        int dup = fcntl(fd, F_DUPFD_CLOEXEC, 3), r = 0;
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
                        r = remove_tree_at(fd, de->d_name);
        (void) closedir(dir);
        return r;
}

int remove_tree_at(int dirfd, const char *name)
{
        int r;

        if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
                return 0;
        if (errno != EISDIR && errno != EPERM)
                return -errno;
        if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
                return 0;
        if (errno != ENOTEMPTY && errno != EEXIST)
                return -errno;
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = remove_children(fd);
        if (r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                r = -errno;
        return r;
}

int cloexec_from(int first)
{
        /* Linux 5.11, below libspawn's floor of 5.12. */
        if (syscall(SYS_close_range, (unsigned int) first, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
                return -errno;
        return 0;
}

struct fd_path fd_path(int fd)
{
        struct fd_path p;

        (void) snprintf(p.s, sizeof(p.s), "/proc/self/fd/%d", fd);
        return p;
}

int process_stat(pid_t pid, unsigned long long *ret_start, char *ret_state)
{
        char path[40], buf[1024];
        ssize_t n;
        char *p;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, buf, sizeof(buf) - 1);
        if (n <= 0)
                return n < 0 ? -errno : -ESRCH;
        buf[n] = '\0';
        /* The command in field 2 may hold spaces and parentheses: fields are counted from the last one. */
        p = strrchr(buf, ')');
        if (p == NULL || p[1] != ' ' || p[2] == '\0')
                return -EIO;
        if (ret_state != NULL)
                *ret_state = p[2];
        p += 2;
        for (int field = 3; field < 22; field++) {
                p = strchr(p, ' ');
                if (p == NULL)
                        return -EIO;
                p++;
        }
        if (ret_start != NULL)
                *ret_start = strtoull(p, NULL, 10);
        return 0;
}

bool in_user_namespace(void)
{
        _cleanup_free_ char *map = NULL;
        unsigned int inside, outside, count;

        if (read_file_at(AT_FDCWD, "/proc/self/uid_map", 65536, &map) < 0)
                return false;
        return !(sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 && outside == 0 &&
                 count == 4294967295U);
}
