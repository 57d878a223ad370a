/* cgroup v2 by its files. On hosts with v1 or a hybrid tree containers run without a cgroup of their own. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "cgroup.h"
#include "fail.h"
#include "io.h"
#include "util.h"

/* Controllers that engines read statistics of and set limits in. */
static const char *const wanted[] = {"cpu", "memory", "pids", "io", "cpuset", "hugetlb", "rdma"};

static bool is_v2(void)
{
        struct statfs fs;

        return statfs(CGROUP_ROOT, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static bool has_word(const char *list, const char *word)
{
        size_t len = strlen(word);

        for (const char *p = list; (p = strstr(p, word)) != NULL; p += len)
                if ((p == list || p[-1] == ' ') && (p[len] == '\0' || p[len] == ' ' || p[len] == '\n'))
                        return true;
        return false;
}

/* Offer the parent's controllers to its children; what is refused will show when a limit needs it. */
static void delegate_controllers(const char *parent)
{
        _cleanup_free_ char *have = NULL, *on = NULL;
        _cleanup_close_ int fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        char text[32];

        if (fd < 0 || read_file_at(fd, "cgroup.controllers", 4096, &have) <= 0 ||
            read_file_at(fd, "cgroup.subtree_control", 4096, &on) < 0)
                return;
        for (size_t i = 0; i < ELEMENTSOF(wanted); i++) {
                if (!has_word(have, wanted[i]) || has_word(on, wanted[i]))
                        continue;
                (void) snprintf(text, sizeof(text), "+%s", wanted[i]);
                (void) write_file_at(fd, "cgroup.subtree_control", text);
        }
}

/* mkdir -p below CGROUP_ROOT, with controllers handed down on the way. */
static int make_path(const char *path, bool *ret_created)
{
        char copy[PATH_MAX];
        size_t root = strlen(CGROUP_ROOT);

        (void) snprintf(copy, sizeof(copy), "%s", path);
        for (char *p = copy + root; p != NULL && *p == '/'; p = strchr(p + 1, '/')) {
                char *next = strchr(p + 1, '/');

                *p = '\0';
                delegate_controllers(copy);
                *p = '/';
                if (next != NULL)
                        *next = '\0';
                if (mkdir(copy, 0755) == 0)
                        *ret_created = next == NULL;
                else if (errno != EEXIST)
                        return -errno;
                if (next != NULL)
                        *next = '/';
        }
        return 0;
}

/* "slice:prefix:name", systemd's form of linux.cgroupsPath. */
static bool split_systemd(const char *path, char slice[128], char scope[256])
{
        const char *a = strchr(path, ':'), *b = a != NULL ? strchr(a + 1, ':') : NULL;

        if (b == NULL)
                return false;
        (void) snprintf(slice, 128, "%.*s", (int) (a - path), path);
        if (b == a + 1)
                (void) snprintf(scope, 256, "%s.scope", b + 1);
        else
                (void) snprintf(scope, 256, "%.*s-%s.scope", (int) (b - a - 1), a + 1, b + 1);
        return true;
}

/* Absolute path of a cgroup for linux.cgroupsPath; "" when none was asked for and none is due. */
static int choose_path(const struct runtime *rt, const char *id, const char *wish, char ret[PATH_MAX], spawn_error *e)
{
        char slice[128], scope[256];
        int n;

        ret[0] = '\0';
        if (wish != NULL && split_systemd(wish, slice, scope))
                n = snprintf(ret, PATH_MAX, CGROUP_ROOT "/%s/%s", slice[0] != '\0' ? slice : "system.slice", scope);
        else if (wish != NULL && wish[0] != '\0')
                n = snprintf(ret, PATH_MAX, CGROUP_ROOT "%s%s", wish[0] == '/' ? "" : "/", wish);
        else
                n = rt->rootless ? 0 : snprintf(ret, PATH_MAX, CGROUP_ROOT "/%s", id);
        if (n < 0 || n >= PATH_MAX)
                return fail_text(e, "cgroup", "linux.cgroupsPath is too long");
        for (n--; n > 0 && ret[n] == '/'; n--)
                ret[n] = '\0';
        if (strstr(ret, "/../") != NULL || (n > 1 && strcmp(ret + n - 2, "/..") == 0))
                return fail_text(e, "cgroup", "linux.cgroupsPath `%s`: `..` is not allowed", wish);
        return 0;
}

static int make_and_limit(struct cgroup *g, const struct cgroup_settings *s, spawn_error *e)
{
        int r = make_path(g->path, &g->created);

        if (r < 0)
                return fail_code(e, r, "cgroup", "create cgroup `%s`", g->path);
        g->fd = open(g->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (g->fd < 0)
                return fail_errno(e, "cgroup", "open cgroup `%s`", g->path);
        return cgroup_apply(g->fd, g->path, s, e);
}

int cgroup_make(const struct runtime *rt, const char *id, const char *cgroups_path, struct json_object *resources,
                struct cgroup *ret, spawn_error *e)
{
        struct cgroup_settings s = {0};
        int r;

        ret->path[0] = ret->scope[0] = '\0';
        ret->fd = -1;
        ret->created = false;
        if (rt->cgroups == CGROUPS_DISABLED)
                return 0;
        r = cgroup_settings(resources, &s, e);
        if (r == 0 && is_v2())
                r = choose_path(rt, id, cgroups_path, ret->path, e);
        if (r == 0 && ret->path[0] != '\0') {
                r = make_and_limit(ret, &s, e);
                if (r < 0 && ret->created)
                        (void) cgroup_remove(ret->path);
                if (r < 0 && ret->fd < 0 && rt->rootless && s.n == 0) {
                        ret->path[0] = '\0';
                        r = 0;
                }
        }
        free(s.v);
        return r;
}

int cgroup_update(const char *path, struct json_object *resources, spawn_error *e)
{
        struct cgroup_settings s = {0};
        int r = cgroup_settings(resources, &s, e);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (r == 0)
                r = fd < 0 ? fail_errno(e, "cgroup", "open cgroup `%s`", path) : cgroup_apply(fd, path, &s, e);
        free(s.v);
        return r;
}

int cgroup_add(const char *path, pid_t pid)
{
        char file[PATH_MAX + 16], text[16];

        (void) snprintf(file, sizeof(file), "%s/cgroup.procs", path);
        (void) snprintf(text, sizeof(text), "%d", (int) pid);
        return write_file_at(AT_FDCWD, file, text);
}

int cgroup_of_pid(pid_t pid, char ret[PATH_MAX])
{
        _cleanup_free_ char *text = NULL;
        char file[40], *line, *save = NULL;
        ssize_t n;

        (void) snprintf(file, sizeof(file), "/proc/%d/cgroup", (int) pid);
        n = read_file_at(AT_FDCWD, file, 65536, &text);
        if (n < 0)
                return (int) n;
        for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
                if (strncmp(line, "0::/", 4) == 0 && strstr(line, "/..") == NULL)
                        return snprintf(ret, PATH_MAX, CGROUP_ROOT "%s", line + 3) < PATH_MAX ? 0 : -ENAMETOOLONG;
        return -ENOENT;
}

static int each_below(int fd, int depth, int (*each)(pid_t pid, void *arg), void *arg)
{
        _cleanup_free_ char *text = NULL;
        char *line, *save = NULL;
        ssize_t n = read_file_at(fd, "cgroup.procs", 64 * 1024 * 1024, &text);
        int r = 0, dup;
        const struct dirent *de;
        DIR *dir;

        if (n < 0)
                return n == -ENOENT || n == -ENODEV ? 0 : (int) n;
        for (line = strtok_r(text, "\n", &save); line != NULL && r >= 0; line = strtok_r(NULL, "\n", &save))
                if (atoi(line) > 0)
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

int cgroup_remove(const char *path)
{
        int r = 0;

        /* A killed process stays in its cgroup until it has been reaped: by its parent, not by us. */
        for (unsigned int i = 0; i < 60; i++) {
                const struct timespec pause = {.tv_nsec = (i < 10 ? 1 : 20) * 1000000L};

                r = remove_once(AT_FDCWD, path, 0);
                if (r != -EBUSY)
                        return r;
                if (i == 10)
                        (void) cgroup_kill(path);
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
        /* cgroup-v2.rst: freezing takes time; cgroup.events tells when it is done, and wakes pollers (POLLPRI). */
        (void) snprintf(file, sizeof(file), "%s/cgroup.events", path);
        _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
        for (int i = 0; fd >= 0 && i < 100; i++) {
                struct pollfd p = {.fd = fd, .events = POLLPRI};
                char text[256] = "";
                ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

                if (n <= 0 || strstr(text, freeze ? "frozen 1" : "frozen 0") != NULL)
                        return 0;
                (void) poll(&p, 1, 100);
        }
        return fd < 0 ? 0 : fail_code(e, ETIMEDOUT, "cgroup", "wait for `%s` to %s", path, freeze ? "freeze" : "thaw");
}
