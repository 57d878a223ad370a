/* Starting, signalling, removing and awaiting containers. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>

#include "cgroup.h"
#include "config.h"
#include "container.h"
#include "fail.h"
#include "hooks.h"
#include "io.h"
#include "notify.h"
#include "sync.h"
#include "terminal.h"
#include "util.h"

/* Hooks of one kind from the configuration that was copied at creation. */
static int run_hooks(const struct runtime *rt, int dir_fd, const struct state *s, int kind, const char *status,
                     spawn_error *e)
{
        struct config c;
        char *json;
        int r;

        if (!s->hooks)
                return 0;
        r = config_read(dir_fd, "config.json", "config.json", &c, e);
        if (r == 0 && c.hooks.n[kind] > 0) {
                json = state_oci_json(s, status, kind == HOOK_POSTSTOP ? 0 : s->pid, false);
                r = json == NULL ? spawn_err(e, ENOMEM, "hooks", "out of memory") : hooks_open(&c.hooks, e);
                if (r == 0)
                        r = hooks_run(&c.hooks, kind, json, rt->log, e);
                hooks_close(&c.hooks);
                free(json);
        }
        config_free(&c);
        return r;
}

/* Nobody has finished creating it, and somebody is still at it. */
static bool is_being_created(int dir, int r, const struct state *s)
{
        if (r == 0)
                return s->pid == 0 && state_status(dir, s) == STATUS_CREATING;
        if (r != -ENOENT || flock(dir, LOCK_SH | LOCK_NB) == 0) {
                (void) flock(dir, LOCK_UN);
                return false;
        }
        return true;
}

/* The state; while somebody is creating the container, what that becomes. */
static int await_created(int dir, const char *id, struct state *s, spawn_error *e)
{
        const struct timespec pause = {.tv_nsec = 5000000};
        int r = state_read(dir, id, s, NULL);

        /* The lock comes a moment after the directory. */
        for (int i = 0; i < 2000 && (is_being_created(dir, r, s) || (r == -ENOENT && i < 20)); i++) {
                (void) nanosleep(&pause, NULL);
                state_free(s);
                r = state_read(dir, id, s, NULL);
        }
        if (r < 0) {
                state_free(s);
                r = state_read(dir, id, s, e);
        }
        return r;
}

/* Kill what is left and wait until the init is gone: reaping is its parent's. */
static int kill_hard(const struct state *s, spawn_error *e)
{
        _cleanup_close_ int pidfd = state_pidfd(s);

        if (pidfd < 0 && pidfd != -ESRCH)
                return fail_code(e, pidfd, "delete", "find the process of container `%s`", s->id);
        if (pidfd >= 0) {
                struct pollfd p = {.fd = pidfd, .events = POLLIN};

                if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
                        return fail_errno(e, "delete", "kill container `%s`", s->id);
                if (s->cgroup != NULL)
                        (void) cgroup_kill(s->cgroup);
                if (poll(&p, 1, 10000) == 0)
                        return spawn_err(e, ETIMEDOUT, "delete", "delete container `%s`: its process %d does not die",
                                         s->id, (int) s->pid);
        }
        return 0;
}

/* Wait for readiness; beside us when we have to attend to the container meanwhile. */
static void await_ready(int notify, const struct state *s, bool beside)
{
        _cleanup_close_ int pidfd = notify >= 0 ? state_pidfd(s) : -1;

        if (pidfd < 0)
                return;
        if (beside && fork() != 0)
                return;
        if (beside)
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        notify_wait(notify, pidfd);
        if (beside)
                _exit(0);
}

