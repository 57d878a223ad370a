/* Joining a user's session namespaces, and asking who owns a namespace. */
#include <errno.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "util.h"

/* The user namespace goes first: only as its root may we enter the mount namespace that it owns.
 * The caller must have one thread (setns(2): CLONE_NEWUSER) and lose its working directory to "/". */
int spawn_session_join(int userns_fd, int mntns_fd, spawn_error *reterr)
{
        if (setns(userns_fd, CLONE_NEWUSER) < 0)
                return spawn_err(reterr, errno, "join user namespace", "setns: %s", strerror(errno));
        if (setns(mntns_fd, CLONE_NEWNS) < 0)
                return spawn_err(reterr, errno, "join mount namespace", "setns: %s", strerror(errno));
        return 0;
}

/* ret_uid: the effective uid, in the caller's user namespace, of the process that made the user namespace. */
int spawn_ns_owner(int ns_fd, unsigned int *ret_uid, spawn_error *reterr)
{
        uid_t uid;

        if (ioctl(ns_fd, NS_GET_OWNER_UID, &uid) < 0)
                return spawn_err(reterr, errno, "ask owner of user namespace", "ioctl: %s", strerror(errno));
        *ret_uid = uid;
        return 0;
}

int spawn_pidfd_open(int pid, spawn_error *reterr)
{
        int fd = (int) syscall(SYS_pidfd_open, pid, 0);

        if (fd < 0)
                return spawn_err(reterr, errno, "open pidfd", "process %d: %s", pid, strerror(errno));
        return fd;
}

int spawn_pidfd_send_signal(int pidfd, int signal, spawn_error *reterr)
{
        if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0)
                return spawn_err(reterr, errno, "send signal", "signal %d: %s", signal, strerror(errno));
        return 0;
}
