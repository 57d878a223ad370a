/* Signals and children: who ended, and how. */
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "message.h"
#include "monitor.h"

int exit_code_of(int status)
{
        if (WIFEXITED(status))
                return WEXITSTATUS(status);
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : EXIT_UNKNOWN;
}

static void container_ended(struct monitor *m, int code, int signal)
{
        m->exit_code = code;
        m->exit_signal = signal;
        m->ended = true;
        m->container_pid = 0;
}

static void container_reaped(struct monitor *m, int status)
{
        container_ended(m, exit_code_of(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

/* --- other children --- */

static void take_out(struct monitor *m, struct child *child)
{
        struct child **p = &m->children;

        while (*p && *p != child)
                p = &(*p)->next;
        if (*p)
                *p = child->next;
}

static bool told(struct monitor *m, pid_t pid, int status)
{
        for (struct child *c = m->children; c; c = c->next)
                if (c->pid == pid) {
                        take_out(m, c);
                        c->pid = 0;
                        c->ended(c, status);
                        return true;
                }
        return false;
}

/* Whether pid is among those that ended before anybody knew it. */
static bool was_stray(const struct monitor *m, pid_t pid, int *ret_status)
{
        for (size_t i = 0; i < MIN_OF(m->n_strays, (size_t) STRAYS_MAX); i++)
                if (m->strays[i].pid == pid) {
                        *ret_status = m->strays[i].status;
                        return true;
                }
        return false;
}

void children_add(struct monitor *m, struct child *child)
{
        int status;

        child->next = m->children;
        m->children = child;
        if (m->expecting > 0 && was_stray(m, child->pid, &status))
                (void) told(m, child->pid, status);
}

void children_forget(struct monitor *m, struct child *child)
{
        take_out(m, child);
        child->pid = 0;
}

void children_expect(struct monitor *m)
{
        /* An older one may have had the number that the new process gets. */
        if (m->expecting++ == 0)
                m->n_strays = 0;
}

void children_settle(struct monitor *m)
{
        m->expecting--;
}

static void reap(struct monitor *m)
{
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid == m->runtime_pid) {
                        m->runtime_pid = 0;
                        m->runtime_status = status;
                        m->runtime_done = true;
                } else if (pid == m->container_pid) {
                        container_reaped(m, status);
                } else if (!told(m, pid, status) && m->expecting > 0) {
                        size_t i = m->n_strays++ % STRAYS_MAX; /* the newest ones are kept */

                        m->strays[i].pid = pid;
                        m->strays[i].status = status;
                }
        }
}

static void pass_on(const struct monitor *m, int signal)
{
        pid_t to = m->container_pid > 0 ? m->container_pid : m->runtime_pid;

        if (to > 0 && kill(to, signal) < 0 && errno != ESRCH)
                msg_warn("Failed to pass on signal %d: %s", signal, strerror(errno));
}

static void signal_event(struct source *source, uint32_t events)
{
        struct monitor *m = source->data;
        struct signalfd_siginfo info[4];
        ssize_t n = read(source->fd, info, sizeof(info));

        (void) events;
        for (size_t i = 0; n > 0 && i < (size_t) n / sizeof(info[0]); i++)
                if (info[i].ssi_signo != SIGCHLD) {
                        m->held = true; /* who ends the monitor wants no restart */
                        pass_on(m, (int) info[i].ssi_signo);
                }
        reap(m);
}

int children_watch(struct monitor *m)
{
        sigset_t set;
        int r;

        if (m->signals.fd >= 0)
                return 0;
        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGCHLD);
        (void) sigaddset(&set, SIGTERM);
        (void) sigaddset(&set, SIGINT);
        (void) sigaddset(&set, SIGQUIT);
        if (sigprocmask(SIG_BLOCK, &set, &m->sigmask) < 0)
                return -errno;
        m->signals = (struct source){.handle = signal_event, .data = m};
        m->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        r = m->signals.fd < 0 ? -errno : loop_add(&m->loop, &m->signals, EPOLLIN);
        if (r < 0)
                msg_error("Failed to watch for signals: %s", strerror(-r));
        return r;
}

bool children_is_own(pid_t pid)
{
        siginfo_t info;

        return waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void foreign_ended(struct source *source, uint32_t events)
{
        struct monitor *m = source->data;

        (void) events;
        loop_del(&m->loop, source);
        container_ended(m, EXIT_UNKNOWN, 0);
}

/* Some runtimes leave the container to another parent: its end can be seen, its code cannot. */
static void watch_foreign(struct monitor *m)
{
        int fd = (int) syscall(SYS_pidfd_open, m->container_pid, 0);

        close_p(&m->container.fd);
        m->container = (struct source){.fd = fd, .handle = foreign_ended, .data = m};
        if (fd < 0 || loop_add(&m->loop, &m->container, EPOLLIN) < 0)
                container_ended(m, EXIT_UNKNOWN, 0);
}

void children_set_container(struct monitor *m, pid_t pid)
{
        int status;

        m->container_pid = pid;
        if (was_stray(m, pid, &status))
                container_reaped(m, status);
        else if (!children_is_own(pid))
                watch_foreign(m);
}

static void timeout_event(struct source *source, uint32_t events)
{
        struct monitor *m = source->data;

        (void) events;
        loop_del(&m->loop, source);
        m->timed_out = true;
}

void children_stop_timeout(struct monitor *m)
{
        loop_del(&m->loop, &m->timeout);
        close_p(&m->timeout.fd);
}

int children_set_timeout(struct monitor *m, int seconds)
{
        struct itimerspec spec = {.it_value.tv_sec = seconds};
        int r;

        if (seconds <= 0)
                return 0;
        m->timeout = (struct source){.handle = timeout_event, .data = m};
        m->timeout.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        r = timerfd_settime(m->timeout.fd, 0, &spec, NULL) < 0 ? -errno : 0;
        if (r == 0)
                r = loop_add(&m->loop, &m->timeout, EPOLLIN);
        if (r < 0)
                msg_error("Failed to set the timeout: %s", strerror(-r));
        return r;
}
