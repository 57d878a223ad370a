#include "relay.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "message.h"
#include "util.h"

/* A pseudo terminal holds two buffers of 64 KiB between slave and master at most (tty_buffer.c, n_tty.c). */
#define TTY_HOLDS (128 * 1024)

enum outcome { READ_SOME, READ_NOTHING, READ_END };

static void stream_event(struct source *source, uint32_t events);
static void caught_up(void *data);

void relay_init(struct relay *relay, struct loop *loop, struct log *log, struct attach *attach)
{
        *relay = (struct relay){.loop = loop, .log = log, .attach = attach};
        relay->out = (struct stream){.source = {.fd = -1}, .relay = relay, .id = STREAM_STDOUT};
        relay->err = (struct stream){.source = {.fd = -1}, .relay = relay, .id = STREAM_STDERR};
        attach->caught_up = caught_up;
        attach->data = relay;
}

void relay_set(struct relay *relay, enum stream_id id, int fd, bool tty)
{
        struct stream *s = id == STREAM_STDOUT ? &relay->out : &relay->err;

        s->source = (struct source){.fd = fd, .handle = stream_event, .data = s};
        s->tty = tty;
        if (relay->started && !relay->paused)
                (void) loop_add(relay->loop, &s->source, EPOLLIN);
}

static void stream_watch(struct stream *s)
{
        if (s->source.fd < 0 || s->relay->draining)
                return;
        (void) loop_add(s->relay->loop, &s->source, s->hung_up ? EPOLLIN | EPOLLET : EPOLLIN);
}

static void stream_close(struct stream *s)
{
        loop_del(s->relay->loop, &s->source);
        close_p(&s->source.fd);
}

static void pause_relay(struct relay *r)
{
        r->paused = true;
        loop_del(r->loop, &r->out.source);
        loop_del(r->loop, &r->err.source);
}

/* One read into buf (RELAY_CHUNK long), logged. */
static enum outcome read_and_log(struct stream *s, char *buf, size_t *ret_len)
{
        struct relay *r = s->relay;
        ssize_t n;

        do
                n = read(s->source.fd, buf, RELAY_CHUNK);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN)
                return READ_NOTHING;
        if (n <= 0) {
                if (n < 0 && errno != EIO)
                        msg_warn("Failed to read container output: error %d", errno);
                return READ_END;
        }
        s->left = s->left > (size_t) n ? s->left - (size_t) n : 0;
        log_write(r->log, s->id, buf, (size_t) n);
        *ret_len = (size_t) n;
        return READ_SOME;
}

static enum outcome stream_read(struct stream *s)
{
        struct relay *r = s->relay;
        char *map = scratch_get(&r->buf, RELAY_CHUNK);
        enum outcome got;
        size_t n;

        if (!map)
                return READ_NOTHING;
        got = read_and_log(s, map, &n);
        if (got == READ_SOME && attach_send(r->attach, s->id, map, n))
                pause_relay(r);
        return got;
}

/* The end of a pipe is final. A terminal's only means that nobody has it open just now. */
static void stream_end(struct stream *s)
{
        if (!s->tty) {
                stream_close(s);
        } else if (!s->hung_up) {
                s->hung_up = true;
                stream_watch(s);
        }
}

static void stream_event(struct source *source, uint32_t events)
{
        struct stream *s = source->data;
        enum outcome got;

        (void) events;
        do {
                got = stream_read(s);
                if (got == READ_END) {
                        stream_end(s);
                        return;
                }
                /* Edges tell of new output once, so it has to be read to its end; levels tell again. */
        } while (s->hung_up && got == READ_SOME && !s->relay->paused);
        if (s->hung_up && got == READ_NOTHING) {
                s->hung_up = false; /* somebody has opened it again */
                stream_watch(s);
        }
}

static size_t holds(const struct stream *s)
{
        int size = s->source.fd < 0 ? 0 : fcntl(s->source.fd, F_GETPIPE_SZ);

        return size > 0 ? (size_t) size : TTY_HOLDS;
}

