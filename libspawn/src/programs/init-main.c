/* podlike-init: the first process of a container made with --init. Starts the program, hands signals on to it, takes
 * the exit status of everything that is orphaned, and ends as the program ended. Static: it runs in any image.
 *
 *   podlike-init [--] PROGRAM [ARG...]
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a shell says of a program that cannot be executed, and of one that is not there. */
enum { CANNOT_EXECUTE = 126, NOT_FOUND = 127, BY_SIGNAL = 128 };

/* Sockets of systemd's that were meant for the first process are the program's; sd_listen_fds(3). */
static void give_sockets(void)
{
        const char *pid = getenv("LISTEN_PID");
        char own[16];

        if (pid == NULL || (pid_t) atol(pid) != getppid())
                return;
        (void) snprintf(own, sizeof(own), "%d", (int) getpid());
        (void) setenv("LISTEN_PID", own, 1);
}

/* A process group of its own in the foreground: a key like ctrl-c then reaches the program once, from the terminal,
 * and not again through us. */
static _Noreturn void run_program(char **argv, const sigset_t *before)
{
        int code;

        give_sockets();
        if (setpgid(0, 0) == 0 && isatty(STDIN_FILENO))
                (void) tcsetpgrp(STDIN_FILENO, getpid()); /* SIGTTOU is blocked */
        (void) sigprocmask(SIG_SETMASK, before, NULL);
        (void) execvp(argv[0], argv);
        code = errno == ENOENT ? NOT_FOUND : CANNOT_EXECUTE;
        (void) fprintf(stderr, "podlike-init: execute `%s`: %s\n", argv[0], strerror(errno));
        _exit(code);
}

/* Whether the program is among those that have ended; *ret_code is its exit code then. */
static bool reap(pid_t program, int *ret_code)
{
        bool found = false;
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                if (pid == program) {
                        *ret_code = WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
                        found = true;
                }
        return found;
}

static int look_after(pid_t program, const sigset_t *all)
{
        int code = 0;

        for (;;) {
                int sig = sigwaitinfo(all, NULL);

                if (sig == SIGCHLD) {
                        if (reap(program, &code))
                                return code;
                } else if (sig > 0 && sig != SIGTTIN && sig != SIGTTOU)
                        (void) kill(program, sig);
        }
}

int main(int argc, char **argv)
{
        char **program = argv + 1;
        sigset_t all, before;
        pid_t pid;

        if (argc > 1 && strcmp(argv[1], "--") == 0)
                program++;
        if (*program == NULL) {
                (void) fprintf(stderr, "usage: podlike-init [--] PROGRAM [ARG...]\n");
                return CANNOT_EXECUTE;
        }
        (void) sigfillset(&all);
        (void) sigprocmask(SIG_SETMASK, &all, &before); /* from here on nothing is lost: signals wait to be taken */
        pid = fork();
        if (pid < 0) {
                (void) fprintf(stderr, "podlike-init: fork: %s\n", strerror(errno));
                return CANNOT_EXECUTE;
        }
        if (pid == 0)
                run_program(program, &before);
        return look_after(pid, &all);
}
