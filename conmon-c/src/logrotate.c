#include "logrotate.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* Whether a component of path is "..". */
static bool climbs(const char *path)
{
        for (const char *p = path; (p = strstr(p, "..")); p += 2)
                if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
                        return true;
        return false;
}

static bool is_inside(const char *path, const char *dir)
{
        size_t len = strlen(dir);

        return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool is_allowed(const char *path, const struct strlist *dirs)
{
        _cleanup_free_ char *parent = strdup(path), *real = NULL;
        char *slash = parent ? strrchr(parent, '/') : NULL;

        if (dirs->n == 0)
                return true;
        if (slash)
                slash[slash == parent] = '\0';
        real = realpath(slash ? parent : ".", NULL);
        for (size_t i = 0; real && i < dirs->n; i++) {
                _cleanup_free_ char *dir = realpath(dirs->v[i], NULL);

                if (dir && is_inside(real, dir))
                        return true;
        }
        return false;
}

const char *logrotate_refusal(const char *path, int fd, const struct options *opt)
{
        struct stat st;

        if (climbs(path))
                return "its path contains '..'";
        if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
                return "it is not a regular file";
        if (!is_allowed(path, &opt->log_allowlist_dirs))
                return "its directory is not in --log-allowlist-dir";
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
                return "another process has locked it";
        return NULL;
}

static char *backup(const char *path, int number)
{
        return format("%s.%d", path, number);
}

/* The first number that no backup has, or max: beyond it nothing needs to move. A rotation that failed half-way
 * leaves such a gap, and going over all of them again would push out the oldest for nothing. */
static int first_free(const char *path, int max)
{
        for (int i = 1; i < max; i++) {
                _cleanup_free_ char *name = backup(path, i);
                struct stat st;

                if (!name || (lstat(name, &st) < 0 && errno == ENOENT))
                        return i;
        }
        return max;
}

/* PATH.1 -> PATH.2 ...; what was PATH.max is replaced, and PATH.1 is free afterwards. */
static int shift_backups(const char *path, int max)
{
        for (int i = first_free(path, max); i > 1; i--) {
                _cleanup_free_ char *from = backup(path, i - 1), *to = backup(path, i);

                if (!from || !to)
                        return -ENOMEM;
                if (rename(from, to) < 0 && errno != ENOENT)
                        return -errno;
        }
        return 0;
}

/* Give the present file the name PATH.1. By link(2) where there is such a thing, so that PATH is never missing. */
static int keep_as_backup(const char *path, int max)
{
        _cleanup_free_ char *first = backup(path, 1);
        struct stat now, old;
        int r;

        if (!first)
                return -ENOMEM;
        /* A monitor that was killed at this point has done it. */
        if (stat(path, &now) == 0 && lstat(first, &old) == 0 && now.st_ino == old.st_ino && now.st_dev == old.st_dev)
                return 0;
        r = shift_backups(path, max);
        if (r < 0)
                return r;
        if (unlink(first) < 0 && errno != ENOENT)
                return -errno;
        if (link(path, first) == 0 || errno == ENOENT)
                return 0;
        return rename(path, first) < 0 ? -errno : 0;
}

int logrotate(const char *path, const struct options *opt)
{
        _cleanup_free_ char *tmp = format("%s.tmp", path);
        _cleanup_close_ int fd = -1;
        int r = 0;

        if (!tmp)
                return -ENOMEM;
        if (unlink(tmp) < 0 && errno != ENOENT)
                return -errno;
        fd = open(tmp, LOG_FLAGS | O_EXCL | O_NOFOLLOW, LOG_MODE);
        if (fd < 0)
                return -errno;
        if (opt->log_rotate)
                r = keep_as_backup(path, opt->log_max_files);
        if (r == 0 && rename(tmp, path) < 0)
                r = -errno;
        if (r == 0)
                return steal_fd(&fd);
        (void) unlink(tmp);
        return r;
}
