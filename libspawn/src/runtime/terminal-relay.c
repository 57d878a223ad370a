/* Foreground run and exec with a terminal: between our own terminal and the container's. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <termios.h>

#include "fail.h"
#include "terminal.h"
#include "util.h"

static void copy_size(int master)
{
        struct winsize size;

        if (ioctl(0, TIOCGWINSZ, &size) == 0)
                (void) ioctl(master, TIOCSWINSZ, &size);
}

static void on_signal(int signal_fd, int pidfd, int master)
{
        struct signalfd_siginfo si;

        if (read(signal_fd, &si, sizeof(si)) != sizeof(si) || si.ssi_signo == SIGCHLD)
                return;
        if (si.ssi_signo == SIGWINCH)
                copy_size(master);
        else
                (void) syscall(SYS_pidfd_send_signal, pidfd, (int) si.ssi_signo, NULL, 0);
}

/* What has been read on one side and not yet been written on the other. */
struct channel {
        char data[4096]; /* PIPE_BUF: a pipe that is ready for writing takes it whole */
        size_t at, len;
        bool open; /* there may be more to read */
        bool sink; /* nobody takes it: it is read and dropped, so that the writer is not held up */
};

static void fill(struct channel *c, int fd)
{
        ssize_t n = read(fd, c->data, sizeof(c->data));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        c->open = n > 0; /* EIO from a master: nobody has the slave open any more */
        c->at = 0;
        c->len = n > 0 && !c->sink ? (size_t) n : 0;
}

static void empty(struct channel *c, int fd)
{
        ssize_t n = write(fd, c->data + c->at, c->len);

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        c->sink = c->sink || n < 0;
        c->at += n > 0 ? (size_t) n : 0;
        c->len -= n > 0 ? (size_t) n : c->len;
}

/* Neither a program that does not read nor an output that stands still keeps the other direction, or signals, waiting. */
static int relay(int master, int pidfd, int signal_fd)
{
        struct channel in = {.open = true}, out = {.open = true};
        bool alive = true;

        while (out.open || out.len > 0) {
                short at_master = (short) ((out.open && out.len == 0 ? POLLIN : 0) | (in.len > 0 ? POLLOUT : 0));
                struct pollfd p[5] = {
                        {.fd = at_master != 0 ? master : -1, .events = at_master},
                        {.fd = in.open && in.len == 0 ? 0 : -1, .events = POLLIN},
                        {.fd = out.len > 0 ? 1 : -1, .events = POLLOUT},
                        {.fd = signal_fd, .events = POLLIN},
                        {.fd = alive ? pidfd : -1, .events = POLLIN},
                };

                /* Others may keep the terminal open: once the process has ended, what is there already is all. */
                int n = poll(p, 5, alive || out.len > 0 ? -1 : 0);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0 && !alive)
                        break;
                if (p[3].revents != 0)
                        on_signal(signal_fd, pidfd, master);
                if (p[2].revents != 0)
                        empty(&out, 1);
                if (p[1].revents != 0)
                        fill(&in, 0);
                if (p[0].revents & POLLOUT)
                        empty(&in, master);
                if ((at_master & POLLIN) && (p[0].revents & (POLLIN | POLLHUP | POLLERR)))
                        fill(&out, master);
                if (p[4].revents != 0) {
                        alive = false;
                        in = (struct channel){0};
                }
        }
        return 0;
}

int terminal_relay(int master, int pidfd, int signal_fd, spawn_error *e)
{
        struct termios saved, raw;
        bool tty = tcgetattr(0, &saved) == 0;
        int r;

        if (tty) {
                raw = saved;
                cfmakeraw(&raw);
                if (tcsetattr(0, TCSANOW, &raw) < 0)
                        return fail_errno(e, "terminal", "set the terminal to raw mode");
                copy_size(master);
        }
        (void) fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
        r = relay(master, pidfd, signal_fd);
        if (tty)
                (void) tcsetattr(0, TCSADRAIN, &saved);
        return r < 0 ? fail_code(e, r, "terminal", "relay the terminal") : 0;
}
