/* The user's session namespaces: made and held, or joined. */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "fail.h"
#include "util.h"

/* Does: become nobody's child, hold nothing but the namespaces, end only on SIGTERM or SIGKILL.
 * Must not: keep a descriptor, the terminal or the caller's directory. */
static _Noreturn void hold(void)
{
        int null = open("/dev/null", O_RDWR);
        sigset_t all;

        (void) setsid();
        (void) chdir("/");
        for (int fd = 0; fd < 3; fd++)
                (void) dup2(null, fd);
        (void) close_range(3, ~0U, 0);
        (void) signal(SIGTERM, SIG_DFL);
        (void) sigfillset(&all);
        (void) sigdelset(&all, SIGTERM);
        (void) sigprocmask(SIG_SETMASK, &all, NULL);
        for (;;)
                (void) pause();
}

/* The other end of the pair is the parent's; what is sent is an errno. */
static _Noreturn void give_up(int sync, int code)
{
        (void) !write(sync, &code, sizeof(code));
        _exit(1);
}

/* Does: enter the namespaces, wait for ids, cut mount propagation towards the host.
 * Must not: mount anything before the ids are there (files would belong to nobody). */
static _Noreturn void holder(int sync)
{
        const int fine = 0;
        char go;

        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                give_up(sync, errno);
        if (write(sync, &fine, sizeof(fine)) != sizeof(fine) || read(sync, &go, 1) != 1)
                _exit(1);
        if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
                give_up(sync, errno);
        if (write(sync, &fine, sizeof(fine)) != sizeof(fine))
                _exit(1);
        hold();
}

static int await_holder(int sync, const char *stage, spawn_error *reterr)
{
        int code;
        ssize_t n;

        do
                n = read(sync, &code, sizeof(code));
        while (n < 0 && errno == EINTR);
        if (n != sizeof(code))
                return spawn_err(reterr, EIO, stage, "the new process ended");
        return code != 0 ? spawn_err(reterr, code, stage, "%s", strerror(code)) : 0;
}

int spawn_session_create(const spawn_idmap *uids, size_t n_uids, const spawn_idmap *gids, size_t n_gids,
                         const char *newuidmap, const char *newgidmap, int *ret_pid, spawn_error *reterr)
{
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return fail_errno(reterr, "create session", "socketpair");
        _cleanup_close_ int sync = pair[0], theirs = pair[1];
        _cleanup_kill_ pid_t child = fork();

        if (child < 0)
                return fail_errno(reterr, "create session", "fork");
        if (child == 0) {
                (void) close(sync);
                holder(theirs);
        }
        (void) close(steal_fd(&theirs));
        r = await_holder(sync, "create user namespace", reterr);
        if (r == 0)
                r = spawn_idmap_write(child, uids, n_uids, gids, n_gids, newuidmap, newgidmap, reterr);
        if (r == 0 && write(sync, "g", 1) != 1)
                r = fail_errno(reterr, "create session", "write");
        if (r == 0)
                r = await_holder(sync, "set up session", reterr);
        if (r == 0)
                *ret_pid = steal_pid(&child);
        return r;
}

int spawn_session_hold(int *ret_pid, spawn_error *reterr)
{
        pid_t child = fork();

        if (child < 0)
                return fail_errno(reterr, "hold session", "fork");
        if (child == 0)
                hold();
        *ret_pid = child;
        return 0;
}

/* The user namespace goes first: only as its root may we enter the mount namespace that it owns. */
int spawn_session_join(int userns_fd, int mntns_fd, spawn_error *reterr)
{
        if (setns(userns_fd, CLONE_NEWUSER) < 0)
                return fail_errno(reterr, "join user namespace", "setns");
        if (setns(mntns_fd, CLONE_NEWNS) < 0)
                return fail_errno(reterr, "join mount namespace", "setns");
        return 0;
}
