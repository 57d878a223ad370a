/* podlike-pause: the first process of a pod. It holds the namespaces that the pod's containers share, and takes the exit
 * status of what is orphaned where they share the process ids too. SIGTERM and SIGINT end it.
 *
 * Five system calls and no C library: an idle pod costs three pages. It keeps no descriptor but those above 2, for
 * the network helper's end is told by one.
 */
#include <stddef.h>
#include <sys/syscall.h>

#ifdef PAUSE_FREESTANDING

/* No headers of the C library: what the kernel takes (signal(7), wait(2)). */
enum { SIG_BLOCK = 0, SIGINT = 2, SIGTERM = 15, WNOHANG = 1, SIGSET_BYTES = 8 };

static long call(long number, long a, long b, long c, long d)
{
#if defined(__x86_64__)
        register long r10 __asm__("r10") = d;
        long ret;

        __asm__ volatile("syscall"
                         : "=a"(ret)
                         : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                         : "rcx", "r11", "memory");
        return ret;
#elif defined(__aarch64__)
        register long nr __asm__("x8") = number;
        register long x0 __asm__("x0") = a;
        register long x1 __asm__("x1") = b;
        register long x2 __asm__("x2") = c;
        register long x3 __asm__("x3") = d;

        __asm__ volatile("svc 0" : "+r"(x0) : "r"(nr), "r"(x1), "r"(x2), "r"(x3) : "memory");
        return x0;
#elif defined(__riscv) && __riscv_xlen == 64
        register long nr __asm__("a7") = number;
        register long a0 __asm__("a0") = a;
        register long a1 __asm__("a1") = b;
        register long a2 __asm__("a2") = c;
        register long a3 __asm__("a3") = d;

        __asm__ volatile("ecall" : "+r"(a0) : "r"(nr), "r"(a1), "r"(a2), "r"(a3) : "memory");
        return a0;
#else
#error "no system call here: build it with the C library instead"
#endif
}

static long next_signal(void)
{
        unsigned long all = ~0UL;

        return call(SYS_rt_sigtimedwait, (long) &all, 0, 0, SIGSET_BYTES);
}

static void block_signals(void)
{
        unsigned long all = ~0UL;

        (void) call(SYS_rt_sigprocmask, SIG_BLOCK, (long) &all, 0, SIGSET_BYTES);
}

static void reap(void)
{
        while (call(SYS_wait4, -1, 0, WNOHANG, 0) > 0) {
        }
}

static void close_streams(void)
{
        for (int fd = 0; fd < 3; fd++)
                (void) call(SYS_close, fd, 0, 0, 0);
}

static _Noreturn void leave(void)
{
        for (;;)
                (void) call(SYS_exit_group, 0, 0, 0, 0);
}

#else

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static long next_signal(void)
{
        sigset_t all;

        (void) sigfillset(&all);
        return sigwaitinfo(&all, NULL);
}

static void block_signals(void)
{
        sigset_t all;

        (void) sigfillset(&all);
        (void) sigprocmask(SIG_BLOCK, &all, NULL);
}

static void reap(void)
{
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
}

static void close_streams(void)
{
        for (int fd = 0; fd < 3; fd++)
                (void) close(fd);
}

static _Noreturn void leave(void)
{
        _exit(0);
}

#endif

static _Noreturn void hold(void)
{
        block_signals(); /* a blocked signal reaches the first process of a pid namespace too */
        close_streams();
        for (;;) {
                long signum = next_signal();

                if (signum == SIGTERM || signum == SIGINT)
                        leave();
                reap();
        }
}

#ifdef PAUSE_FREESTANDING
_Noreturn void _start(void);

_Noreturn void _start(void)
{
        hold();
}
#else
int main(void)
{
        hold();
}
#endif
