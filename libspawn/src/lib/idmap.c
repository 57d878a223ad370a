/* Ids of user namespaces. */
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "fail.h"
#include "idmap.h"
#include "io.h"
#include "util.h"

static int write_map(pid_t pid, const char *file, const spawn_idmap *m, size_t n)
{
        char path[64], text[IDMAP_MAX * 34];
        size_t len = 0;

        for (size_t i = 0; i < n; i++)
                len += (size_t) snprintf(text + len, sizeof(text) - len, "%u %u %u\n", m[i].inside, m[i].outside,
                                         m[i].count);
        (void) snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, file);
        return write_procfs(path, text);
}

/* newuidmap or newgidmap at work. */
struct helper {
        const char *program;
        pid_t pid; /* 0: not needed */
        int said; /* what it writes to stderr */
};

/* newuidmap PID inside outside count ...; set-user-ID and restricted to /etc/subuid. */
static int start_helper(struct helper *h, pid_t pid, const spawn_idmap *m, size_t n, spawn_error *e)
{
        char numbers[3 * IDMAP_MAX + 1][12];
        char *argv[3 * IDMAP_MAX + 3], prog[256];
        posix_spawn_file_actions_t actions;
        size_t words = 0;
        int out[2], r;

        if (pipe2(out, O_CLOEXEC) < 0)
                return fail_errno(e, "map ids", "pipe");
        _cleanup_close_ int say = out[1];
        h->said = out[0];
        (void) snprintf(prog, sizeof(prog), "%s", h->program);
        (void) snprintf(numbers[0], sizeof(numbers[0]), "%d", (int) pid);
        argv[words++] = prog;
        argv[words++] = numbers[0];
        for (size_t i = 0; i < n; i++) {
                const unsigned int v[3] = {m[i].inside, m[i].outside, m[i].count};

                for (int k = 0; k < 3; k++, words++) {
                        (void) snprintf(numbers[words - 1], sizeof(numbers[0]), "%u", v[k]);
                        argv[words] = numbers[words - 1];
                }
        }
        argv[words] = NULL;
        r = posix_spawn_file_actions_init(&actions);
        if (r == 0) {
                r = posix_spawn_file_actions_adddup2(&actions, say, 2);
                if (r == 0)
                        r = posix_spawnp(&h->pid, h->program, &actions, NULL, argv, environ);
                (void) posix_spawn_file_actions_destroy(&actions);
        }
        if (r == 0)
                return 0;
        h->pid = 0;
        return r == ENOENT ? spawn_err(e, ENOENT, "map ids", "run `%s`: %s; install the package uidmap (or shadow)",
                                       h->program, strerror(r))
                           : fail_code(e, r, "map ids", "run `%s`", h->program);
}

/* What the helper has to say is the error's words. */
static int await_helper(struct helper *h, spawn_error *e)
{
        char said[300];
        ssize_t n, len = 0;
        int status;

        if (h->pid == 0)
                return 0;
        while (len < (ssize_t) sizeof(said) - 1 &&
               ((n = read(h->said, said + len, sizeof(said) - 1 - (size_t) len)) > 0 || (n < 0 && errno == EINTR)))
                len += n > 0 ? n : 0;
        said[len] = '\0';
        said[strcspn(said, "\n")] = '\0';
        while (waitpid(h->pid, &status, 0) < 0)
                if (errno != EINTR)
                        return fail_errno(e, "map ids", "wait for `%s`", h->program);
        h->pid = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        return spawn_err(e, EPERM, "map ids",
                         "`%s` refused the id mappings (%s): check the ranges in /etc/subuid and /etc/subgid",
                         h->program, said[0] != '\0' ? said : "without a word");
}

static inline void cleanup_helperp(struct helper *h)
{
        (void) await_helper(h, NULL);
        if (h->said >= 0)
                (void) close(h->said);
}

/* By ourselves if we may, else the helper is at it. */
static int give_ids(pid_t pid, const char *file, const spawn_idmap *m, size_t n, struct helper *helper, spawn_error *e)
{
        int r = write_map(pid, file, m, n);

        if (r == -EPERM && n == 1 && m[0].count == 1) {
                char path[64];

                /* One id, our own: allowed to anyone who gives up setgroups(2). */
                (void) snprintf(path, sizeof(path), "/proc/%d/setgroups", (int) pid);
                if (write_procfs(path, "deny") == 0)
                        r = write_map(pid, file, m, n);
        }
        if (r == -EPERM && helper->program != NULL)
                return start_helper(helper, pid, m, n, e);
        return r < 0 ? fail_code(e, r, "map ids", "write %s", file) : 0;
}

int spawn_idmap_write(int pid, const spawn_idmap *uids, size_t n_uids, const spawn_idmap *gids, size_t n_gids,
                      const char *newuidmap, const char *newgidmap, spawn_error *reterr)
{
        /* Both at once: each takes a millisecond. */
        __attribute__((cleanup(cleanup_helperp))) struct helper gid = {.program = newgidmap, .said = -1};
        __attribute__((cleanup(cleanup_helperp))) struct helper uid = {.program = newuidmap, .said = -1};
        int r;

        if (n_uids == 0 || n_gids == 0 || n_uids > IDMAP_MAX || n_gids > IDMAP_MAX)
                return spawn_err(reterr, EINVAL, "map ids", "a user namespace has 1 to %d ranges of ids", IDMAP_MAX);
        r = give_ids(pid, "gid_map", gids, n_gids, &gid, reterr);
        if (r < 0 || (r = give_ids(pid, "uid_map", uids, n_uids, &uid, reterr)) < 0)
                return r;
        r = await_helper(&gid, reterr);
        return r < 0 ? r : await_helper(&uid, reterr);
}

/* clone3(2) as fork: the child shares nothing but what flags say. */
static pid_t fork_with(unsigned int flags)
{
        struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};

        return (pid_t) syscall(SYS_clone3, &args, sizeof(args));
}

int spawn_userns_open(const spawn_idmap *uids, size_t n_uids, const spawn_idmap *gids, size_t n_gids,
                      spawn_error *reterr)
{
        const pid_t parent = getpid();
        char path[40];
        int r, fd;

        _cleanup_kill_ pid_t pid = fork_with(CLONE_NEWUSER);
        if (pid < 0)
                return fail_errno(reterr, "make user namespace", "clone");
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                while (getppid() == parent)
                        (void) pause();
                _exit(0);
        }
        r = spawn_idmap_write(pid, uids, n_uids, gids, n_gids, NULL, NULL, reterr);
        if (r < 0)
                return r;
        (void) snprintf(path, sizeof(path), "/proc/%d/ns/user", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? fail_errno(reterr, "make user namespace", "open `%s`", path) : fd;
}

int spawn_ns_owner(int ns_fd, unsigned int *ret_uid, spawn_error *reterr)
{
        uid_t uid;

        if (ioctl(ns_fd, NS_GET_OWNER_UID, &uid) < 0)
                return fail_errno(reterr, "ask owner of user namespace", "ioctl");
        *ret_uid = uid;
        return 0;
}
