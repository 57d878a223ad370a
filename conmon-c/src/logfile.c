#include "logfile.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "message.h"

#define LOG_FLAGS (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC)
#define LOG_MODE 0640

int logfile_open(struct logfile *file, const char *path, const struct options *opt)
{
        struct stat st;

        *file = (struct logfile){.opt = opt, .fd = -1};
        file->path = strdup(path);
        if (!file->path)
                return -ENOMEM;
        file->fd = open(path, LOG_FLAGS, LOG_MODE);
        if (file->fd < 0) {
                int r = -errno;

                msg_error("Failed to open log file %s: %s", path, strerror(-r));
                logfile_close(file);
                return r;
        }
        if (fstat(file->fd, &st) == 0)
                file->size = file->total = st.st_size;
        return 0;
}

char *logfile_reserve(struct logfile *file, size_t max)
{
        if (!file->buf)
                file->buf = malloc(LOGFILE_BUFFER);
        if (!file->buf || max > LOGFILE_BUFFER)
                return NULL;
        if (LOGFILE_BUFFER - file->len < max)
                logfile_flush(file);
        return file->buf + file->len;
}

void logfile_commit(struct logfile *file, size_t len)
{
        int64_t max = file->opt->log_size_max, global = file->opt->log_global_size_max;

        if (global > 0 && file->total + (int64_t) len > global)
                return;
        if (max > 0 && file->size > 0 && file->size + (int64_t) len > max) {
                char *entry = file->buf + file->len;

                logfile_renew(file);
                memmove(file->buf, entry, len);
        }
        file->len += len;
        file->size += (int64_t) len;
        file->total += (int64_t) len;
}

void logfile_flush(struct logfile *file)
{
        int r;

        if (file->len == 0)
                return;
        r = write_all(file->fd, file->buf, file->len);
        if (r < 0) {
                if (!file->failing)
                        msg_warn("Failed to write to log file %s: %s", file->path, strerror(-r));
                /* A full disk may have taken half an entry: cut it off, or the next one would join it. */
                file->size -= (int64_t) file->len;
                (void) ftruncate(file->fd, file->size);
        }
        file->failing = r < 0;
        file->len = 0;
}

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

static bool is_allowed(const struct logfile *file)
{
        const struct strlist *dirs = &file->opt->log_allowlist_dirs;
        _cleanup_free_ char *parent = strdup(file->path), *real = NULL;
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

/* Why old logs must not be renamed, or NULL. Names in the log's directory may be another user's doing. */
static const char *why_not_rotate(const struct logfile *file)
{
        struct stat st;

        if (climbs(file->path))
                return "its path contains '..'";
        if (lstat(file->path, &st) == 0 && !S_ISREG(st.st_mode))
                return "it is not a regular file";
        if (!is_allowed(file))
                return "its directory is not in --log-allowlist-dir";
        if (flock(file->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
                return "another process has locked it";
        return NULL;
}

/* PATH.1 -> PATH.2 ...; what was PATH.max is replaced, and PATH.1 is free afterwards. */
static int shift_backups(const struct logfile *file)
{
        for (int i = file->opt->log_max_files; i > 1; i--) {
                _cleanup_free_ char *from = format("%s.%d", file->path, i - 1), *to = format("%s.%d", file->path, i);

                if (!from || !to)
                        return -ENOMEM;
                if (rename(from, to) < 0 && errno != ENOENT)
                        return -errno;
        }
        return 0;
}

/* Give the present file the name PATH.1. By link(2) where there is such a thing, so that PATH is never missing. */
static int keep_as_backup(const struct logfile *file)
{
        _cleanup_free_ char *first = format("%s.1", file->path);
        int r = shift_backups(file);

        if (r < 0)
                return r;
        if (!first)
                return -ENOMEM;
        if (unlink(first) < 0 && errno != ENOENT)
                return -errno;
        if (link(file->path, first) == 0 || errno == ENOENT)
                return 0;
        return rename(file->path, first) < 0 ? -errno : 0;
}

/* Make an empty file under a temporary name and rename it to PATH; readers that follow see the change of inode. */
static int replace_file(struct logfile *file, bool rotate)
{
        _cleanup_free_ char *tmp = format("%s.tmp", file->path);
        _cleanup_close_ int fd = -1;
        int r = 0;

        if (!tmp)
                return -ENOMEM;
        if (unlink(tmp) < 0 && errno != ENOENT)
                return -errno;
        fd = open(tmp, LOG_FLAGS | O_EXCL | O_NOFOLLOW, LOG_MODE);
        if (fd < 0)
                return -errno;
        if (rotate)
                r = keep_as_backup(file);
        if (r == 0 && rename(tmp, file->path) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlink(tmp);
                return r;
        }
        close_p(&file->fd);
        file->fd = steal_fd(&fd);
        return 0;
}

void logfile_renew(struct logfile *file)
{
        const char *reason = file->opt->log_rotate ? why_not_rotate(file) : NULL;
        struct stat st;
        int r;

        logfile_flush(file);
        file->size = 0;
        /* "--log-path /dev/null --log-size-max N" must not make a file of the device. */
        if (fstat(file->fd, &st) == 0 && !S_ISREG(st.st_mode))
                return;
        r = reason ? -EPERM : replace_file(file, file->opt->log_rotate);
        if (r < 0) {
                if (!file->failing)
                        msg_warn("Cannot rotate log file %s: %s", file->path, reason ? reason : strerror(-r));
                file->failing = true;
                /* The limit holds all the same. */
                (void) ftruncate(file->fd, 0);
        }
}

void logfile_trim(struct logfile *file)
{
        free(file->buf);
        file->buf = NULL;
}

int logfile_sync(struct logfile *file)
{
        struct stat st;

        /* A log that has been deleted already (--rm) is not worth waiting for. */
        if (fstat(file->fd, &st) == 0 && st.st_nlink == 0)
                return 0;
        return fsync(file->fd) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

void logfile_close(struct logfile *file)
{
        logfile_flush(file);
        close_p(&file->fd);
        free(file->buf);
        free(file->path);
        file->buf = file->path = NULL;
}
