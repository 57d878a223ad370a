/* Typed messages between the processes of one set-up. */
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "sync.h"
#include "util.h"

int sync_pair(int ret[2])
{
        return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

int sync_send(int fd, enum sync_type type, int value, const spawn_error *err)
{
        struct sync_message m;
        ssize_t n;

        memset(&m, 0, sizeof(m));
        m.type = type;
        m.value = value;
        if (err != NULL)
                m.err = *err;
        do
                n = send(fd, &m, sizeof(m), MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

int sync_receive(int fd, struct sync_message *ret)
{
        bool reset = false, again;
        ssize_t n;

        do {
                n = recv(fd, ret, sizeof(*ret), 0);
                /* The other end is gone and has left something unread. It comes before the last words, if there are
                 * any. */
                again = n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset));
                reset = reset || (n < 0 && errno == ECONNRESET);
        } while (again);
        if (n < 0)
                return -errno;
        if (n == 0)
                return reset ? -ECONNRESET : 0;
        if ((size_t) n != sizeof(*ret) || ret->type < SYNC_ERROR || ret->type >= SYNC_TYPES)
                return -EBADMSG;
        ret->err.stage[sizeof(ret->err.stage) - 1] = '\0';
        ret->err.text[sizeof(ret->err.text) - 1] = '\0';
        return 1;
}

int sync_wait_go(int fd)
{
        struct sync_message m;
        int r = sync_receive(fd, &m);

        if (r <= 0)
                return r == 0 ? -EPIPE : r;
        return m.type == SYNC_GO ? 0 : -EBADMSG;
}
