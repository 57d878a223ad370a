/* What a process is before it becomes the container's. */
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "caps.h"
#include "container.h"
#include "fail.h"
#include "io.h"
#include "process.h"
#include "util.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

int process_oom_score(const struct oci_process *p, bool rootless, spawn_error *e)
{
        _cleanup_free_ char *now = NULL;
        char text[16];
        int r;

        if (!p->has_oom_score)
                return 0;
        (void) snprintf(text, sizeof(text), "%d", (int) p->oom_score);
        r = write_procfs("/proc/self/oom_score_adj", text);
        /* Only lowering it is refused: whoever inherited a higher one keeps that. */
        if ((r == -EACCES || r == -EPERM) && rootless &&
            read_file_at(AT_FDCWD, "/proc/self/oom_score_adj", sizeof(text), &now) > 0 && atoi(now) > p->oom_score)
                return 0;
        return r < 0 ? fail_code(e, r, "limits", "write %s to `/proc/self/oom_score_adj`", text) : 0;
}

int process_keyring(const char *id, spawn_error *e)
{
        char name[256];

        (void) snprintf(name, sizeof(name), "_ses.%.200s", id);
        if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name, 0, 0, 0) >= 0 || errno == ENOSYS)
                return 0;
        /* An outer container's seccomp filter forbids all of keyctl: then nobody has keys to protect. */
        if (errno == EPERM && syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0) < 0 &&
            errno == EPERM)
                return 0;
        if (errno == EDQUOT)
                return spawn_err(
                        e, EDQUOT, "keyring",
                        "create keyring `%s`: Disk quota exceeded (this user's key quota, raise the sysctl kernel.keys.maxkeys)",
                        name);
        return fail_errno(e, "keyring", "create keyring `%s`", name);
}

static int set_groups(const struct oci_process *p, spawn_error *e)
{
        char text[8] = "";

        if (setgroups(p->n_groups, p->groups) == 0)
                return 0;
        if (errno == EPERM && p->n_groups == 0) {
                /* user_namespaces(7): "deny" in a namespace that an unprivileged user mapped for itself alone. */
                int saved = errno;
                _cleanup_close_ int fd = open("/proc/self/setgroups", O_RDONLY | O_CLOEXEC);

                if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && strncmp(text, "deny", 4) == 0)
                        return 0;
                errno = saved;
        }
        return fail_errno(e, "user", "setgroups");
}

int process_user(const struct oci_process *p, bool keep_groups, spawn_error *e)
{
        int r = keep_groups ? 0 : set_groups(p, e);

        if (r < 0)
                return r;
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
                return fail_errno(e, "user", "keep capabilities");
        if (setresgid(p->gid, p->gid, p->gid) < 0)
                return fail_errno(e, "user", "setresgid to `%u`", p->gid);
        if (setresuid(p->uid, p->uid, p->uid) < 0)
                return fail_errno(e, "user", "setresuid to `%u`", p->uid);
        return caps_raise_all(e);
}

int process_cwd(const char *cwd, spawn_error *e)
{
        char real[PATH_MAX];
        int r;

        if (chdir(cwd) < 0) {
                if (errno != ENOENT)
                        return fail_errno(e, "cwd", "chdir to `%s`", cwd);
                r = make_dirs(cwd, 0755);
                if (r < 0)
                        return fail_code(e, r, "cwd", "create working directory `%s`", cwd);
                if (chdir(cwd) < 0)
                        return fail_errno(e, "cwd", "chdir to `%s`", cwd);
        }
        /* CVE-2024-21626: through a descriptor of the host (/proc/self/fd/N) the directory would lie outside; the
         * kernel then answers "(unreachable)/..." (getcwd(2)). */
        if (syscall(SYS_getcwd, real, sizeof(real)) < 0)
                return fail_errno(e, "cwd", "getcwd");
        if (real[0] != '/')
                return spawn_err(e, EXDEV, "cwd", "chdir to `%s`: the directory is outside of the container", cwd);
        return 0;
}

/* 0, or -errno that says why path cannot be executed. */
static int check_executable(const char *path)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EACCES;
        /* Effective ids; access(2) would ask for the real ones, which are the same, but libc may lie for root. */
        if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
                return -errno;
        return 0;
}

static const char *path_of(const struct oci_process *p)
{
        for (size_t i = 0; i < p->env.n; i++)
                if (strncmp(p->env.v[i], "PATH=", 5) == 0)
                        return p->env.v[i] + 5;
        return DEFAULT_PATH;
}

static int executable_error(const char *name, int r, spawn_error *e)
{
        /* These words are an interface: engines make exit codes 126 and 127 of them. podman does not mind the case of
         * letters, docker looks for Go's, which are small. */
        if (r == -ENOENT || r == -ENOTDIR)
                return spawn_err(e, ENOENT, "executable",
                                 "executable file `%s` not found in $PATH: no such file or directory", name);
        if (r == -EACCES || r == -EPERM)
                return spawn_err(e, EACCES, "executable", "exec `%s`: open executable: permission denied", name);
        return fail_code(e, r, "executable", "exec `%s`: open executable", name);
}

