#include "eventfile.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "eventlog.h"
#include "util.h"

#define PATIENCE_MS 1000 /* for a rotation; it takes a millisecond, unless who does it was stopped */

static bool lock(int fd, int kind)
{
        int r;

        do
                r = flock(fd, kind | LOCK_NB);
        while (r < 0 && errno == EINTR);
        return r == 0;
}

/* Bytes of the open file; -1 when it is not the one at the path any more. */
static int64_t size_if_at(int fd, const char *path)
{
        struct stat have, now;

        if (fstat(fd, &have) < 0 || stat(path, &now) < 0 || have.st_dev != now.st_dev || have.st_ino != now.st_ino)
                return -1;
        return have.st_size;
}

static int write_mark(int fd, const struct event_file *file, const char *word)
{
        char when[EVENT_TIME_MAX];
        struct timespec now;
        _cleanup_free_ char *line = NULL;

        (void) clock_gettime(CLOCK_REALTIME, &now);
        event_time(when, sizeof(when), &now);
        line = format("{\"Name\":%s,\"Status\":\"log-rotation\",\"Time\":\"%s\",\"Type\":\"system\","
                      "\"Attributes\":{\"io.podman.event.rotate\":\"%s\"}}\n",
                      file->name, when, word);
        return line ? write_all(fd, line, strlen(line)) : -ENOMEM;
}

/* What follows the first newline behind offset. */
static int copy_younger(int out, int in, off_t offset)
{
        bool inside = false;
        char buf[4096];
        ssize_t n;

        while ((n = pread(in, buf, sizeof(buf), offset)) != 0) {
                const char *from = buf;
                int r = 0;

                if (n < 0)
                        return -errno;
                offset += n;
                if (!inside) {
                        from = memchr(buf, '\n', (size_t) n);
                        inside = from != NULL;
                        from = from ? from + 1 : buf + n;
                }
                r = write_all(out, from, (size_t) (buf + n - from));
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Under the exclusive lock: replace the file by its younger half and the line. */
static int rotate(const struct event_file *file, int fd, int64_t size, const char *line, size_t len)
{
        _cleanup_free_ char *path = format("%s.new", file->path);
        _cleanup_close_ int out = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
        int r = out < 0 ? -errno : write_mark(out, file, "begin");

        if (out < 0)
                return path ? r : -ENOMEM;
        if (r == 0)
                r = copy_younger(out, fd, size - size / 2);
        if (r == 0)
                r = write_mark(out, file, "end");
        if (r == 0)
                r = write_all(out, line, len);
        if (r == 0 && rename(path, file->path) < 0)
                r = -errno;
        if (r < 0)
                (void) unlink(path);
        return r;
}

int eventfile_append(const struct event_file *file, const char *line, size_t len)
{
        const struct timespec nap = {.tv_nsec = 2000000};
        int64_t max = file->max_size;
        uint64_t give_up = 0;

        for (;;) {
                _cleanup_close_ int fd = open(file->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
                int64_t size;

                if (fd < 0)
                        return -errno;
                if (!lock(fd, LOCK_SH)) {
                        give_up = give_up ? give_up : now_ms() + PATIENCE_MS;
                        if (now_ms() > give_up)
                                return write_all(fd, line, len);
                        (void) nanosleep(&nap, NULL);
                        continue;
                }
                size = size_if_at(fd, file->path);
                if (size < 0)
                        continue; /* it was rotated between the two steps */
                /* podman counts so too: without the newline */
                if (max == 0 || size == 0 || size + (int64_t) len - 1 < max)
                        return write_all(fd, line, len);
                if (lock(fd, LOCK_EX) && size_if_at(fd, file->path) >= 0)
                        return rotate(file, fd, size_if_at(fd, file->path), line, len);
                max = 0; /* somebody else is at it, and changing a lock may lose the one that there was */
        }
}
