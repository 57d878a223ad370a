/* The container has ended: tell everyone, in the order that lets nobody see half of it. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "eventlog.h"
#include "message.h"
#include "monitor.h"
#include "runtime.h"
#include "syncpipe.h"

static int write_code(const char *dir, const char *name, const char *text)
{
        _cleanup_free_ char *path = dir ? format("%s/%s", dir, name) : NULL;
        int r = path ? write_file_atomic(path, text) : 0;

        if (r < 0)
                msg_error("Failed to write %s to exit file %s: %s", text, path, strerror(-r));
        return r;
}

static int write_exit_files(const struct monitor *m)
{
        char text[16];
        int r, r2;

        (void) snprintf(text, sizeof(text), "%d", m->exit_code);
        r = write_code(m->opt.persist_dir, "exit", text);
        r2 = write_code(m->opt.exit_dir, m->opt.cid, text);
        return r < 0 ? r : r2;
}

static void kill_container(const struct monitor *m)
{
        pid_t group = getpgid(m->container_pid);

        /* kill(-1) would take everything that we may signal. */
        (void) kill(group > 1 ? -group : m->container_pid, SIGKILL);
}

/* Close what was left open for the container, so that its ports are free before anybody learns that it has ended. */
static void close_inherited(struct monitor *m)
{
        for (size_t i = 0; i < m->n_inherited; i++)
                close(m->inherited[i]);
        m->n_inherited = 0;
}

/* Wait for the one byte by which the owner says that it has cleaned up. false: there is no owner (any more). */
static bool ask_owner(struct monitor *m)
{
        _cleanup_close_ int fd = steal_fd(&m->owner_pipe);
        char text[16], answer = 0;
        ssize_t n;
        int len = snprintf(text, sizeof(text), "%d\n", m->exit_code);

        if (fd < 0 || write_all(fd, text, (size_t) len) < 0)
                return false;
        do {
                struct pollfd pfd = {.fd = fd, .events = POLLIN};

                (void) poll(&pfd, 1, -1);
                n = read(fd, &answer, 1);
        } while (n < 0 && (errno == EINTR || errno == EAGAIN));
        return n == 1 && answer == 'k';
}

/* Does: everything between fork and exec of the exit command. Must not: return. */
static _Noreturn void exit_command_child(const struct monitor *m)
{
        const struct options *opt = &m->opt;
        char **argv = calloc(opt->exit_args.n + 2, sizeof(*argv));

        if (!argv)
                _exit(EXIT_FAILURE);
        argv[0] = opt->exit_command;
        for (size_t i = 0; i < opt->exit_args.n; i++)
                argv[i + 1] = opt->exit_args.v[i];
        (void) close_range(STDERR_FILENO + 1, ~0U, 0);
        if (opt->exit_delay > 0)
                (void) sleep((unsigned int) opt->exit_delay);
        if (m->oom_score_adj != OOM_SCORE_KEPT)
                (void) oom_score_adjust(m->oom_score_adj);
        (void) signal(SIGPIPE, SIG_DFL);
        /* A service manager ends us with our unit; what there is to clean up is there all the same. */
        (void) signal(SIGTERM, SIG_IGN);
        (void) sigprocmask(SIG_SETMASK, &m->sigmask, NULL);
        execv(argv[0], argv);
        _exit(EXIT_FAILURE);
}

static pid_t start_exit_command(const struct monitor *m)
{
        pid_t pid;

        /* What it leaves behind is not ours to wait for. */
        (void) prctl(PR_SET_CHILD_SUBREAPER, 0);
        pid = fork();
        if (pid == 0)
                exit_command_child(m);
        if (pid < 0)
                msg_error("Failed to fork the exit command: %s", strerror(errno));
        return pid;
}

static int wait_for(pid_t pid)
{
        int status = 0;
        pid_t r;

        do
                r = waitpid(pid, &status, 0);
        while (r < 0 && errno == EINTR);
        return r == pid ? exit_code_of(status) : EXIT_FAILURE;
}

/* Everything that callers wait for is told by now: clean up. The exit status of the monitor. */
static int leave(struct monitor *m, int status)
{
        bool owned = m->owner_pipe >= 0 && ask_owner(m);
        pid_t pid = 0;
        int code;

        if (m->opt.exit_command && m->started && !owned)
                pid = start_exit_command(m);
        /* Syncing may take long; it goes on beside the exit command. */
        if (!m->opt.no_sync_log)
                log_sync(&m->log);
        if (pid > 0) {
                code = wait_for(pid);
                if (code != 0)
                        status = code;
        } else if (pid < 0) {
                status = EXIT_FAILURE;
        }
        attach_remove_symlink(&m->attach);
        while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
        return status;
}

static void remove_attach_socket(const struct monitor *m)
{
        if (m->attach.path && unlink(m->attach.path) < 0 && errno != ENOENT)
                msg_warn("Failed to remove attach socket %s: %s", m->attach.path, strerror(errno));
}

int finish(struct monitor *m)
{
        bool killed = m->timed_out && m->container_pid > 0;
        int r;

        if (killed) {
                kill_container(m);
                m->exit_code = EXIT_UNKNOWN;
        } else {
                relay_drain(&m->relay);
        }
        log_flush(&m->log);
        close_inherited(m);
        /* The reason before the code: whoever sees the exit file finds both. */
        tend_over(m);
        tend_told(m);
        if (m->opt.exec)
                eventlog_tell(&m->opt, &(struct event){.status = "exec_died", .has_code = true, .code = m->exit_code});
        /* Before the clients' end of file: whoever sees that finds the code at once. Nor does it wait for slow ones. */
        r = write_exit_files(m);
        control_finish(&m->control);
        while (!killed && !m->relay.drained && loop_step(&m->loop, -1) >= 0)
                ;
        attach_finish(&m->attach);
        if (m->opt.exec)
                sync_report(&m->sync_pipe, &m->opt, m->exit_code, killed ? "command timed out" : NULL);
        close_p(&m->sync_pipe);
        remove_attach_socket(m);
        return leave(m, r < 0 ? EXIT_FAILURE : m->exit_code);
}

int finish_failed(struct monitor *m)
{
        m->exit_code = EXIT_UNKNOWN;
        close_inherited(m);
        control_finish(&m->control);
        attach_finish(&m->attach);
        close_p(&m->sync_pipe);
        remove_attach_socket(m);
        return leave(m, EXIT_FAILURE);
}
