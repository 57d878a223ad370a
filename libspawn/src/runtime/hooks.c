/* OCI hooks: programs of the host that are told about the container's state. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "fail.h"
#include "hooks.h"
#include "io.h"
#include "process.h"
#include "util.h"

/* A file, not a pipe: a hook that does not read its stdin cannot block us, nor kill us by closing it. */
static int state_file(const char *json)
{
        _cleanup_close_ int fd = memfd_create("state", MFD_CLOEXEC);
        int r;

        if (fd < 0)
                return -errno;
        r = write_all(fd, json, strlen(json));
        if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
                return r < 0 ? r : -errno;
        return steal_fd(&fd);
}

static int open_output(const char *path, int *ret, spawn_error *e)
{
        if (path == NULL || *ret > 0)
                return 0;
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0700);
        *ret = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (*ret > 0)
                return 0;
        *ret = 0;
        return fail_errno(e, "hooks", "open `%s` for the output of hooks", path);
}

int hooks_open(struct oci_hooks *h, spawn_error *e)
{
        int r = open_output(h->out, &h->out_fd, e);

        return r < 0 ? r : open_output(h->err, &h->err_fd, e);
}

void hooks_close(struct oci_hooks *h)
{
        if (h->out_fd > 0)
                (void) close(h->out_fd);
        if (h->err_fd > 0)
                (void) close(h->err_fd);
        h->out_fd = h->err_fd = 0;
}

/* Why the hook's program could not be run, to whoever waits; the pipe closes when it can. */
static _Noreturn void hook_failed(int report_fd, int code)
{
        int why = errno;

        (void) !write(report_fd, &why, sizeof(why));
        _exit(code);
}

static _Noreturn void hook_child(const struct oci_hooks *all, const struct oci_hook *h, int state_fd, int report_fd)
{
        char *fallback[] = {(char *) (uintptr_t) h->path, NULL};
        char *const *argv = h->args.n > 0 ? (char *const *) h->args.v : fallback;

        process_reset_signals();
        if ((all->out_fd > 0 && dup2(all->out_fd, 1) < 0) || (all->err_fd > 0 && dup2(all->err_fd, 2) < 0))
                hook_failed(report_fd, 126);
        if (dup2(state_fd, 0) < 0 || cloexec_from(3) < 0)
                hook_failed(report_fd, 126);
        (void) execve(h->path, argv, h->env.v != NULL ? (char *const *) h->env.v : environ);
        hook_failed(report_fd, 127);
}

static int wait_hook(const struct oci_hook *h, pid_t *pid, int *ret_status, spawn_error *e)
{
        if (h->timeout > 0) {
                _cleanup_close_ int pidfd = (int) syscall(SYS_pidfd_open, *pid, 0);
                struct pollfd p = {.fd = pidfd, .events = POLLIN};
                int ms = h->timeout > INT32_MAX / 1000 ? INT32_MAX : (int) h->timeout * 1000;
                int r;

                if (pidfd < 0)
                        return fail_errno(e, "hooks", "watch hook `%s`", h->path);
                do
                        r = poll(&p, 1, ms);
                while (r < 0 && errno == EINTR);
                if (r < 0)
                        return fail_errno(e, "hooks", "watch hook `%s`", h->path);
                if (r == 0)
                        return spawn_err(e, ETIMEDOUT, "hooks", "hook `%s` did not end within %lld seconds", h->path,
                                         (long long) h->timeout);
        }
        while (waitpid(*pid, ret_status, 0) < 0)
                if (errno != EINTR)
                        return fail_errno(e, "hooks", "wait for hook `%s`", h->path);
        *pid = -1;
        return 0;
}

static int run_one(const struct oci_hooks *all, const struct oci_hook *h, const char *kind, const char *state_json,
                   spawn_error *e)
{
        int status, r, why = 0, pair[2];

        _cleanup_close_ int state = state_file(state_json);
        if (state < 0)
                return fail_code(e, state, "hooks", "write the state for hook `%s`", h->path);
        if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
                return fail_errno(e, "hooks", "make a pipe for hook `%s`", h->path);
        _cleanup_close_ int report = pair[0], report_in = pair[1];
        _cleanup_kill_ pid_t pid = fork();
        if (pid < 0)
                return fail_errno(e, "hooks", "fork for hook `%s`", h->path);
        if (pid == 0)
                hook_child(all, h, state, report_in);
        r = wait_hook(h, &pid, &status, e);
        if (r < 0)
                return r;
        if (read(report, &why, sizeof(why)) == (ssize_t) sizeof(why) && WIFEXITED(status))
                return fail_code(e, why, "hooks", "error executing hook `%s` (%s, exit code: %d)", h->path, kind,
                                 WEXITSTATUS(status));
        if (WIFSIGNALED(status))
                return spawn_err(e, EIO, "hooks", "error executing hook `%s` (%s): killed by signal %d", h->path, kind,
                                 WTERMSIG(status));
        if (WEXITSTATUS(status) != 0 && strcmp(kind, hook_names[HOOK_POSTSTOP]) == 0)
                return spawn_err(e, EIO, "hooks", "%s hook failed with exit code %d: `%s`", kind, WEXITSTATUS(status),
                                 h->path);
        if (WEXITSTATUS(status) != 0)
                return spawn_err(e, EIO, "hooks", "error executing hook `%s` (%s, exit code: %d)", h->path, kind,
                                 WEXITSTATUS(status));
        return 0;
}

int hooks_run(const struct oci_hooks *h, int kind, const char *state_json, const struct log *log, spawn_error *e)
{
        for (size_t i = 0; i < h->n[kind]; i++) {
                spawn_error local = {0};

                log_debug(log, "hook: %s `%s`", hook_names[kind], h->v[kind][i].path);
                int r = run_one(h, &h->v[kind][i], hook_names[kind], state_json, kind == HOOK_POSTSTOP ? &local : e);

                if (r < 0 && kind != HOOK_POSTSTOP)
                        return r;
                /* runtime.md, "Lifecycle", 13: the others and the deletion go on as if it had succeeded. */
                if (r < 0)
                        log_warning(log, "%s", local.text);
        }
        return 0;
}