int process_find_executable(const struct oci_process *p, char ret[PATH_MAX], spawn_error *e)
{
        const char *name = p->args.v[0], *dir = path_of(p);
        int r, worst = -ENOENT;

        if (strchr(name, '/') != NULL) {
                r = check_executable(name);
                if (r < 0)
                        return executable_error(name, r, e);
                if (snprintf(ret, PATH_MAX, "%s", name) >= PATH_MAX)
                        return executable_error(name, -ENAMETOOLONG, e);
                return 0;
        }
        while (name[0] != '\0') {
                size_t len = strcspn(dir, ":");
                int n = snprintf(ret, PATH_MAX, "%.*s%s%s", (int) len, dir, len > 0 ? "/" : "./", name);

                if (n > 0 && n < PATH_MAX) {
                        r = check_executable(ret);
                        if (r == 0)
                                return 0;
                        /* As execvp(3): a file that is there but cannot be run is worth telling. */
                        if (r == -EACCES)
                                worst = r;
                }
                if (dir[len] == '\0')
                        break;
                dir += len + 1;
        }
        return executable_error(name, worst, e);
}

/* Home directory of uid in /etc/passwd, which is the container's: any text may be in it. */
static void find_home(uint32_t uid, char *ret, size_t size)
{
        _cleanup_free_ char *text = NULL;
        char *line, *save = NULL;
        struct stat st;

        (void) snprintf(ret, size, "HOME=/");
        /* A FIFO would keep us waiting for ever. */
        if (stat("/etc/passwd", &st) < 0 || !S_ISREG(st.st_mode) ||
            read_file_at(AT_FDCWD, "/etc/passwd", 1024 * 1024, &text) < 0)
                return;
        for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
                char *field[7], *rest = line, *end;
                size_t n = 0;

                while (n < ELEMENTSOF(field) && (field[n] = strsep(&rest, ":")) != NULL)
                        n++;
                if (n < 6 || field[2][0] == '\0' || strtoul(field[2], &end, 10) != uid || *end != '\0')
                        continue;
                if (field[5][0] == '/')
                        (void) snprintf(ret, size, "HOME=%s", field[5]);
                return;
        }
}

int listen_fds(void)
{
        const char *n = getenv("LISTEN_FDS");

        return n != NULL && atoi(n) > 0 && atoi(n) < 1024 ? atoi(n) : 0;
}

static bool has_name(const struct oci_process *p, const char *entry)
{
        size_t len = strcspn(entry, "=") + 1;

        for (size_t i = 0; i < p->env.n; i++)
                if (strncmp(p->env.v[i], entry, len) == 0)
                        return true;
        return false;
}

void process_env(const struct oci_process *p, struct process_env *room, const char **ret_env)
{
        size_t n = p->env.n;

        if (n > 0)
                memcpy(ret_env, p->env.v, n * sizeof(*ret_env));
        if (!has_name(p, "HOME=")) {
                find_home(p->uid, room->home, sizeof(room->home));
                ret_env[n++] = room->home;
        }
        (void) snprintf(room->pid, sizeof(room->pid), "LISTEN_PID=%d", (int) getpid());
        /* An engine that passes sockets on by --preserve-fds may not know the pid, and says 0. */
        for (size_t i = 0; i < n; i++)
                if (strcmp(ret_env[i], "LISTEN_PID=0") == 0)
                        ret_env[i] = room->pid;
        if (listen_fds() > 0) {
                (void) snprintf(room->fds, sizeof(room->fds), "LISTEN_FDS=%d", listen_fds());
                if (!has_name(p, room->fds))
                        ret_env[n++] = room->fds;
                if (!has_name(p, room->pid))
                        ret_env[n++] = room->pid;
        }
        ret_env[n] = NULL;
}

int process_exec(const struct oci_process *p, const char *path, const char *const *env, spawn_error *e)
{
        (void) execve(path, (char *const *) p->args.v, (char *const *) env);
        if (errno == ENOENT)
                return spawn_err(e, ENOENT, "exec",
                                 "exec container process (missing dynamic library?) `%s`: no such file or directory",
                                 path);
        return fail_errno(e, "exec", "exec container process `%s`", path);
}

void process_reset_signals(void)
{
        sigset_t none;

        for (int sig = 1; sig < _NSIG; sig++)
                (void) signal(sig, SIG_DFL);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

void process_own_stdio(const struct oci_process *p)
{
        for (int fd = 0; fd < 3; fd++) {
                struct stat st;

                /* Not a terminal: it is the caller's; a terminal of the container's own is given in terminal.c. */
                if (fstat(fd, &st) == 0 && st.st_uid != p->uid && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
                        (void) !fchown(fd, p->uid, p->gid);
        }
}

static bool is_null(int fd)
{
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

void process_reopen_null(void)
{
        _cleanup_close_ int own = -1;

        for (int fd = 0; fd < 3; fd++) {
                if (!is_null(fd))
                        continue;
                if (own < 0)
                        own = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
                if (own < 0 || !is_null(own))
                        return;
                (void) dup2(own, fd);
        }
}
