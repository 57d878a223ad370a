/* Processes by descriptor: no signal and no wait can reach a successor of the pid. */
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "fail.h"
#include "util.h"

/* FIXME(glibc 2.36): <sys/wait.h> of older ones has no P_PIDFD. */
#define WAIT_BY_PIDFD ((idtype_t) 3)

int spawn_pidfd_open(int pid, spawn_error *reterr)
{
        int fd = (int) syscall(SYS_pidfd_open, pid, 0);

        return fd < 0 ? fail_errno(reterr, "open pidfd", "process %d", pid) : fd;
}

int spawn_pidfd_send_signal(int pidfd, int signal, spawn_error *reterr)
{
        if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0)
                return fail_errno(reterr, "send signal", "signal %d", signal);
        return 0;
}

static long long now_ms(void)
{
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int spawn_pidfd_wait(int pidfd, int timeout_ms, spawn_error *reterr)
{
        const long long end = now_ms() + timeout_ms;
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        int left = timeout_ms;

        for (;;) {
                int r = poll(&p, 1, left);

                if (r > 0 && (p.revents & POLLNVAL))
                        return fail_code(reterr, EBADF, "wait for process", "descriptor %d", pidfd);
                if (r >= 0)
                        return r;
                if (errno != EINTR)
                        return fail_errno(reterr, "wait for process", "poll");
                if (timeout_ms >= 0)
                        left = end > now_ms() ? (int) (end - now_ms()) : 0;
        }
}

int spawn_pidfd_reap(int pidfd, spawn_error *reterr)
{
        siginfo_t info = {0};

        while (waitid(WAIT_BY_PIDFD, (id_t) pidfd, &info, WEXITED) < 0)
                if (errno != EINTR)
                        return fail_errno(reterr, "reap process", "waitid");
        return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}
