/* Pseudo-terminals: made inside the container, handed out over the console socket. */
#include <fcntl.h>
#include <libgen.h>
#include <linux/tty.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "fail.h"
#include "io.h"
#include "rootfs.h"
#include "terminal.h"
#include "util.h"

int terminal_connect(const char *path, const char *what, spawn_error *e)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        /* Through an O_PATH fd of the socket: its path may be longer than 107 bytes. */
        _cleanup_close_ int at = open(path, O_PATH | O_CLOEXEC);
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (at < 0)
                return fail_errno(e, "terminal", "open %s `%s`", what, path);
        if (fd < 0)
                return fail_errno(e, "terminal", "create socket");
        (void) snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", fd_path(at).s);
        if (connect(fd, (const struct sockaddr *) &addr, sizeof(addr)) < 0)
                return fail_errno(e, "terminal", "connect to %s `%s`", what, path);
        return steal_fd(&fd);
}

int terminal_send_fd(int socket_fd, int fd, const char *text, size_t len)
{
        union {
                struct cmsghdr h;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {.iov_base = (void *) (uintptr_t) text, .iov_len = len};
        struct msghdr msg = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

        memset(&control, 0, sizeof(control));
        control.h.cmsg_level = SOL_SOCKET;
        control.h.cmsg_type = SCM_RIGHTS;
        control.h.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
        return sendmsg(socket_fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int terminal_receive_fd(int socket_fd)
{
        union {
                struct cmsghdr h;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        char text[128];
        struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
        struct msghdr msg = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        const struct cmsghdr *c;
        int fd;

        if (recvmsg(socket_fd, &msg, MSG_CMSG_CLOEXEC) < 0)
                return -errno;
        c = CMSG_FIRSTHDR(&msg);
        if (c == NULL || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
                return -ENOMSG;
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        return fd;
}

/* The master of a new pair. The node must be the multiplexer itself: the image decides what lies in /dev when no
 * file system is mounted there. */
static int open_master(int root_fd, spawn_error *e)
{
        struct stat st;
        int zero = 0;
        _cleanup_close_ int fd = root_open(root_fd, "/dev/ptmx", O_RDWR | O_NOCTTY);

        if (fd == -ENOENT)
                fd = root_open(root_fd, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
        if (fd < 0)
                return fail_code(e, fd, "terminal", "open `/dev/ptmx`");
        if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
                return spawn_err(e, ENODEV, "terminal", "open `/dev/ptmx`: it is not the pseudo-terminal multiplexer");
        if (ioctl(fd, TIOCSPTLCK, &zero) < 0)
                return fail_errno(e, "terminal", "unlock the pseudo-terminal");
        return steal_fd(&fd);
}

/* CVE-2025-52565: neither what is bound (by descriptor) nor where (a plain file in /dev, no link) is the image's to
 * choose. */
static int bind_console(int root_fd, int slave, spawn_error *e)
{
        _cleanup_close_ int tree = tree_clone(slave, "", false);
        _cleanup_close_ int dev = root_open_nolink(root_fd, "/dev", O_PATH | O_DIRECTORY);
        int r = tree < 0 ? tree : dev < 0 ? dev : 0;

        if (r == 0)
                cleanup_closep(
                        &(int){openat(dev, "console", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)});
        _cleanup_close_ int target = r < 0 ? -1 : root_open_nolink(dev, "console", O_PATH);
        if (r == 0)
                r = target < 0 ? target : tree_attach(tree, target);
        if (r == -ELOOP)
                return spawn_err(e, ELOOP, "terminal",
                                 "bind the terminal on `/dev/console`: it must not be a symbolic link");
        return r < 0 ? fail_code(e, r, "terminal", "bind the terminal on `/dev/console`") : 0;
}

int terminal_setup(int root_fd, const struct oci_process *p, int console_fd, bool console, spawn_error *e)
{
        struct winsize size = {.ws_row = (unsigned short) p->console_height,
                               .ws_col = (unsigned short) p->console_width};
        int r;

        _cleanup_close_ int master = open_master(root_fd, e);
        if (master < 0)
                return master;
        /* By ioctl, not by the name: what /dev/pts/N is, is up to the container. */
        _cleanup_close_ int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (slave < 0)
                return fail_errno(e, "terminal", "open the slave of the pseudo-terminal");
        if ((size.ws_row != 0 || size.ws_col != 0) && ioctl(master, TIOCSWINSZ, &size) < 0)
                return fail_errno(e, "terminal", "set the size of the terminal");
        if (p->uid != 0 && fchown(slave, p->uid, (gid_t) -1) < 0)
                return fail_errno(e, "terminal", "give the terminal to user %u", p->uid);
        if (console && (r = bind_console(root_fd, slave, e)) < 0)
                return r;
        r = terminal_send_fd(console_fd, master, "/dev/ptmx", 9);
        if (r < 0)
                return fail_code(e, r, "terminal", "send the terminal over the console socket");
        if (ioctl(slave, TIOCSCTTY, 0) < 0)
                return fail_errno(e, "terminal", "make the terminal the controlling one");
        for (int fd = 0; fd < 3; fd++)
                if (dup2(slave, fd) < 0)
                        return fail_errno(e, "terminal", "make the terminal the standard %s",
                                          fd == 0 ? "input" : "output");
        return 0;
}
