#include "attach.h"

#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#include "attach-socket.h"
#include "message.h"
#include "util.h"

/* podman's clients send at most 32 KiB a packet; the kernel's default send buffer bounds any packet to 208 KiB. */
#define INPUT_MAX (256 * 1024)
#define PACKETS_A_CALL 8
#define INPUT_TURNS 8

struct client {
        struct source source;
        struct attach *attach;
        struct client *next;
        size_t sent; /* of the chunk */
        bool behind; /* has not got all of the chunk */
        bool deaf; /* its output has ended */
        bool ended; /* its input has ended */
        bool exempt; /* from being cut off */
        char *rest; /* input that the container had no room for */
        size_t rest_len, rest_off;
        int unread; /* bytes in its socket when last looked at */
        uint64_t last_read; /* ms: when it was last seen to have read something */
};

static void client_event(struct source *source, uint32_t events);
static void input_writable(void *data);

void attach_init(struct attach *attach, struct loop *loop, struct input *input)
{
        *attach = (struct attach){.loop = loop, .input = input, .patience = ATTACH_PATIENCE_MS};
        attach->listener.fd = attach->timer.fd = -1;
        input->writable = input_writable;
        input->data = attach;
}

static void client_free(struct client *c)
{
        struct client **p = &c->attach->clients;

        while (*p != c)
                p = &(*p)->next;
        *p = c->next;
        loop_del(c->attach->loop, &c->source);
        close_p(&c->source.fd);
        free(c->rest);
        free(c);
}

/* Ask for just the events that can be acted on: a level-triggered loop would spin on the others. */
static void client_watch(struct client *c)
{
        uint32_t events = 0;

        if (!c->ended && !c->rest)
                events |= EPOLLIN;
        if (c->behind)
                events |= EPOLLOUT;
        (void) loop_mod(c->attach->loop, &c->source, events);
}

/* --- output --- */

static void set_behind(struct client *c, bool behind)
{
        struct attach *a = c->attach;

        if (c->behind == behind)
                return;
        c->behind = behind;
        a->n_behind += behind ? 1 : -1U;
        if (behind) {
                c->unread = -1;
                c->last_read = now_ms();
        }
}

static void client_deafen(struct client *c)
{
        c->deaf = true;
        set_behind(c, false);
        (void) shutdown(c->source.fd, SHUT_WR);
}

