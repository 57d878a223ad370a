/* Run a command of podlike-spawn and let one system call of it fail, or kill the process that makes it.
 *
 *   fault --list FILE -- COMMAND...                 write "PROCESS NUMBER NAME" for each system call
 *   fault --at PROCESS:NUMBER --errno N -- COMMAND...
 *   fault --at PROCESS:NUMBER --kill -- COMMAND...
 *
 * All processes that the command starts are followed (ptrace), numbered as they appear; system calls are counted in
 * each process by itself, so that the order in which processes run does not matter. Counting begins when a program
 * of the name podlike-spawn is executed and leaves out the dynamic loader; a process that executes anything else (a
 * hook, the container's program) is let go. Exits as the command does (128 + signal if by one), 99 for errors of its
 * own, and 98 when the call was never reached.
 *
 * Left out, because their failure is not defined or means nothing: see ignored[].
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
#error "registers of x86_64"
#endif

static const struct {
        long nr;
        const char *why;
} ignored[] = {
        {SYS_close, "the descriptor is gone whatever it says"},
        {SYS_exit, "does not return"},
        {SYS_exit_group, "does not return"},
        {SYS_rt_sigreturn, "does not return"},
        {SYS_rt_sigaction, "only fails for wrong numbers"},
        {SYS_rt_sigprocmask, "only fails for wrong numbers"},
        {SYS_munmap, "only fails for wrong addresses"},
        {SYS_mprotect, "the C library's"},
        {SYS_brk, "malloc then uses mmap"},
        {SYS_madvise, "advice"},
        {SYS_futex, "the C library's, there is one thread"},
        {SYS_set_robust_list, "the C library's"},
        {SYS_set_tid_address, "the C library's"},
        {SYS_rseq, "the C library's"},
        {SYS_arch_prctl, "the C library's"},
        {SYS_getrandom, "the C library's: where malloc begins"},
        {SYS_getpid, "cannot fail"},
        {SYS_getppid, "cannot fail"},
        {SYS_gettid, "cannot fail"},
        {SYS_getuid, "cannot fail"},
        {SYS_geteuid, "cannot fail"},
        {SYS_getgid, "cannot fail"},
        {SYS_getegid, "cannot fail"},
        {SYS_umask, "cannot fail"},
        {SYS_clock_gettime, "cannot fail"},
        {SYS_uname, "cannot fail"},
};

struct process {
        pid_t pid;
        int number; /* in order of appearance */
        int calls;
        bool counted; /* it runs podlike-spawn */
        bool failing; /* this call is the one */
        unsigned long long loader, loader_end;
};

static struct process processes[512];
static int n_processes, n_numbers;

static struct {
        FILE *list;
        int process, number, error;
        bool kill, done;
} plan = {.process = -1};

static _Noreturn void die(const char *what)
{
        fprintf(stderr, "fault: %s: %s\n", what, strerror(errno));
        exit(99);
}

static struct process *find(pid_t pid)
{
        for (int i = 0; i < n_processes; i++)
                if (processes[i].pid == pid)
                        return &processes[i];
        return NULL;
}

static struct process *add(pid_t pid)
{
        struct process *p = find(pid);

        if (p != NULL)
                return p;
        if (n_processes == sizeof(processes) / sizeof(processes[0]))
                exit(99);
        p = &processes[n_processes++];
        *p = (struct process){.pid = pid, .number = -1};
        return p;
}

static void forget(pid_t pid)
{
        struct process *p = find(pid);

        if (p != NULL)
                *p = processes[--n_processes];
}

static bool is_ignored(long nr)
{
        for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
                if (ignored[i].nr == nr)
                        return true;
        return false;
}

/* Where the kernel has put the dynamic loader of a program that was just executed. */
static void find_loader(struct process *p)
{
        char path[64], line[512];

        p->loader = p->loader_end = 0;
        snprintf(path, sizeof(path), "/proc/%d/maps", (int) p->pid);
        FILE *f = fopen(path, "re");
        while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
                unsigned long long from, to;

                if (strstr(line, "/ld-linux") == NULL || sscanf(line, "%llx-%llx", &from, &to) != 2)
                        continue;
                if (p->loader == 0)
                        p->loader = from;
                p->loader_end = to;
        }
        if (f != NULL)
                fclose(f);
}

/* The runtime by its name; or its file again, which has no name when it runs itself from a mount that is nowhere. */
static bool is_runtime(pid_t pid)
{
        static struct stat known;
        char path[64], exe[512];
        struct stat st;

        snprintf(path, sizeof(path), "/proc/%d/exe", (int) pid);
        ssize_t n = readlink(path, exe, sizeof(exe) - 1);
        exe[n > 0 ? n : 0] = '\0';
        if (stat(path, &st) < 0)
                return false;
        if (strstr(exe, "podlike-spawn") != NULL)
                known = st;
        return strstr(exe, "podlike-spawn") != NULL || (st.st_ino == known.st_ino && st.st_dev == known.st_dev);
}

