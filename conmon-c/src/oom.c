#include "oom.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>

#include "eventlog.h"
#include "message.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

void oom_init(struct oom *oom, struct loop *loop, const struct options *opt)
{
        *oom = (struct oom){.loop = loop, .opt = opt, .source = {.fd = -1}, .events = -1};
}

static uint64_t counter(const char *text, const char *name)
{
        size_t len = strlen(name);

        for (const char *line = text; line && *line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, name, len) == 0 && line[len] == ' ')
                        return strtoull(line + len + 1, NULL, 10);
        }
        return 0;
}

struct oom_counts oom_parse_events(const char *text)
{
        /* memory.events has "oom"; v1's memory.oom_control has "under_oom", which is 1 while a process waits. */
        return (struct oom_counts){.oom = counter(text, "oom") + counter(text, "under_oom"),
                                   .oom_kill = counter(text, "oom_kill")};
}

/* Whether a comma-separated list of controllers has this one. */
static bool has_controller(const char *list, size_t len, const char *name)
{
        size_t n = strlen(name);

        for (const char *p = list, *end = list + len; p <= end;) {
                const char *comma = memchr(p, ',', (size_t) (end - p));
                size_t word = (size_t) ((comma ? comma : end) - p);

                if (word == n && memcmp(p, name, n) == 0)
                        return true;
                p += word + 1;
        }
        return false;
}

/* Lines are "ID:CONTROLLERS:PATH"; cgroups(7). */
char *oom_cgroup_path(const char *text, const char *controller)
{
        for (const char *line = text; line && *line;) {
                const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
                size_t len = strcspn(line, "\n");

                if (path && path < line + len && has_controller(list + 1, (size_t) (path - list - 1), controller))
                        return strndup(path + 1, (size_t) (line + len - path - 1));
                line += len + (line[len] == '\n');
        }
        return NULL;
}

static bool is_cgroup2(const char *path)
{
        struct statfs fs;

        return statfs(path, &fs) == 0 && (unsigned long) fs.f_type == CGROUP2_SUPER_MAGIC;
}

static void make_file(const char *dir)
{
        _cleanup_free_ char *path = dir ? format("%s/oom", dir) : NULL;
        _cleanup_close_ int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;

        if (dir && fd < 0)
                msg_warn("Failed to create %s/oom", dir);
}

static void read_limit(struct oom *oom)
{
        const char *name = is_cgroup2(CGROUP_ROOT) ? "memory.max" : "memory.limit_in_bytes";
        _cleanup_free_ char *path = oom->dir ? format("%s/%s", oom->dir, name) : NULL;

        if (!path || read_file(path, oom->limit, sizeof(oom->limit)) < 0)
                oom->limit[0] = '\0';
        oom->limit[strcspn(oom->limit, "\n")] = '\0';
}

static void report(struct oom *oom)
{
        if (oom->reported)
                return;
        oom->reported = true;
        read_limit(oom);
        msg_info("OOM event received");
        make_file(oom->opt->persist_dir);
        make_file(oom->opt->bundle);
        eventlog_tell(oom->opt, &(struct event){.status = "oom"});
}

static bool read_counts(const struct oom *oom, struct oom_counts *ret)
{
        char text[1024];
        ssize_t n = pread(oom->events, text, sizeof(text) - 1, 0);

        if (n < 0) {
                msg_debug("Cgroup appears to have been removed: %s", strerror(errno)); /* ENODEV */
                return false;
        }
        text[n] = '\0';
        *ret = oom_parse_events(text);
        return true;
}

void oom_check(struct oom *oom)
{
        struct oom_counts now;

        if (oom->events < 0 || !read_counts(oom, &now))
                return;
        if (now.oom > oom->seen.oom || now.oom_kill > oom->seen.oom_kill)
                report(oom);
        oom->seen = now;
}

static void memory_event(struct source *source, uint32_t events)
{
        struct oom *oom = source->data;
        char buf[sizeof(struct inotify_event) + 256];

        (void) events;
        (void) !read(source->fd, buf, sizeof(buf));
        /* v1's eventfd is also signalled when the cgroup is removed, so both look at the counters. */
        oom_check(oom);
}

static int watch_v2(struct oom *oom, const char *dir)
{
        _cleanup_free_ char *path = format("%s/memory.events", dir);
        _cleanup_close_ int fd = -1;

        oom->events = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (oom->events < 0)
                return -ENOENT;
        (void) read_counts(oom, &oom->seen);
        fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY) < 0)
                return -errno;
        return steal_fd(&fd);
}

/* Source: the kernel's Documentation/admin-guide/cgroup-v1/memory.rst, section 10. */
static int watch_v1(struct oom *oom, const char *dir)
{
        _cleanup_free_ char *path = format("%s/memory.oom_control", dir);
        _cleanup_free_ char *control = format("%s/cgroup.event_control", dir), *line = NULL;
        _cleanup_close_ int fd = -1, control_fd = -1;
        int r;

        oom->events = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        control_fd = control && oom->events >= 0 ? open(control, O_WRONLY | O_CLOEXEC) : -1;
        fd = control_fd >= 0 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
        line = fd >= 0 ? format("%d %d", fd, oom->events) : NULL;
        if (!line)
                return -ENOENT;
        (void) read_counts(oom, &oom->seen);
        r = write_all(control_fd, line, strlen(line));
        return r < 0 ? r : steal_fd(&fd);
}

void oom_watch(struct oom *oom, pid_t pid)
{
        _cleanup_free_ char *file = format("/proc/%d/cgroup", (int) pid), *path = NULL, *dir = NULL;
        bool v2 = is_cgroup2(CGROUP_ROOT);
        char text[8192];
        int fd;

        if (!file || read_file(file, text, sizeof(text)) < 0)
                return;
        path = oom_cgroup_path(text, v2 ? "" : "memory");
        dir = path ? format("%s%s%s", CGROUP_ROOT, v2 ? "" : "/memory", path) : NULL;
        if (!dir)
                return;
        fd = v2 ? watch_v2(oom, dir) : watch_v1(oom, dir);
        if (fd < 0) {
                msg_debug("Not watching %s for OOM events", dir);
                return;
        }
        oom->source = (struct source){.fd = fd, .handle = memory_event, .data = oom};
        oom->dir = dir;
        dir = NULL;
        (void) loop_add(oom->loop, &oom->source, EPOLLIN);
}

static void remove_mark(const char *dir)
{
        _cleanup_free_ char *path = dir ? format("%s/oom", dir) : NULL;

        if (path)
                (void) unlink(path);
}

void oom_reset(struct oom *oom)
{
        oom_done(oom);
        if (oom->reported) {
                remove_mark(oom->opt->persist_dir);
                remove_mark(oom->opt->bundle);
        }
        oom_init(oom, oom->loop, oom->opt);
}

void oom_done(struct oom *oom)
{
        loop_del(oom->loop, &oom->source);
        close_p(&oom->source.fd);
        close_p(&oom->events);
        free(oom->dir);
        oom->dir = NULL;
}
