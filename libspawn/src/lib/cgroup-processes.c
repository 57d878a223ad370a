/* What is in a cgroup and below: listing, signalling, freezing it, and removing it. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cgroup-dirs.h"
#include "fail.h"
#include "io.h"
#include "util.h"

/* How long killed processes may take to leave: one in uninterruptible sleep may need seconds. */
#define LEAVE_MS 10000

/* Not one of the further threads of a process. */
static bool is_process(int tid)
{
        _cleanup_free_ char *text = NULL;
        const char *at;
        char file[40];

        (void) snprintf(file, sizeof(file), "/proc/%d/status", tid);
        if (read_file_at(AT_FDCWD, file, 65536, &text) < 0 || (at = strstr(text, "\nTgid:")) == NULL)
                return false;
        return atoi(at + 6) == tid;
}

static int each_below(int fd, int depth, int (*each)(pid_t pid, void *arg), void *arg)
{
        _cleanup_free_ char *text = NULL;
        char *line, *save = NULL;
        ssize_t n = read_file_at(fd, "cgroup.procs", 64 * 1024 * 1024, &text);
        int r = 0, dup;
        const struct dirent *de;
        DIR *dir;

        bool threaded = n == -EOPNOTSUPP;
        /* A threaded cgroup knows its threads; its processes are listed by the one at the top. */
        if (threaded)
                n = read_file_at(fd, "cgroup.threads", 64 * 1024 * 1024, &text);
        if (n < 0)
                return n == -ENOENT || n == -ENODEV ? 0 : (int) n;
        for (line = strtok_r(text, "\n", &save); line != NULL && r >= 0; line = strtok_r(NULL, "\n", &save))
                if (atoi(line) > 0 && (!threaded || is_process(atoi(line))))
                        r = each((pid_t) atoi(line), arg);
        dup = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = dup < 0 ? NULL : fdopendir(dup);
        if (dir == NULL) {
                if (dup >= 0)
                        (void) close(dup);
                return r;
        }
        while (r >= 0 && depth < 64 && (de = readdir(dir)) != NULL) {
                if (de->d_type != DT_DIR || de->d_name[0] == '.')
                        continue;
                _cleanup_close_ int sub = openat(fd, de->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (sub >= 0)
                        r = each_below(sub, depth + 1, each, arg);
        }
        (void) closedir(dir);
        return r;
}

int cgroup_each_pid(const char *path, int (*each)(pid_t pid, void *arg), void *arg)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        return each_below(fd, 0, each, arg);
}

struct signal_arg {
        int signal, reached;
};

static int signal_one(pid_t pid, void *arg)
{
        struct signal_arg *a = arg;

        if (kill(pid, a->signal) == 0)
                a->reached++;
        return 0;
}

int cgroup_signal(const char *path, int signal)
{
        struct signal_arg a = {.signal = signal};
        int r = cgroup_each_pid(path, signal_one, &a);

        return r < 0 ? r : a.reached;
}

int cgroup_kill(const char *path)
{
        char file[PATH_MAX + 16];
        int r;

        (void) snprintf(file, sizeof(file), "%s/cgroup.kill", path);
        r = write_file_at(AT_FDCWD, file, "1");
        if (r == 0)
                return 0;
        /* FIXME(kernel 5.14): before it there is no cgroup.kill. What forks meanwhile is caught by the next round. */
        for (int i = 0; i < 16; i++) {
                r = cgroup_signal(path, SIGKILL);
                if (r <= 0)
                        return r;
        }
        return 0;
}

static int remove_once(int parent, const char *name, int depth)
{
        const struct dirent *de;
        int r = 0;

        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
                return 0;
        if (errno != EBUSY && errno != ENOTEMPTY)
                return -errno;
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        if (dir == NULL) {
                r = -errno;
                if (fd >= 0)
                        (void) close(fd);
                return r;
        }
        while (depth < 64 && (de = readdir(dir)) != NULL)
                if (de->d_type == DT_DIR && de->d_name[0] != '.')
                        (void) remove_once(fd, de->d_name, depth + 1);
        (void) closedir(dir);
        return unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int64_t now_ms(void)
{
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int cgroup_await_event(const char *path, const char *event, int ms)
{
        char file[PATH_MAX + 16];
        int64_t end = now_ms() + ms, left;

        (void) snprintf(file, sizeof(file), "%s/cgroup.events", path);
        _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        for (;;) {
                /* cgroup-v2.rst: a change of the file wakes pollers (POLLPRI). */
                struct pollfd p = {.fd = fd, .events = POLLPRI};
                char text[256] = "";
                ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

                if (n < 0)
                        return -errno;
                if (strstr(text, event) != NULL)
                        return 0;
                left = end - now_ms();
                if (left <= 0)
                        return -ETIMEDOUT;
                /* In steps, should a wake-up fall between reading and waiting. */
                (void) poll(&p, 1, left > 100 ? 100 : (int) left);
        }
}

int cgroup_remove(const char *path)
{
        int r = remove_once(AT_FDCWD, path, 0);

        if (r != -EBUSY)
                return r;
        /* A container that shared its pid namespace leaves processes behind, and killed ones need a moment. */
        (void) cgroup_kill(path);
        r = cgroup_await_event(path, "populated 0", LEAVE_MS);
        /* Processes that have left are still in the way for as long as the kernel needs to tidy them up. */
        for (int i = 0; i < 60 && (r = remove_once(AT_FDCWD, path, 0)) == -EBUSY; i++) {
                const struct timespec pause = {.tv_nsec = (i < 10 ? 1 : 20) * 1000000L};

                (void) nanosleep(&pause, NULL);
        }
        return r;
}

bool cgroup_is_frozen(const char *path)
{
        char file[PATH_MAX + 16];
        _cleanup_free_ char *text = NULL;

        (void) snprintf(file, sizeof(file), "%s/cgroup.freeze", path);
        return read_file_at(AT_FDCWD, file, 64, &text) > 0 && text[0] == '1';
}

int cgroup_freeze(const char *path, bool freeze, spawn_error *e)
{
        char file[PATH_MAX + 16];
        int r;

        (void) snprintf(file, sizeof(file), "%s/cgroup.freeze", path);
        r = write_file_at(AT_FDCWD, file, freeze ? "1" : "0");
        if (r < 0)
                return fail_code(e, r, "cgroup", "write to `%s`", file);
        r = cgroup_await_event(path, freeze ? "frozen 1" : "frozen 0", LEAVE_MS);
        if (r < 0 && freeze)
                (void) write_file_at(AT_FDCWD, file, "0"); /* half frozen is neither */
        return r < 0 ? fail_code(e, r, "cgroup", "wait for `%s` to %s", path, freeze ? "freeze" : "thaw") : 0;
}