/* Another program is in its place. Returns whether it is to be followed. */
static bool executed(struct process *p)
{
        if (is_runtime(p->pid)) {
                if (!p->counted)
                        p->number = n_numbers++;
                p->counted = true;
                find_loader(p);
                return true;
        }
        /* On the way to podlike-spawn (nsenter) nothing is counted; after it nothing is of interest. */
        return !p->counted;
}

static void set_registers(struct process *p, bool entry)
{
        struct user_regs_struct r;

        if (ptrace(PTRACE_GETREGS, p->pid, NULL, &r) < 0)
                return;
        if (entry)
                r.orig_rax = (unsigned long long) -1;
        else
                r.rax = (unsigned long long) -plan.error;
        (void) ptrace(PTRACE_SETREGS, p->pid, NULL, &r);
}

static void at_call(struct process *p)
{
        struct __ptrace_syscall_info info;

        if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, sizeof(info), &info) < 0)
                return;
        if (info.op != PTRACE_SYSCALL_INFO_ENTRY) {
                if (p->failing)
                        set_registers(p, false);
                p->failing = false;
                return;
        }
        if (!p->counted)
                return;
        long nr = (long) info.entry.nr;
        if ((info.instruction_pointer >= p->loader && info.instruction_pointer < p->loader_end) || is_ignored(nr))
                return;
        p->calls++;
        if (plan.list != NULL)
                fprintf(plan.list, "%d %d %ld %llu %llu\n", p->number, p->calls, nr,
                        (unsigned long long) info.entry.args[0], (unsigned long long) info.entry.args[1]);
        if (plan.done || p->number != plan.process || p->calls != plan.number)
                return;
        plan.done = true;
        if (plan.kill) {
                (void) kill(p->pid, SIGKILL);
                return;
        }
        p->failing = true;
        set_registers(p, true);
}

static const long options =
        PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

static void child_of(struct process *parent)
{
        unsigned long pid = 0;
        bool counted = parent->counted;
        unsigned long long loader = parent->loader, end = parent->loader_end;

        if (ptrace(PTRACE_GETEVENTMSG, parent->pid, NULL, &pid) < 0)
                return;
        struct process *p = add((pid_t) pid);
        p->counted = counted;
        p->loader = loader;
        p->loader_end = end;
        p->number = counted ? n_numbers++ : -1;
}

/* One stop of a traced process: look, and let it go on. */
static void stopped(pid_t pid, int status)
{
        struct process *p = find(pid);
        int sig = WSTOPSIG(status), event = status >> 16;
        bool fresh = p == NULL;

        if (fresh)
                p = add(pid); /* before the event of its parent */
        if (event == PTRACE_EVENT_EXEC && !executed(p)) {
                (void) ptrace(PTRACE_DETACH, pid, NULL, 0L);
                forget(pid);
                return;
        }
        if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE)
                child_of(p);
        else if (sig == (SIGTRAP | 0x80))
                at_call(p);
        if (event != 0 || sig == (SIGTRAP | 0x80) || sig == SIGTRAP || (sig == SIGSTOP && p->calls == 0))
                sig = 0;
        (void) ptrace(PTRACE_SYSCALL, pid, NULL, (long) sig);
}

static int follow(pid_t command)
{
        for (;;) {
                int status;
                pid_t pid = waitpid(-1, &status, __WALL);

                if (pid < 0)
                        die("waitpid");
                if (WIFSTOPPED(status)) {
                        stopped(pid, status);
                        continue;
                }
                forget(pid);
                if (pid == command)
                        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
}

static char **parse(int argc, char **argv)
{
        int i = 1;

        for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
                if (strcmp(argv[i], "--kill") == 0)
                        plan.kill = true;
                else if (strcmp(argv[i], "--errno") == 0 && i + 1 < argc)
                        plan.error = atoi(argv[++i]);
                else if (strcmp(argv[i], "--at") == 0 && i + 1 < argc)
                        (void) sscanf(argv[++i], "%d:%d", &plan.process, &plan.number);
                else if (strcmp(argv[i], "--list") == 0 && i + 1 < argc)
                        plan.list = fopen(argv[++i], "we");
        }
        if (i + 1 >= argc || (plan.list == NULL && plan.process < 0)) {
                fprintf(stderr, "usage: fault --list FILE | --at P:N [--errno N | --kill] -- COMMAND...\n");
                exit(99);
        }
        return argv + i + 1;
}

int main(int argc, char **argv)
{
        char **command = parse(argc, argv);
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                (void) ptrace(PTRACE_TRACEME, 0, NULL, NULL);
                (void) raise(SIGSTOP);
                execvp(command[0], command);
                die(command[0]);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status) ||
            ptrace(PTRACE_SETOPTIONS, pid, NULL, options) < 0)
                die("trace");
        (void) add(pid);
        (void) ptrace(PTRACE_SYSCALL, pid, NULL, 0L);
        int code = follow(pid);
        if (plan.list != NULL)
                fclose(plan.list);
        /* Those that still run are let go with our end; one that was just born would stay stopped (ptrace(2), SIGSTOP). */
        for (int i = 0; i < n_processes; i++)
                (void) kill(processes[i].pid, SIGCONT);
        return plan.list == NULL && !plan.done ? 98 : code;
}