/* Send the next packets of the chunk; how many bytes of it went, or -errno. */
static ssize_t send_packets(struct client *c)
{
        struct attach *a = c->attach;
        struct iovec iov[PACKETS_A_CALL][2];
        struct mmsghdr msgs[PACKETS_A_CALL] = {0};
        size_t at = c->sent, sum = 0;
        unsigned int n = 0;
        int r;

        for (; n < PACKETS_A_CALL && at < a->chunk_len; n++) {
                size_t len = MIN_OF(a->chunk_len - at, (size_t) ATTACH_PACKET);

                iov[n][0] = (struct iovec){.iov_base = &a->chunk_id, .iov_len = 1};
                iov[n][1] = (struct iovec){.iov_base = (char *) a->chunk + at, .iov_len = len};
                msgs[n].msg_hdr.msg_iov = iov[n];
                msgs[n].msg_hdr.msg_iovlen = 2;
                at += len;
        }
        r = sendmmsg(c->source.fd, msgs, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (r < 0)
                return -errno;
        for (int i = 0; i < r; i++)
                sum += iov[i][1].iov_len;
        return (ssize_t) sum;
}

static void client_send(struct client *c)
{
        while (!c->deaf && c->sent < c->attach->chunk_len) {
                ssize_t n = send_packets(c);

                if (n >= 0) {
                        c->sent += (size_t) n;
                } else if (n == -EAGAIN) {
                        set_behind(c, true);
                        return;
                } else if (n != -EINTR) {
                        client_deafen(c);
                        return;
                }
        }
        set_behind(c, false);
}

static void set_timer(struct attach *a, bool run)
{
        /* Look often enough that a client is cut off at most a fifth too late. */
        long ms = run ? MIN_OF(a->patience / 5 + 1, 1000) : 0;
        struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
        struct itimerspec spec = {.it_interval = t, .it_value = t};

        if (a->timer.fd >= 0 && timerfd_settime(a->timer.fd, 0, &spec, NULL) == 0)
                a->timer_runs = run;
}

/* Whether a client that is behind has read since it was last looked at, or is still within its time. */
static bool is_alive(struct client *c, uint64_t now)
{
        int unread = 0;

        if (ioctl(c->source.fd, SIOCOUTQ, &unread) < 0 || unread != c->unread)
                c->last_read = now;
        c->unread = unread;
        return c->exempt || now - c->last_read < (uint64_t) c->attach->patience;
}

static void after_progress(struct attach *a)
{
        if (a->n_behind > 0 || !a->chunk)
                return;
        a->chunk = NULL;
        a->chunk_len = 0;
        if (a->caught_up)
                a->caught_up(a->data);
}

static void timer_event(struct source *source, uint32_t events)
{
        struct attach *a = source->data;
        uint64_t ticks, now = now_ms();

        (void) events;
        (void) !read(source->fd, &ticks, sizeof(ticks));
        /* Stopped only here: a client that is often behind for a moment costs no system calls. */
        if (a->n_behind == 0)
                set_timer(a, false);
        for (struct client *c = a->clients; c; c = c->next) {
                if (!c->behind)
                        continue;
                client_send(c);
                if (c->behind && !is_alive(c, now)) {
                        msg_warn("An attached client has read nothing for %d ms, its output ends", a->patience);
                        client_deafen(c);
                }
                client_watch(c);
        }
        after_progress(a);
}

static void start_timer(struct attach *a)
{
        if (a->patience <= 0 || a->timer_runs)
                return;
        if (a->timer.fd < 0) {
                a->timer = (struct source){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                                           .handle = timer_event,
                                           .data = a};
                if (a->timer.fd >= 0)
                        (void) loop_add(a->loop, &a->timer, EPOLLIN);
        }
        set_timer(a, true);
}

bool attach_send(struct attach *attach, enum stream_id stream, const char *buf, size_t len)
{
        attach->chunk_id = (char) stream;
        attach->chunk_len = len;
        attach->chunk = buf;
        for (struct client *c = attach->clients; c; c = c->next) {
                c->sent = 0;
                if (c->deaf)
                        continue;
                client_send(c);
                if (c->behind)
                        client_watch(c);
        }
        if (attach->n_behind == 0) {
                attach->chunk = NULL;
                attach->chunk_len = 0;
                return false;
        }
        start_timer(attach);
        return true;
}

/* --- input --- */

/* Hand on what is left of the last packet; true when nothing is left. */
static bool client_push_rest(struct client *c)
{
        if (!c->rest)
                return true;
        c->rest_off += input_write(c->attach->input, c->rest + c->rest_off, c->rest_len - c->rest_off);
        if (c->rest_off < c->rest_len)
                return false;
        free(c->rest);
        c->rest = NULL;
        return true;
}

static void client_keep_rest(struct client *c, const char *buf, size_t len)
{
        c->rest = malloc(len);
        c->rest_len = c->rest ? len : 0;
        c->rest_off = 0;
        if (c->rest)
                memcpy(c->rest, buf, len);
        else
                msg_error("Out of memory: %zu bytes of input are lost", len);
}

static void client_end_input(struct client *c)
{
        c->ended = true;
        input_end(c->attach->input);
}

/* Move input from the client to the container until either has enough; turns: packets at most, 0: no limit. */
static void client_pump(struct client *c, int turns)
{
        for (int i = 0; !c->ended && (turns == 0 || i < turns) && client_push_rest(c); i++) {
                char *buf = scratch_get(&c->attach->in, INPUT_MAX);
                ssize_t n = buf ? recv(c->source.fd, buf, INPUT_MAX, MSG_DONTWAIT) : -1;
                size_t done;

                if (n < 0 && (errno == EAGAIN || !buf))
                        return;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        client_end_input(c);
                        return;
                }
                done = input_write(c->attach->input, buf, (size_t) n);
                if (done < (size_t) n)
                        client_keep_rest(c, buf + done, (size_t) n - done);
        }
}