static void filling_event(struct source *source, uint32_t events)
{
        const struct stream *s = source->data;
        int n = 0;

        (void) events;
        /* Half, because a pipe's pages need not be full: a write that does not fit in one takes the next. */
        if (ioctl(source->fd, FIONREAD, &n) == 0 && (size_t) n >= holds(s) / 2)
                relay_start(s->relay);
}

static void prepare_stream(struct stream *s)
{
        if (s->source.fd < 0)
                return;
        s->source.handle = filling_event;
        (void) loop_add(s->relay->loop, &s->source, EPOLLIN | EPOLLET);
}

void relay_prepare(struct relay *relay)
{
        prepare_stream(&relay->out);
        prepare_stream(&relay->err);
}

void relay_start(struct relay *relay)
{
        if (relay->started)
                return;
        relay->started = true;
        relay->out.source.handle = relay->err.source.handle = stream_event;
        stream_watch(&relay->out);
        stream_watch(&relay->err);
}

/* Log what a slow client has not made room for yet, so that neither log nor exit code wait for it. */
static enum outcome stream_set_aside(struct stream *s)
{
        struct leftover *l = malloc(sizeof(*l) + RELAY_CHUNK), **end = &s->relay->leftovers;
        enum outcome got;

        if (!l)
                return READ_NOTHING;
        *l = (struct leftover){.id = s->id};
        got = read_and_log(s, l->buf, &l->len);
        if (got != READ_SOME) {
                free(l);
                return got;
        }
        while (*end)
                end = &(*end)->next;
        *end = l;
        return got;
}

/* Read what a stream held when the container ended; the bound is for grandchildren that go on writing. */
static void drain_stream(struct stream *s)
{
        while (s->source.fd >= 0 && s->left > 0) {
                enum outcome got = s->relay->paused ? stream_set_aside(s) : stream_read(s);

                if (got != READ_SOME)
                        s->left = 0;
        }
}

/* Send what was set aside, as far as the clients take it. */
static void send_leftovers(struct relay *r)
{
        while (!r->paused && r->leftovers) {
                struct leftover *l = r->leftovers;
                char *map = scratch_get(&r->buf, RELAY_CHUNK);

                r->leftovers = l->next;
                if (map) {
                        memcpy(map, l->buf, l->len);
                        r->paused = attach_send(r->attach, l->id, map, l->len);
                }
                free(l);
        }
        r->drained = !r->paused;
}

void relay_drain(struct relay *relay)
{
        relay->draining = true;
        loop_del(relay->loop, &relay->out.source);
        loop_del(relay->loop, &relay->err.source);
        relay->out.left = holds(&relay->out);
        relay->err.left = holds(&relay->err);
        attach_accept_all(relay->attach);
        drain_stream(&relay->out);
        drain_stream(&relay->err);
        send_leftovers(relay);
}

static void caught_up(void *data)
{
        struct relay *r = data;

        r->paused = false;
        if (r->draining) {
                send_leftovers(r);
        } else if (r->started) {
                stream_watch(&r->out);
                stream_watch(&r->err);
        }
}

void relay_reset(struct relay *relay)
{
        stream_close(&relay->out);
        stream_close(&relay->err);
        relay->out = (struct stream){.source = {.fd = -1}, .relay = relay, .id = STREAM_STDOUT};
        relay->err = (struct stream){.source = {.fd = -1}, .relay = relay, .id = STREAM_STDERR};
        relay->started = relay->draining = relay->drained = false;
}

void relay_trim(struct relay *relay)
{
        if (!relay->buf.dirty || relay->paused)
                return;
        scratch_trim(&relay->buf);
        log_trim(relay->log);
}

void relay_done(struct relay *relay)
{
        stream_close(&relay->out);
        stream_close(&relay->err);
        while (relay->leftovers) {
                struct leftover *l = relay->leftovers;

                relay->leftovers = l->next;
                free(l);
        }
        scratch_free(&relay->buf);
}
