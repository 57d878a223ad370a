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
#include "io.h"
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

/* Returns false at the end of input. */
static bool pump(int from, int to)
{
        char buf[8192];
        ssize_t n = read(from, buf, sizeof(buf));

        if (n < 0)
                return errno == EINTR || errno == EAGAIN;
        return n > 0 && write_all(to, buf, (size_t) n) == 0;
}

static int relay(int master, int pidfd, int signal_fd)
{
        bool input = true, output = true, alive = true;

        while (output) {
                struct pollfd p[4] = {
                        {.fd = output ? master : -1, .events = POLLIN},
                        {.fd = input ? 0 : -1, .events = POLLIN},
                        {.fd = signal_fd, .events = POLLIN},
                        {.fd = alive ? pidfd : -1, .events = POLLIN},
                };

                /* Others may keep the terminal open: once the process has ended, what is there already is all. */
                int n = poll(p, 4, alive ? -1 : 0);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0 && !alive)
                        break;
                if (p[2].revents != 0)
                        on_signal(signal_fd, pidfd, master);
                if (p[1].revents != 0)
                        input = pump(0, master);
                if (p[0].revents != 0)
                        output = pump(master, 1); /* EIO: nobody has the slave open any more */
                if (p[3].revents != 0)
                        alive = false;
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
        r = relay(master, pidfd, signal_fd);
        if (tty)
                (void) tcsetattr(0, TCSADRAIN, &saved);
        return r < 0 ? fail_code(e, r, "terminal", "relay the terminal") : 0;
}
