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

static _Noreturn void hook_child(const struct oci_hook *h, int state_fd, const char *cwd)
{
        char *fallback[] = {(char *) (uintptr_t) h->path, NULL};
        char *const *argv = h->args.n > 0 ? (char *const *) h->args.v : fallback;

        process_reset_signals();
        if (dup2(state_fd, 0) < 0 || cloexec_from(3) < 0 || (cwd != NULL && chdir(cwd) < 0))
                _exit(126);
        (void) execve(h->path, argv, h->env.v != NULL ? (char *const *) h->env.v : environ);
        dprintf(2, "hook `%s`: %s\n", h->path, strerror(errno));
        _exit(127);
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

static int run_one(const struct oci_hook *h, const char *kind, const char *state_json, const char *cwd, spawn_error *e)
{
        int status, r;

        _cleanup_close_ int state = state_file(state_json);
        if (state < 0)
                return fail_code(e, state, "hooks", "write the state for hook `%s`", h->path);
        _cleanup_kill_ pid_t pid = fork();
        if (pid < 0)
                return fail_errno(e, "hooks", "fork for hook `%s`", h->path);
        if (pid == 0)
                hook_child(h, state, cwd);
        r = wait_hook(h, &pid, &status, e);
        if (r < 0)
                return r;
        if (WIFSIGNALED(status))
                return spawn_err(e, EIO, "hooks", "error executing hook `%s` (%s): killed by signal %d", h->path, kind,
                                 WTERMSIG(status));
        if (WEXITSTATUS(status) != 0)
                return spawn_err(e, EIO, "hooks", "error executing hook `%s` (%s, exit code: %d)", h->path, kind,
                                 WEXITSTATUS(status));
        return 0;
}

int hooks_run(const struct oci_hooks *h, int kind, const char *state_json, const char *cwd, spawn_error *e)
{
        /* runtime-spec, "Lifecycle": after these the container goes on, and so do the other hooks. */
        bool all = kind == HOOK_POSTSTART || kind == HOOK_POSTSTOP;
        int first = 0;

        for (size_t i = 0; i < h->n[kind]; i++) {
                int r = run_one(&h->v[kind][i], hook_names[kind], state_json, cwd, first < 0 ? NULL : e);

                first = first < 0 ? first : r;
                if (r < 0 && !all)
                        break;
        }
        return first;
}
