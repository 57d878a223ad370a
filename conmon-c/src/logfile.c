#include "logfile.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "logrotate.h"
#include "message.h"

/* Whether the file ends within an entry: its last writer was killed, or the machine went down. */
static bool ends_torn(const char *path, off_t size)
{
        _cleanup_close_ int fd = size > 0 ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
        char last = '\n';

        return fd >= 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

int logfile_open(struct logfile *file, const char *path, const struct options *opt, notice_maker make_notice,
                 void *driver)
{
        struct stat st;

        *file = (struct logfile){.opt = opt, .fd = -1, .make_notice = make_notice, .driver = driver};
        file->path = strdup(path);
        if (!file->path)
                return -ENOMEM;
        file->trouble = (struct log_trouble){.opt = opt, .where = file->path};
        file->fd = open(path, LOG_FLAGS, LOG_MODE);
        if (file->fd < 0) {
                int r = -errno;

                msg_error("Failed to open log file %s: %s", path, strerror(-r));
                logfile_close(file);
                return r;
        }
        if (fstat(file->fd, &st) == 0 && S_ISREG(st.st_mode)) {
                file->size = file->total = st.st_size;
                file->torn = ends_torn(path, st.st_size);
        }
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

static bool too_big(const struct logfile *file, size_t more)
{
        return file->opt->log_size_max > 0 && file->size > 0 && file->size + (int64_t) more > file->opt->log_size_max;
}

/* What may be over soon; as opposed to what will never allow a new file. */
static bool is_passing(int error)
{
        return error == ENOSPC || error == EDQUOT || error == ENOMEM || error == EMFILE || error == ENFILE ||
               error == EIO;
}

/* Put a new file in place of this one, whose entries have been written; false: the present one is as full as before. */
static bool renew(struct logfile *file)
{
        const char *refusal = file->opt->log_rotate ? logrotate_refusal(file->path, file->fd, file->opt) : NULL;
        struct stat st;
        int fd;

        /* "--log-path /dev/null --log-size-max N" must not make a file of the device. */
        if (fstat(file->fd, &st) == 0 && !S_ISREG(st.st_mode)) {
                file->size = 0;
                return true;
        }
        fd = refusal ? -EPERM : logrotate(file->path, file->opt);
        /* A full disk must not cost what has been logged: the output of the moment is dropped instead. */
        file->stuck = fd < 0 && is_passing(-fd);
        if (file->stuck) {
                log_trouble(&file->trouble, -fd, 0);
                return false;
        }
        file->size = 0;
        if (fd >= 0) {
                close_p(&file->fd);
                file->fd = fd;
                return true;
        }
        if (!file->refused)
                msg_warn("Cannot rotate log file %s: %s", file->path, refusal ? refusal : strerror(-fd));
        file->refused = true;
        /* The limit holds all the same. */
        (void) ftruncate(file->fd, 0);
        return true;
}

void logfile_commit(struct logfile *file, size_t len)
{
        int64_t global = file->opt->log_global_size_max;

        if (global > 0 && file->total + (int64_t) len > global)
                return;
        if (too_big(file, len)) {
                char *entry = file->buf + file->len;

                logfile_flush(file);
                /* A full disk may have made it smaller than it would have become. */
                if (too_big(file, len) && !renew(file)) {
                        file->trouble.lost++;
                        return;
                }
                memmove(file->buf, entry, len);
        }
        file->len += len;
        file->size += (int64_t) len;
        file->total += (int64_t) len;
}

static int64_t count_lines(const char *buf, size_t len)
{
        int64_t n = 0;

        for (const char *p; (p = memchr(buf, '\n', len)); n++) {
                len -= (size_t) (p + 1 - buf);
                buf = p + 1;
        }
        return n;
}

/* Write as much as there is room for: 0, or -errno; what has been written is *ret_len either way. */
static int write_some(int fd, const char *buf, size_t len, size_t *ret_len)
{
        *ret_len = 0;
        while (*ret_len < len) {
                ssize_t n = write(fd, buf + *ret_len, len - *ret_len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN && write_all(fd, buf + *ret_len, len - *ret_len) == 0)
                        n = (ssize_t) (len - *ret_len);
                if (n < 0)
                        return -errno;
                *ret_len += (size_t) n;
        }
        return 0;
}

/* Write entries, or those of them that there is room for; never half of one. How many bytes were written; an error has
 * been told then. */
static size_t write_entries(struct logfile *file, const char *buf, size_t len)
{
        size_t n, kept;
        struct stat st;
        int r = write_some(file->fd, buf, len, &n);

        if (r == 0)
                return len;
        kept = n;
        while (kept > 0 && buf[kept - 1] != '\n')
                kept--;
        if (kept < n && (fstat(file->fd, &st) < 0 || ftruncate(file->fd, st.st_size - (off_t) (n - kept)) < 0))
                file->torn = true;
        log_trouble(&file->trouble, -r, count_lines(buf + kept, len - kept));
        return kept;
}

/* End what stands there half. */
static void mend(struct logfile *file)
{
        if (!file->torn || write(file->fd, "\n", 1) != 1)
                return;
        file->torn = false;
        file->size++;
        file->total++;
}

/* After a failure: say in the log itself what it lacks. false: it still fails. */
static bool recover(struct logfile *file)
{
        char text[LOGFILE_NOTICE / 4], entry[LOGFILE_NOTICE];
        struct log_trouble before = file->trouble;
        size_t len;

        log_trouble_describe(&before, text, sizeof(text));
        len = file->make_notice(file->driver, entry, text);
        if (write_entries(file, entry, len) < len) {
                file->trouble.lost = before.lost;
                return false;
        }
        file->size += (int64_t) len;
        file->total += (int64_t) len;
        log_trouble_over(&file->trouble);
        return true;
}

void logfile_flush(struct logfile *file)
{
        size_t written = 0;

        if (file->len == 0 && file->trouble.error == 0)
                return;
        mend(file);
        if (file->trouble.error == 0 || (!file->stuck && recover(file)))
                written = write_entries(file, file->buf, file->len);
        else
                file->trouble.lost += count_lines(file->buf, file->len);
        file->size -= (int64_t) (file->len - written);
        file->total -= (int64_t) (file->len - written);
        file->len = 0;
}

void logfile_renew(struct logfile *file)
{
        logfile_flush(file);
        (void) renew(file);
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
        if (file->fd >= 0)
                logfile_flush(file);
        close_p(&file->fd);
        free(file->buf);
        free(file->path);
        file->buf = file->path = NULL;
}
