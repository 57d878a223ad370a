#include "sdnotify.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "attach-socket.h"
#include "message.h"
#include "util.h"

#define DATAGRAM_MAX 8192

bool sdnotify_allowed(const char *line, size_t len)
{
        static const char *const whole[] = {"READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=trigger"};
        static const char *const start[] = {"STATUS=", "ERRNO=", "BUSERROR=", "MONOTONIC_USEC="};

        for (size_t i = 0; i < ARRAY_LEN(whole); i++)
                if (strlen(whole[i]) == len && memcmp(line, whole[i], len) == 0)
                        return true;
        for (size_t i = 0; i < ARRAY_LEN(start); i++)
                if (strlen(start[i]) <= len && memcmp(line, start[i], strlen(start[i])) == 0)
                        return true;
        return false;
}

/* Keep the allowed lines, each ended by a newline; the new length. */
static size_t filter(char *buf, size_t len)
{
        size_t out = 0;

        for (size_t i = 0; i < len;) {
                const char *newline = memchr(buf + i, '\n', len - i);
                size_t n = newline ? (size_t) (newline - buf) - i : len - i;

                if (sdnotify_allowed(buf + i, n)) {
                        memmove(buf + out, buf + i, n);
                        out += n;
                        buf[out++] = '\n';
                }
                i += n + 1;
        }
        return out;
}

static void datagram(struct source *source, uint32_t events)
{
        struct sdnotify *notify = source->data;
        char buf[DATAGRAM_MAX + 1];
        ssize_t n = recv(source->fd, buf, DATAGRAM_MAX, MSG_DONTWAIT);
        size_t len;

        (void) events;
        if (n <= 0)
                return;
        len = filter(buf, (size_t) n);
        if (len > 0 && send(notify->out, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                msg_warn("Failed to pass on a readiness message: %s", strerror(errno));
}

void sdnotify_init(struct sdnotify *notify, struct loop *loop)
{
        *notify = (struct sdnotify){.loop = loop, .source = {.fd = -1}, .out = -1};
}

static int connect_to(const char *path)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        size_t len = strlen(path);
        _cleanup_close_ int fd = -1;

        if (len >= sizeof(addr.sun_path))
                return -ENAMETOOLONG;
        memcpy(addr.sun_path, path, len);
        if (path[0] == '@')
                addr.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *) &addr, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len)) < 0)
                return -errno;
        return steal_fd(&fd);
}

int sdnotify_send(const char *path, const char *text)
{
        _cleanup_close_ int fd = connect_to(path);

        if (fd < 0)
                return fd;
        return send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int sdnotify_open(struct sdnotify *notify, const struct options *opt)
{
        _cleanup_free_ char *dir = opt->bundle ? format("%s/notify", opt->bundle) : NULL;
        int fd;

        if (!dir)
                return -EINVAL;
        notify->out = connect_to(opt->sdnotify_socket);
        if (notify->out < 0) {
                msg_error("Failed to connect to notify socket %s: %s", opt->sdnotify_socket, strerror(-notify->out));
                return notify->out;
        }
        fd = bind_in_dir(dir, "notify.sock", SOCK_DGRAM, 0777);
        if (fd < 0) {
                msg_error("Failed to bind notify socket %s/notify.sock: %s", dir, strerror(-fd));
                return fd;
        }
        notify->source = (struct source){.fd = fd, .handle = datagram, .data = notify};
        return loop_add(notify->loop, &notify->source, EPOLLIN);
}

void sdnotify_done(struct sdnotify *notify)
{
        loop_del(notify->loop, &notify->source);
        close_p(&notify->source.fd);
        close_p(&notify->out);
}
