#include "runtime.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "message.h"
#include "util.h"

#define OOM_SCORE_ADJ "/proc/self/oom_score_adj"

/* argv's fixed words are at most this many. */
#define FIXED_WORDS 24

static void add(char **argv, size_t *n, ...)
{
        va_list ap;
        const char *word;

        va_start(ap, n);
        while ((word = va_arg(ap, const char *)))
                argv[(*n)++] = (char *) word;
        va_end(ap);
}

static void add_list(char **argv, size_t *n, const struct strlist *list)
{
        for (size_t i = 0; i < list->n; i++)
                argv[(*n)++] = list->v[i];
}

static void add_create(char **argv, size_t *n, const struct options *opt)
{
        add(argv, n, opt->restore ? "restore" : "create", "--bundle", opt->bundle, "--pid-file", opt->container_pidfile,
            NULL);
        if (opt->no_pivot)
                add(argv, n, "--no-pivot", NULL);
        if (opt->no_new_keyring)
                add(argv, n, "--no-new-keyring", NULL);
        /* A restored container runs at once, so that the runtime has to be told not to stay with it. */
        if (opt->restore)
                add(argv, n, "--detach", "--image-path", opt->restore, "--work-path", opt->bundle, NULL);
}

char **runtime_argv(const struct options *opt, const char *console_socket)
{
        char **argv = calloc(FIXED_WORDS + opt->runtime_args.n + opt->runtime_opts.n, sizeof(*argv));
        size_t n = 0;

        if (!argv)
                return NULL;
        add(argv, &n, opt->runtime, NULL);
        if (opt->systemd_cgroup && !opt->exec)
                add(argv, &n, "--systemd-cgroup", NULL);
        add_list(argv, &n, &opt->runtime_args);
        if (opt->exec)
                add(argv, &n, "exec", "--pid-file", opt->container_pidfile, "--process", opt->exec_process_spec,
                    "--detach", NULL);
        else
                add_create(argv, &n, opt);
        add_list(argv, &n, &opt->runtime_opts);
        if (console_socket)
                add(argv, &n, "--console-socket", console_socket, NULL);
        add(argv, &n, opt->cid, NULL);
        return argv;
}

char **runtime_verb_argv(const struct options *opt, const char *const *words)
{
        char **argv = calloc(FIXED_WORDS + opt->runtime_args.n, sizeof(*argv));
        size_t n = 0;

        if (!argv)
                return NULL;
        add(argv, &n, opt->runtime, NULL);
        if (opt->systemd_cgroup)
                add(argv, &n, "--systemd-cgroup", NULL);
        add_list(argv, &n, &opt->runtime_args);
        for (; *words; words++)
                add(argv, &n, *words, NULL);
        add(argv, &n, opt->cid, NULL);
        return argv;
}

int oom_score_adjust(int value)
{
        char text[16];
        _cleanup_close_ int fd = open(OOM_SCORE_ADJ, O_RDWR | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        int old;

        if (n <= 0)
                return OOM_SCORE_KEPT;
        text[n] = '\0';
        old = (int) strtol(text, NULL, 10);
        n = snprintf(text, sizeof(text), "%d", value);
        return pwrite(fd, text, (size_t) n, 0) == n ? old : OOM_SCORE_KEPT;
}

/* Put fd in the place of a stdio fd. A pipe gets all permissions, so that a process of another user inside may open
 * /dev/stdout anew. */
static int place(int fd, int target)
{
        if (fd < 0)
                return 0;
        if (dup2(fd, target) < 0)
                return -errno;
        (void) fchmod(target, 0777);
        return 0;
}

/* LISTEN_PID has to name the process that gets the sockets; sd_listen_fds(3). */
static int rewrite_listen_pid(const struct options *opt, pid_t monitor)
{
        const char *value = getenv("LISTEN_PID");
        char *end = NULL, pid[16];
        long n;

        if (!value)
                return 0;
        errno = 0;
        n = strtol(value, &end, 10);
        if (errno || *end || n <= 0) {
                msg_error("Invalid LISTEN_PID %.10s", value);
                return -EINVAL;
        }
        (void) snprintf(pid, sizeof(pid), "%d", (int) getpid());
        return opt->replace_listen_pid || n == monitor ? setenv("LISTEN_PID", pid, 1) : 0;
}

/* Does: everything between fork and exec in the child. Must not: return. Needs: stdio fds open. */
static _Noreturn void child(const struct runtime_setup *s, char **argv, pid_t monitor)
{
        char byte[64];

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != monitor)
                _exit(1); /* it died before the line above */
        (void) signal(SIGPIPE, SIG_DFL);
        (void) sigprocmask(SIG_SETMASK, s->sigmask, NULL);
        if (!s->passthrough &&
            (place(s->in, STDIN_FILENO) < 0 || place(s->out, STDOUT_FILENO) < 0 || place(s->err, STDERR_FILENO) < 0))
                _exit(1);
        if (rewrite_listen_pid(s->opt, monitor) < 0)
                _exit(1);
        /* With an exec session to attach to, nothing may run until the client is there. */
        if (s->start_pipe >= 0 && read(s->start_pipe, byte, sizeof(byte)) < 0) {
                msg_error("start-pipe read failed: %s", strerror(errno));
                _exit(1);
        }
        if (s->oom_score_adj != OOM_SCORE_KEPT)
                (void) oom_score_adjust(s->oom_score_adj);
        execv(argv[0], argv);
        dprintf(STDERR_FILENO, "execute runtime %s: %s", argv[0], strerror(errno));
        _exit(127);
}

pid_t runtime_spawn(const struct runtime_setup *setup, char **argv)
{
        pid_t monitor = getpid(), pid;

        if (!argv)
                return -ENOMEM;
        pid = fork();
        if (pid == 0)
                child(setup, argv, monitor);
        return pid < 0 ? -errno : pid;
}

pid_t runtime_start(const struct runtime_setup *setup)
{
        _cleanup_free_ char **argv = runtime_argv(setup->opt, setup->console_socket);

        return runtime_spawn(setup, argv);
}
