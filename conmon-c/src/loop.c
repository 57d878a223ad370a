#include "loop.h"

#include <errno.h>

#include "util.h"

int loop_init(struct loop *loop)
{
        loop->batch = NULL;
        loop->n_batch = 0;
        loop->fd = epoll_create1(EPOLL_CLOEXEC);
        return loop->fd < 0 ? -errno : 0;
}

void loop_done(struct loop *loop)
{
        close_p(&loop->fd);
}

static int control(struct loop *loop, int op, struct source *source, uint32_t events)
{
        struct epoll_event ev = {.events = events, .data.ptr = source};

        return epoll_ctl(loop->fd, op, source->fd, &ev) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, struct source *source, uint32_t events)
{
        int r;

        if (source->added)
                return loop_mod(loop, source, events);
        r = control(loop, EPOLL_CTL_ADD, source, events);
        source->added = r == 0;
        return r;
}

int loop_mod(struct loop *loop, struct source *source, uint32_t events)
{
        return source->added ? control(loop, EPOLL_CTL_MOD, source, events) : 0;
}

void loop_del(struct loop *loop, struct source *source)
{
        if (source->added)
                (void) control(loop, EPOLL_CTL_DEL, source, 0);
        source->added = false;
        for (int i = 0; loop->batch && i < loop->n_batch; i++)
                if (loop->batch[i].data.ptr == source)
                        loop->batch[i].data.ptr = NULL;
}

static void handle_batch(struct loop *loop, bool early)
{
        for (int i = 0; i < loop->n_batch; i++) {
                struct source *s = loop->batch[i].data.ptr;

                if (!s || s->early != early)
                        continue;
                loop->batch[i].data.ptr = NULL;
                s->handle(s, loop->batch[i].events);
        }
}

int loop_step(struct loop *loop, int timeout)
{
        struct epoll_event batch[LOOP_BATCH];
        int n = epoll_wait(loop->fd, batch, LOOP_BATCH, timeout);

        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        loop->batch = batch;
        loop->n_batch = n;
        handle_batch(loop, true);
        handle_batch(loop, false);
        loop->batch = NULL;
        return n;
}
