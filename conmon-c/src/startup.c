/* From the command line to the running runtime. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "message.h"
#include "monitor.h"
#include "runtime.h"
#include "syncpipe.h"

static int fds_from_env(struct monitor *m)
{
        const struct {
                const char *name;
                int *fd;
        } pipes[] = {
                {"_OCI_STARTPIPE", &m->start_pipe},
                {"_OCI_SYNCPIPE", &m->sync_pipe},
                {"_OCI_ATTACHPIPE", &m->attach_pipe},
                {"_PODLIKE_OWNERPIPE", &m->owner_pipe},
        };

        for (size_t i = 0; i < ARRAY_LEN(pipes); i++) {
                *pipes[i].fd = sync_fd_from_env(pipes[i].name);
                if (*pipes[i].fd < -1)
                        return *pipes[i].fd;
        }
        return 0;
}

/* The owner of a foreground run is whoever made the socket pair. */
static void find_owner(struct monitor *m)
{
        const char *patience = getenv("PODLIKE_ATTACH_PATIENCE_MS");
        struct ucred cred = {0};
        socklen_t len = sizeof(cred);

        if (m->owner_pipe >= 0 && getsockopt(m->owner_pipe, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
                m->attach.owner = cred.pid;
        if (patience)
                m->attach.patience = (int) strtol(patience, NULL, 10);
}

/* Note the fds that were left open for the container. Ours are CLOEXEC by now, so those that are not are theirs. */
static int note_inherited(struct monitor *m)
{
        _cleanup_close_ int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char buf[1024] __attribute__((aligned(__alignof__(struct dirent64))));
        ssize_t n;

        while (dir >= 0 && (n = getdents64(dir, buf, sizeof(buf))) > 0) {
                for (ssize_t at = 0; at < n; at += ((struct dirent64 *) (buf + at))->d_reclen) {
                        int fd = (int) strtol(((struct dirent64 *) (buf + at))->d_name, NULL, 10);
                        int flags = fd > STDERR_FILENO ? fcntl(fd, F_GETFD) : -1, *p;

                        if (flags < 0 || flags & FD_CLOEXEC)
                                continue;
                        p = realloc(m->inherited, (m->n_inherited + 1) * sizeof(*p));
                        if (!p)
                                return -ENOMEM;
                        p[m->n_inherited++] = fd;
                        m->inherited = p;
                }
        }
        return 0;
}

int startup_environment(struct monitor *m)
{
        int r;

        /* With 0, 1 or 2 closed, the next open(2) would become the container's stdio. */
        do
                r = open("/dev/null", O_RDWR | O_CLOEXEC);
        while (r >= 0 && r <= STDERR_FILENO);
        if (r >= 0)
                close(r);
        r = fds_from_env(m);
        if (r < 0)
                return r;
        if (m->opt.exec_attach && m->attach_pipe < 0) {
                msg_error("--attach specified but _OCI_ATTACHPIPE was not");
                return -EINVAL;
        }
        (void) unsetenv("NOTIFY_SOCKET");
        find_owner(m);
        return note_inherited(m);
}

/* The caller moves us to another cgroup first, and so nothing may be forked before it says so. */
int startup_wait(struct monitor *m)
{
        char byte[64];

        m->oom_score_adj = oom_score_adjust(-1000);
        (void) signal(SIGPIPE, SIG_IGN);
        (void) umask(022);
        if (m->start_pipe < 0)
                return 0;
        while (read(m->start_pipe, byte, sizeof(byte)) < 0) {
                if (errno == EINTR)
                        continue;
                msg_error("start-pipe read failed: %s", strerror(errno));
                return -EIO;
        }
        if (!m->opt.exec_attach)
                close_p(&m->start_pipe);
        return 0;
}

static int write_own_pidfile(const struct options *opt, pid_t pid)
{
        char text[16];
        int r;

        if (!opt->conmon_pidfile)
                return 0;
        (void) snprintf(text, sizeof(text), "%d", (int) pid);
        r = write_file_atomic(opt->conmon_pidfile, text);
        if (r < 0)
                msg_error("Failed to write conmon pidfile %s: %s", opt->conmon_pidfile, strerror(-r));
        return r;
}

static int disconnect_stdio(void)
{
        _cleanup_close_ int in = open("/dev/null", O_RDONLY | O_CLOEXEC), out = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (in < 0 || out < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
            dup2(out, STDERR_FILENO) < 0) {
                msg_error("Failed to open /dev/null: %s", strerror(errno));
                return -EIO;
        }
        return 0;
}

int startup_detach(struct monitor *m)
{
        int r = 0;

        if (!m->opt.sync) {
                pid_t pid = fork();

                if (pid < 0) {
                        msg_error("Failed to fork: %s", strerror(errno));
                        return -EAGAIN;
                }
                if (pid > 0) {
                        r = write_own_pidfile(&m->opt, pid);
                        return r < 0 ? r : 1;
                }
        }
        if (!m->log.passthrough)
                r = disconnect_stdio();
        (void) setsid();
        /* The runtime leaves the container behind; as its subreaper we become its parent and learn its exit code. */
        if (r == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
                msg_error("Failed to set as subreaper: %s", strerror(errno));
                r = -EPERM;
        }
        return r;
}

/* Tell the caller of an exec session that it can connect now; it has to before the command runs. */
static void announce_sockets(struct monitor *m)
{
        if (m->opt.exec_attach)
                sync_report(&m->attach_pipe, &m->opt, 0, NULL);
}

static void console_received(void *data, int tty)
{
        struct monitor *m = data;
        int in;

        (void) set_nonblock(tty, true);
        in = fcntl(tty, F_DUPFD_CLOEXEC, 3);
        relay_set(&m->relay, STREAM_STDOUT, tty, true);
        ctl_set_terminal(&m->ctl, tty);
        m->input.tty = true;
        if (in >= 0)
                input_set_terminal(&m->input, in);
}

int startup_console(struct monitor *m)
{
        console_init(&m->console, &m->loop, console_received, m);
        return console_listen(&m->console);
}

int startup_sockets(struct monitor *m)
{
        int r = loop_init(&m->loop);

        if (r < 0) {
                msg_error("Failed to make an epoll instance: %s", strerror(-r));
                return r;
        }
        if (m->opt.sdnotify_socket)
                r = sdnotify_open(&m->notify, &m->opt);
        if (r == 0 && m->opt.terminal)
                r = startup_console(m);
        if (r == 0 && (m->orders.given || (m->opt.state_file && m->opt.bundle)))
                r = control_open(&m->control);
        if (r == 0 && m->opt.bundle && !m->log.passthrough) {
                r = attach_listen(&m->attach, &m->opt);
                if (r == 0)
                        r = ctl_open(&m->ctl, m->opt.bundle);
        }
        if (r == 0)
                announce_sockets(m);
        return r;
}

struct ends {
        int ours, theirs;
};

static int make_pipe(struct ends *ends, bool we_write)
{
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0) {
                msg_error("Failed to create a pipe: %s", strerror(errno));
                return -errno;
        }
        *ends = (struct ends){.ours = fds[we_write], .theirs = fds[!we_write]};
        return set_nonblock(ends->ours, true);
}

/* Make the pipes and give our ends to input and relay. */
static int make_stdio(struct monitor *m, struct ends *in, struct ends *out, struct ends *err)
{
        int r = 0;

        if (m->opt.terminal) {
                input_init(&m->input, &m->loop, -1, INPUT_WAITING);
        } else if (m->opt.stdin_open) {
                r = make_pipe(in, true);
                if (r == 0)
                        input_init(&m->input, &m->loop, in->ours, INPUT_OPEN);
        }
        m->input.keep_open = m->opt.leave_stdin_open;
        if (r == 0 && !m->opt.terminal)
                r = make_pipe(out, false);
        if (r == 0)
                r = make_pipe(err, false);
        if (r < 0)
                return r;
        if (out->ours >= 0)
                relay_set(&m->relay, STREAM_STDOUT, out->ours, false);
        relay_set(&m->relay, STREAM_STDERR, err->ours, false);
        return 0;
}

/* A pidfile left by an earlier run would name a wrong process should the runtime fail without saying so. */
static void remove_old_pidfile(const char *path)
{
        struct stat st;

        if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
                (void) unlink(path);
}

int startup_runtime(struct monitor *m)
{
        struct ends in = {-1, -1}, out = {-1, -1}, err = {-1, -1};
        struct runtime_setup setup = {
                .opt = &m->opt,
                .console_socket = m->console.path,
                .passthrough = m->log.passthrough,
                .start_pipe = m->start_pipe,
                .oom_score_adj = m->oom_score_adj,
                .sigmask = &m->sigmask,
        };
        int r;

        if (!m->log.passthrough) {
                r = make_stdio(m, &in, &out, &err);
                if (r < 0)
                        return r;
        }
        setup.in = in.theirs;
        setup.out = out.theirs;
        setup.err = err.theirs;
        remove_old_pidfile(m->opt.container_pidfile);
        r = children_watch(m);
        if (r < 0)
                return r;
        children_expect(m);
        m->runtime_pid = runtime_start(&setup);
        close_p(&in.theirs);
        close_p(&out.theirs);
        close_p(&err.theirs);
        close_p(&m->start_pipe);
        if (m->runtime_pid < 0) {
                children_settle(m);
                msg_error("Failed to fork the create command: %s", strerror(-m->runtime_pid));
                return m->runtime_pid;
        }
        m->started = true;
        relay_prepare(&m->relay);
        /* A container that may be made again takes them again. */
        return m->log.passthrough && !m->orders.given ? disconnect_stdio() : 0;
}
