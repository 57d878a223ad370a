/* The program of the embedded image podlike/hello: says what had to work for these lines to appear.
 *
 * Two system calls and no C library, so that the image is a few kilobytes and needs no static libc to build. */
#include <stddef.h>

#ifndef HELLO_FREESTANDING
#include <unistd.h>
#endif

static const char text[] =
        "\n"
        "Hello from a container made by podlike!\n"
        "\n"
        "If you can read this, all of these worked:\n"
        "  1. The command line was understood, and the image podlike/hello was found: it comes\n"
        "     inside podlike itself, so not even a network was needed.\n"
        "  2. Your session was joined: a user namespace in which you are root and own your\n"
        "     subordinate ids, and a mount namespace. No daemon, no privileges.\n"
        "  3. The image's layer and an empty writable one became one file system (overlayfs).\n"
        "  4. podlike-conmon, a small monitor, was started; it outlives the command line.\n"
        "  5. The OCI runtime (podlike-spawn) put this program into namespaces of its own,\n"
        "     under a seccomp filter and with few capabilities.\n"
        "  6. The monitor carried this text from the container to your terminal, and now\n"
        "     records the exit code.\n"
        "\n"
        "Try something bigger next:\n"
        "  podlike run -it --rm docker.io/library/alpine sh\n"
        "  podlike run -d --name web -p 8080:80 docker.io/library/nginx\n"
        "  podlike ps --all\n"
        "\n";

#ifdef HELLO_FREESTANDING

static long call3(long number, long a, long b, long c)
{
#if defined(__x86_64__)
        long ret;

        __asm__ volatile("syscall" : "=a"(ret) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
        return ret;
#elif defined(__aarch64__)
        register long nr __asm__("x8") = number;
        register long x0 __asm__("x0") = a;
        register long x1 __asm__("x1") = b;
        register long x2 __asm__("x2") = c;

        __asm__ volatile("svc 0" : "+r"(x0) : "r"(nr), "r"(x1), "r"(x2) : "memory");
        return x0;
#elif defined(__riscv) && __riscv_xlen == 64
        register long nr __asm__("a7") = number;
        register long a0 __asm__("a0") = a;
        register long a1 __asm__("a1") = b;
        register long a2 __asm__("a2") = c;

        __asm__ volatile("ecall" : "+r"(a0) : "r"(nr), "r"(a1), "r"(a2) : "memory");
        return a0;
#else
#error "no system call here: build it with the C library instead"
#endif
}

#ifdef __x86_64__
enum { NR_WRITE = 1, NR_EXIT_GROUP = 231 };
#else
enum { NR_WRITE = 64, NR_EXIT_GROUP = 94 }; /* asm-generic/unistd.h */
#endif

static long write_some(const char *p, size_t n)
{
        return call3(NR_WRITE, 1, (long) p, (long) n);
}
#else
static long write_some(const char *p, size_t n)
{
        return write(1, p, n);
}
#endif

/* 0 when everything was written. A pipe takes it in one piece; a terminal may not. */
static int greet(void)
{
        size_t done = 0;

        while (done < sizeof(text) - 1) {
                long n = write_some(text + done, sizeof(text) - 1 - done);

                if (n <= 0)
                        return 1;
                done += (size_t) n;
        }
        return 0;
}

#ifdef HELLO_FREESTANDING
void _start(void);

/* Nothing here needs the stack to be aligned as after a call. */
__attribute__((noreturn)) void _start(void)
{
        (void) call3(NR_EXIT_GROUP, greet(), 0, 0);
        __builtin_unreachable();
}
#else
int main(void)
{
        return greet();
}
#endif