static int start(const struct runtime *rt, const char *id, bool beside, spawn_error *e)
{
        struct sync_message m;
        struct state s;
        bool told, destroy = false;
        int r = state_check_id(id, e);

        if (r < 0)
                return r;
        _cleanup_close_ int dir = state_open_dir(rt, id, e);
        if (dir < 0)
                return dir;
        r = await_created(dir, id, &s, e);
        if (r < 0) {
                state_free(&s);
                return r;
        }
        _cleanup_close_ int fd = state_alive(&s) ? start_connect(dir) : -ESRCH;
        if (fd < 0) {
                r = spawn_err(e, EINVAL, "start", "cannot start container `%s`: it is %s, not created", id,
                              status_name(state_status(dir, &s)));
                state_free(&s);
                return r;
        }
        _cleanup_close_ int notify = notify_listen(dir, e);
        r = notify < -1 ? notify : sync_send(fd, SYNC_GO, 0, NULL);
        told = r == 0;
        /* The other end is closed by execve(2): silence is success, words are why it failed. */
        if (r == 0)
                r = sync_receive(fd, &m);
        if (r > 0) {
                *e = m.err;
                r = m.err.code > 0 ? -m.err.code : -EIO;
        } else if (r == -ECONNRESET) {
                (void) spawn_err(e, ESRCH, "start", "cannot start container `%s`: its process did not take the order",
                                 id);
        } else if (r < 0 && e->code == 0) {
                (void) fail_code(e, r, "start", "start container `%s`", id);
                if (told) /* whether it runs cannot be known: then it shall not */
                        (void) kill_hard(&s, NULL);
        } else if (r == 0) {
                (void) unlinkat(dir, "start", 0);
                log_debug(rt->log, "container `%s` runs its program", id);
                await_ready(notify, &s, beside);
                r = run_hooks(rt, dir, &s, HOOK_POSTSTART, "running", e);
                destroy = r < 0;
                if (r < 0 && strcmp(e->stage, "hooks") != 0)
                        (void) fail_wrap(e, r, "run the poststart hooks of container `%s`", id);
        }
        state_free(&s);
        /* runtime.md, "Lifecycle", 7 and 9: when a hook fails the container is stopped and destroyed. */
        if (destroy || (r < 0 && strcmp(e->stage, "hooks") == 0))
                (void) container_delete(rt, id, true, NULL);
        return r;
}

int container_start(const struct runtime *rt, const char *id, spawn_error *e)
{
        return start(rt, id, false, e);
}

int container_start_attended(const struct runtime *rt, const char *id, spawn_error *e)
{
        return start(rt, id, true, e);
}

static int kill_all(const struct state *s, int signal)
{
        int r;

        if (s->cgroup == NULL)
                return -ENOENT;
        if (signal == SIGKILL)
                return cgroup_kill(s->cgroup);
        r = cgroup_signal(s->cgroup, signal);
        return r == 0 ? -ESRCH : r < 0 ? r : 0;
}

int container_kill(const struct runtime *rt, const char *id, int signal, bool all, spawn_error *e)
{
        struct state s;
        int r;

        _cleanup_close_ int dir = state_load(rt, id, &s, e);
        if (dir < 0) {
                state_free(&s);
                return dir;
        }
        log_debug(rt->log, "kill: signal %d to %s of `%s`, process %d", signal, all ? "all processes" : "the init", id,
                  (int) s.pid);
        r = all ? kill_all(&s, signal) : -ENOENT;
        if (r == -ENOENT) {
                /* One process; with --all and no cgroup too: if it is the init of a pid namespace, the kernel kills
                 * the rest with it. */
                _cleanup_close_ int pidfd = state_pidfd(&s);

                r = pidfd < 0 ? pidfd : syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
        }
        if (r == -ESRCH)
                (void) spawn_err(e, ESRCH, "kill", "cannot kill container `%s`: container not running", id);
        else if (r < 0)
                (void) fail_code(e, r, "kill", "kill container `%s`", id);
        state_free(&s);
        return r;
}

