/* podlike-session: make the user's session namespaces and hold them.
 *
 *   podlike-session --state FILE --uid-map "IN OUT COUNT ..." --gid-map "..." --newuidmap P --newgidmap P
 *   podlike-session --state FILE --hold
 *
 * The first form forks the holder, which enters a new user and mount namespace; the parent, still outside,
 * gives it its ids through the set-uid helpers newuidmap(1) and newgidmap(1), records "PID STARTTIME" in FILE and
 * answers on stdout: {"pid": N} or {"stage": ..., "errno": N, "text": ...}. --hold makes the caller's own
 * namespaces the held ones (used when the holder was killed but a container still lives in them).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "util.h"

struct options {
        const char *state;
        const char *uid_map, *gid_map;
        const char *newuidmap, *newgidmap;
        int hold;
};

/* Enough for the 340 ranges of user_namespaces(7) would be 1020; /etc/subuid has a handful. */
#define MAX_MAP_WORDS 192

static void json_string(FILE *f, const char *s)
{
        (void) fputc('"', f);
        for (; *s != '\0'; s++) {
                unsigned char c = (unsigned char) *s;

                if (c == '"' || c == '\\')
                        (void) fprintf(f, "\\%c", c);
                else if (c < 0x20)
                        (void) fprintf(f, "\\u%04x", c);
                else
                        (void) fputc(c, f);
        }
        (void) fputc('"', f);
}

static int answer_error(const spawn_error *e)
{
        printf("{\"stage\": ");
        json_string(stdout, e->stage);
        printf(", \"errno\": %d, \"text\": ", e->code);
        json_string(stdout, e->text);
        printf("}\n");
        return 1;
}

static int parse(int argc, char **argv, struct options *o)
{
        for (int i = 1; i < argc; i++) {
                const char **value = NULL;

                if (strcmp(argv[i], "--hold") == 0) {
                        o->hold = 1;
                        continue;
                }
                if (strcmp(argv[i], "--state") == 0)
                        value = &o->state;
                else if (strcmp(argv[i], "--uid-map") == 0)
                        value = &o->uid_map;
                else if (strcmp(argv[i], "--gid-map") == 0)
                        value = &o->gid_map;
                else if (strcmp(argv[i], "--newuidmap") == 0)
                        value = &o->newuidmap;
                else if (strcmp(argv[i], "--newgidmap") == 0)
                        value = &o->newgidmap;
                if (value == NULL || i + 1 == argc)
                        return -EINVAL;
                *value = argv[++i];
        }
        if (o->state == NULL || (!o->hold && (!o->uid_map || !o->gid_map || !o->newuidmap || !o->newgidmap)))
                return -EINVAL;
        return 0;
}

/* Run `HELPER PID IN OUT COUNT ...`; its stderr becomes the error's words. */
static int run_map_helper(const char *helper, pid_t pid, const char *map, spawn_error *reterr)
{
        _cleanup_free_ char *words = strdup(map);
        char *argv[MAX_MAP_WORDS + 3], pid_text[16], said[400] = "";
        char *save = NULL;
        int pipefd[2], status, n = 0;
        ssize_t got;
        pid_t child;

        if (words == NULL || pipe2(pipefd, O_CLOEXEC) < 0)
                return spawn_err(reterr, errno, "map ids", "%s", strerror(errno));
        (void) snprintf(pid_text, sizeof(pid_text), "%d", pid);
        argv[n++] = (char *) helper;
        argv[n++] = pid_text;
        for (char *w = strtok_r(words, " ", &save); w != NULL && n < MAX_MAP_WORDS + 2; w = strtok_r(NULL, " ", &save))
                argv[n++] = w;
        argv[n] = NULL;
        child = fork();
        if (child == 0) {
                (void) dup2(pipefd[1], 2);
                (void) dup2(pipefd[1], 1);
                execv(helper, argv);
                dprintf(2, "%s: %s", helper, strerror(errno));
                _exit(127);
        }
        (void) close(pipefd[1]);
        got = child < 0 ? -1 : read(pipefd[0], said, sizeof(said) - 1);
        (void) close(pipefd[0]);
        if (child < 0)
                return spawn_err(reterr, errno, "map ids", "fork: %s", strerror(errno));
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        said[got > 0 ? got : 0] = '\0';
        said[strcspn(said, "\n")] = '\0';
        return spawn_err(reterr, EPERM, "map ids", "%s %d %s: %s", helper, pid, map,
                         said[0] ? said : "failed without a word");
}