static void client_event(struct source *source, uint32_t events)
{
        struct client *c = source->data;
        struct attach *a = c->attach;

        if (events & (EPOLLHUP | EPOLLERR)) {
                /* It is gone, but what it sent is still to be had: read on as the container takes it. */
                loop_del(a->loop, source);
                set_behind(c, false);
                c->deaf = true;
                client_pump(c, 0);
                if (c->ended && !c->rest)
                        client_free(c);
        } else {
                if (events & EPOLLOUT)
                        client_send(c);
                if (events & EPOLLIN)
                        client_pump(c, INPUT_TURNS);
                client_watch(c);
        }
        after_progress(a);
}

/* The container's stdin has room again. */
static void input_writable(void *data)
{
        struct attach *a = data;

        for (struct client *c = a->clients, *next; c; c = next) {
                next = c->next;
                if (!c->rest)
                        continue;
                client_pump(c, c->source.added ? INPUT_TURNS : 0);
                if (!c->source.added && c->ended && !c->rest)
                        client_free(c);
                else
                        client_watch(c);
        }
}

/* --- connections --- */

static pid_t peer_of(int fd)
{
        struct ucred cred = {0};
        socklen_t len = sizeof(cred);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 ? cred.pid : 0;
}

static int client_new(struct attach *a, int fd)
{
        struct client *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->attach = a;
        c->source = (struct source){.fd = fd, .handle = client_event, .data = c};
        c->sent = a->chunk_len; /* what is being sent came before it */
        c->exempt = a->owner > 0 && peer_of(fd) == a->owner;
        c->next = a->clients;
        r = loop_add(a->loop, &c->source, EPOLLIN);
        if (r < 0)
                free(c);
        else
                a->clients = c;
        return r;
}

void attach_accept_all(struct attach *attach)
{
        while (attach->listener.fd >= 0) {
                _cleanup_close_ int fd = accept4(attach->listener.fd, NULL, NULL, SOCK_CLOEXEC);
                int r;

                if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
                        continue;
                if (fd < 0 && errno != EAGAIN) {
                        /* Out of fds: the one that waits would wake the loop for ever. */
                        msg_warn("Failed to accept a client: %s; no more are taken", strerror(errno));
                        loop_del(attach->loop, &attach->listener);
                        close_p(&attach->listener.fd);
                }
                if (fd < 0)
                        return;
                r = client_new(attach, fd);
                if (r < 0)
                        msg_warn("Failed to take a client: %s", strerror(-r));
                else
                        (void) steal_fd(&fd);
        }
}

static void listener_event(struct source *source, uint32_t events)
{
        (void) events;
        attach_accept_all(source->data);
}

/* Take the listening socket that attach-socket.c made. */
static int attach_watch(struct attach *attach, int fd)
{
        attach->listener = (struct source){.fd = fd, .early = true, .handle = listener_event, .data = attach};
        return loop_add(attach->loop, &attach->listener, EPOLLIN);
}

int attach_listen(struct attach *attach, const struct options *opt)
{
        int fd = attach_socket_make(opt, &attach->path, &attach->symlink);

        return fd < 0 ? fd : attach_watch(attach, fd);
}

bool attach_input_over(const struct attach *attach)
{
        for (const struct client *c = attach->clients; c; c = c->next)
                if (!c->ended || c->rest)
                        return false;
        return attach->clients;
}

void attach_finish(struct attach *attach)
{
        attach_accept_all(attach); /* they get an end of file instead of a reset */
        loop_del(attach->loop, &attach->listener);
        close_p(&attach->listener.fd);
        while (attach->clients) {
                struct client *c = attach->clients;
                char byte;

                /* Closing a socket with unread input would show the client an error instead of an end. */
                (void) shutdown(c->source.fd, SHUT_RDWR);
                while (recv(c->source.fd, &byte, 1, MSG_DONTWAIT) > 0)
                        ;
                client_free(c);
        }
}

void attach_remove_symlink(struct attach *attach)
{
        if (attach->symlink && unlink(attach->symlink) < 0 && errno != ENOENT)
                msg_warn("Failed to remove symlink %s: %s", attach->symlink, strerror(errno));
}

void attach_done(struct attach *attach)
{
        loop_del(attach->loop, &attach->timer);
        close_p(&attach->timer.fd);
        scratch_free(&attach->in);
        free(attach->path);
        free(attach->symlink);
        attach->path = attach->symlink = NULL;
}
