#include "console.h"

#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>

#include "message.h"
#include "util.h"

void console_init(struct console *console, struct loop *loop, void (*received)(void *data, int tty), void *data)
{
        *console = (struct console){.loop = loop, .received = received, .data = data};
        console->listener.fd = console->connection.fd = -1;
}

/* DIR/conmon-term.XXXXXX, or NULL when it does not fit in a socket address: the runtime has to connect by this name. */
static char *make_name(const char *dir)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        unsigned char random[6];
        char word[7] = "";
        char *path;

        if (getrandom(random, sizeof(random), 0) != sizeof(random))
                return NULL;
        for (size_t i = 0; i < sizeof(random); i++)
                word[i] = letters[random[i] % (sizeof(letters) - 1)];
        path = format("%s/conmon-term.%s", dir, word);
        if (path && strlen(path) >= sizeof(((struct sockaddr_un *) 0)->sun_path)) {
                free(path);
                return NULL;
        }
        return path;
}

static int bind_somewhere(int fd, char **ret_path)
{
        const char *dirs[] = {getenv("TMPDIR"), "/tmp"};
        int r = -ENAMETOOLONG;

        for (size_t i = 0; i < 2 * ARRAY_LEN(dirs); i++) {
                const char *dir = dirs[i / 2];
                _cleanup_free_ char *path = dir && *dir ? make_name(dir) : NULL;
                struct sockaddr_un addr = {.sun_family = AF_UNIX};
                mode_t old;

                if (!path)
                        continue;
                memcpy(addr.sun_path, path, strlen(path));
                old = umask(0077);
                r = bind(fd, (struct sockaddr *) &addr, sizeof(addr)) < 0 ? -errno : 0;
                (void) umask(old);
                if (r == 0) {
                        *ret_path = strdup(path);
                        return *ret_path ? 0 : -ENOMEM;
                }
        }
        return r;
}

/* Receive one fd; -errno, -EBADMSG when the message has none. */
static int receive_fd(int socket)
{
        union {
                struct cmsghdr align;
                char buf[CMSG_SPACE(sizeof(int))];
        } control;
        char name[4096];
        struct iovec iov = {.iov_base = name, .iov_len = sizeof(name)};
        struct msghdr msg = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf)};
        struct cmsghdr *c;
        ssize_t n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        int fd;

        if (n < 0)
                return -errno;
        c = CMSG_FIRSTHDR(&msg);
        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
                return -EBADMSG;
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        return fd;
}

/* Callers rely on "\n" becoming "\r\n" on its way out, whatever the runtime has set. */
static void set_onlcr(int tty)
{
        struct termios t;

        if (tcgetattr(tty, &t) < 0) {
                msg_warn("Failed to get console terminal settings: %s", strerror(errno));
                return;
        }
        t.c_oflag |= ONLCR;
        if (tcsetattr(tty, TCSANOW, &t) < 0)
                msg_warn("Failed to set console terminal settings: %s", strerror(errno));
}

static void drop(struct console *c, struct source *source)
{
        loop_del(c->loop, source);
        close_p(&source->fd);
}

static void connection_event(struct source *source, uint32_t events)
{
        struct console *c = source->data;
        int tty = receive_fd(source->fd);

        (void) events;
        if (tty == -EAGAIN || tty == -EINTR)
                return;
        drop(c, source);
        if (tty < 0) {
                msg_error("Failed to receive console file descriptor: %s", strerror(-tty));
                return;
        }
        set_onlcr(tty);
        c->received(c->data, tty);
}

static void listener_event(struct source *source, uint32_t events)
{
        struct console *c = source->data;
        int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        (void) events;
        if (fd < 0)
                return;
        /* One connection is all there will be. */
        drop(c, source);
        (void) unlink(c->path);
        c->connection = (struct source){.fd = fd, .handle = connection_event, .data = c};
        (void) loop_add(c->loop, &c->connection, EPOLLIN);
}

int console_listen(struct console *console)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r = fd < 0 ? -errno : bind_somewhere(fd, &console->path);

        console->listener = (struct source){.fd = fd, .handle = listener_event, .data = console};
        if (r == 0 && listen(fd, 8) < 0)
                r = -errno;
        if (r == 0)
                r = loop_add(console->loop, &console->listener, EPOLLIN);
        if (r < 0)
                msg_error("Failed to make console socket: %s", strerror(-r));
        return r;
}

void console_finish(struct console *console)
{
        if (console->listener.fd >= 0)
                listener_event(&console->listener, 0);
        if (console->connection.fd >= 0)
                connection_event(&console->connection, 0);
}

void console_done(struct console *console)
{
        if (console->listener.fd >= 0 && console->path)
                (void) unlink(console->path);
        drop(console, &console->listener);
        drop(console, &console->connection);
        free(console->path);
        console->path = NULL;
}