/* Field 22 of /proc/PID/stat: start time in clock ticks since boot; 0 when it cannot be read. */
static unsigned long long start_time(pid_t pid)
{
        char path[32], buf[1024], *p;
        unsigned long long ticks = 0;
        _cleanup_close_ int fd = -1;
        ssize_t n;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
        if (n <= 0)
                return 0;
        buf[n] = '\0';
        p = strrchr(buf, ')'); /* the command name may hold anything, also blanks and brackets */
        for (int field = 2; p != NULL && field < 22; field++)
                p = strchr(p + 1, ' ');
        if (p != NULL)
                ticks = strtoull(p + 1, NULL, 10);
        return ticks;
}

static int write_state(const char *file, pid_t pid, spawn_error *reterr)
{
        char tmp[4096], text[64];
        _cleanup_close_ int fd = -1;
        int n = snprintf(text, sizeof(text), "%d %llu\n", pid, start_time(pid));

        (void) snprintf(tmp, sizeof(tmp), "%s.%d", file, pid);
        fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, text, (size_t) n) != n || rename(tmp, file) < 0)
                return spawn_err(reterr, errno, "record session", "%s: %s", file, strerror(errno));
        return 0;
}

/* Does: become nobody's child, hold nothing but the namespaces, end only on SIGTERM or SIGKILL.
 * Must not: keep a descriptor, the terminal or the caller's directory. */
static void hold(void)
{
        sigset_t all;
        int null = open("/dev/null", O_RDWR);

        (void) setsid();
        (void) chdir("/");
        for (int fd = 0; fd < 3; fd++)
                (void) dup2(null, fd);
        (void) close_range(3, ~0U, 0);
        (void) sigfillset(&all);
        (void) sigdelset(&all, SIGTERM);
        (void) sigprocmask(SIG_SETMASK, &all, NULL);
        for (;;)
                pause();
}

/* Does: enter the namespaces, wait for ids, cut mount propagation towards the host.
 * Must not: mount anything before the ids are there (files would belong to nobody). */
static void holder(int sync)
{
        char c;

        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
                int code = errno;
                (void) write(sync, &code, sizeof(code));
                _exit(1);
        }
        (void) write(sync, &(int){0}, sizeof(int));
        if (read(sync, &c, 1) != 1)
                _exit(1);
        if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
                int code = errno;
                (void) write(sync, &code, sizeof(code));
                _exit(1);
        }
        (void) write(sync, &(int){0}, sizeof(int));
        hold();
}

static int await_holder(int sync, const char *stage, const char *hint, spawn_error *reterr)
{
        int code;

        if (read(sync, &code, sizeof(code)) != sizeof(code))
                return spawn_err(reterr, EIO, stage, "the new process ended");
        if (code != 0)
                return spawn_err(reterr, code, stage, "%s%s", strerror(code), hint);
        return 0;
}

static int make_session(const struct options *o, pid_t *ret_pid, spawn_error *reterr)
{
        int pair[2], r;
        _cleanup_kill_ pid_t child = -1;
        _cleanup_close_ int sync = -1;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return spawn_err(reterr, errno, "create session", "socketpair: %s", strerror(errno));
        child = fork();
        if (child == 0) {
                (void) close(pair[0]);
                holder(pair[1]);
        }
        (void) close(pair[1]);
        sync = pair[0];
        if (child < 0)
                return spawn_err(reterr, errno, "create session", "fork: %s", strerror(errno));
        r = await_holder(sync, "create user namespace", "", reterr);
        if (r == 0)
                r = run_map_helper(o->newuidmap, child, o->uid_map, reterr);
        if (r == 0)
                r = run_map_helper(o->newgidmap, child, o->gid_map, reterr);
        if (r == 0 && write(sync, "g", 1) != 1)
                r = spawn_err(reterr, errno, "create session", "%s", strerror(errno));
        if (r == 0)
                r = await_holder(sync, "set up session", "", reterr);
        if (r == 0)
                r = write_state(o->state, child, reterr);
        if (r == 0)
                *ret_pid = steal_pid(&child);
        return r;
}

int main(int argc, char **argv)
{
        struct options o = {0};
        spawn_error e = {0};
        pid_t pid = -1;

        if (parse(argc, argv, &o) < 0) {
                (void) fprintf(stderr, "usage: podlike-session --state FILE (--hold | --uid-map M --gid-map M "
                                       "--newuidmap P --newgidmap P)\n");
                return 2;
        }
        (void) prctl(PR_SET_DUMPABLE, 1);
        if (!o.hold) {
                if (make_session(&o, &pid, &e) < 0)
                        return answer_error(&e);
        } else {
                pid = fork();
                if (pid == 0)
                        hold();
                if (pid < 0 || write_state(o.state, pid, &e) < 0)
                        return answer_error(&e);
        }
        printf("{\"pid\": %d}\n", pid);
        return 0;
}
