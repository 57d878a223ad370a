#include "logfixture.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

void open_log(struct fixture *f, const struct log_driver *driver)
{
        f->driver = driver;
        f->opt.cid = f->opt.cid ? f->opt.cid : "0123456789abcdef";
        (void) snprintf(f->path, sizeof(f->path), "%s/log", test_dir());
        CHECK_INT(driver->open(&f->state, f->path, &f->opt), 0);
}

void put_bytes(struct fixture *f, enum stream_id stream, const char *text, size_t len)
{
        char *block = malloc(len);

        CHECK(block);
        memcpy(block, text, len);
        f->driver->write(f->state, stream, block, len);
        free(block);
}

void put(struct fixture *f, enum stream_id stream, const char *text)
{
        put_bytes(f, stream, text, strlen(text));
}

const char *line_of(const char *file, int n, size_t from)
{
        static char line[120000];
        const char *p = test_read(file);

        for (; n > 0 && p; n--) {
                p = strchr(p, '\n');
                p = p ? p + 1 : NULL;
        }
        (void) snprintf(line, sizeof(line), "%.*s", (int) (p ? strcspn(p, "\n") : 0), p ? p : "");
        return strlen(line) >= from ? line + from : "";
}

static void __attribute__((format(printf, 2, 3))) put_file(const char *path, const char *fmt, ...)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        va_list ap;

        va_start(ap, fmt);
        if (fd >= 0) {
                (void) vdprintf(fd, fmt, ap);
                close(fd);
        }
        va_end(ap);
}

bool private_run(void)
{
        uid_t uid = getuid();
        gid_t gid = getgid();

        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return false;
        put_file("/proc/self/setgroups", "deny");
        put_file("/proc/self/uid_map", "0 %u 1", uid);
        put_file("/proc/self/gid_map", "0 %u 1", gid);
        return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("run", "/run", "tmpfs", 0, NULL) == 0 && mkdir("/run/systemd", 0700) == 0 &&
               mkdir("/run/systemd/journal", 0700) == 0;
}