static int delete_steps(const struct runtime *rt, int dir, const struct state *s, bool force, spawn_error *e)
{
        enum status status = state_status(dir, s);
        spawn_error hook = {0};
        int r;

        log_debug(rt->log, "delete: container `%s` is %s, cgroup %s", s->id, status_name(status),
                  s->cgroup != NULL ? s->cgroup : "none");
        if (status == STATUS_CREATING)
                return spawn_err(e, EBUSY, "delete", "container `%s` is being created", s->id);
        if (!force && status != STATUS_STOPPED && status != STATUS_CREATED)
                return spawn_err(e, EBUSY, "delete",
                                 "the container `%s` is not in `created` or `stopped` state: it is %s", s->id,
                                 status_name(status));
        r = kill_hard(s, e);
        if (r < 0)
                return r;
        r = cgroup_destroy(rt, s, e);
        if (r < 0)
                return r;
        if (run_hooks(rt, dir, s, HOOK_POSTSTOP, "stopped", &hook) < 0)
                log_warning(rt->log, "%s", hook.text);
        return state_remove(rt, s->id, e);
}

/* Nothing can be known of it but its configuration: what is there is garbage, with a cgroup perhaps. */
static int remove_garbage(const struct runtime *rt, int dir, const char *id, spawn_error *e)
{
        struct config c;

        if (config_read(dir, "config.json", "config.json", &c, NULL) == 0)
                cgroup_forget(rt, id, &c);
        config_free(&c);
        return state_remove(rt, id, e);
}

int container_delete(const struct runtime *rt, const char *id, bool force, spawn_error *e)
{
        struct state s;
        int r = state_check_id(id, e);

        if (r < 0)
                return r;
        _cleanup_close_ int dir = state_open_dir(rt, id, e);
        if (dir < 0)
                return force && dir == -ENOENT ? 0 : dir;
        r = force ? await_created(dir, id, &s, e) : state_read(dir, id, &s, e);
        if (r == 0)
                r = delete_steps(rt, dir, &s, force, e);
        else if (r == -ENOENT && flock(dir, LOCK_SH | LOCK_NB) < 0)
                r = spawn_err(e, EBUSY, "delete", "container `%s` is being created", id);
        else if (r == -ENOENT || (force && (r == -EINVAL || r == -EBADMSG)))
                r = remove_garbage(rt, dir, id, e);
        state_free(&s);
        return r;
}

static void forward_signal(int signal_fd, int pidfd)
{
        struct signalfd_siginfo si;

        if (read(signal_fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo != SIGCHLD)
                (void) syscall(SYS_pidfd_send_signal, pidfd, (int) si.ssi_signo, NULL, 0);
}

static void forwarded_signals(sigset_t *ret)
{
        (void) sigfillset(ret);
        /* Those that stop us are meant for us. */
        (void) sigdelset(ret, SIGTSTP);
        (void) sigdelset(ret, SIGTTIN);
        (void) sigdelset(ret, SIGTTOU);
}

void wait_hold_signals(void)
{
        sigset_t all;

        forwarded_signals(&all);
        (void) sigprocmask(SIG_BLOCK, &all, NULL);
}

static int await_child(pid_t pid, int master, spawn_error *e)
{
        sigset_t all;
        int status, r = 0;

        _cleanup_close_ int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (pidfd < 0)
                return fail_errno(e, "wait", "watch process %d", (int) pid);
        forwarded_signals(&all);
        _cleanup_close_ int signals = signalfd(-1, &all, SFD_CLOEXEC);
        if (signals < 0)
                return fail_errno(e, "wait", "signalfd");
        if (master >= 0)
                r = terminal_relay(master, pidfd, signals, e);
        while (r == 0) {
                struct pollfd p[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};

                if (poll(p, 2, -1) < 0 && errno != EINTR)
                        return fail_errno(e, "wait", "poll");
                if (p[0].revents != 0)
                        break;
                if (p[1].revents != 0)
                        forward_signal(signals, pidfd);
        }
        if (r < 0)
                return r;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return fail_errno(e, "wait", "wait for process %d", (int) pid);
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int wait_child(pid_t pid, int master, spawn_error *e)
{
        int r = await_child(pid, master, e);

        /* Nobody would attend to it any more. */
        if (r < 0)
                cleanup_killp(&pid);
        return r;
}
