/* One epoll loop. A source is embedded in the object that it belongs to. */
#ifndef CONMON_LOOP_H
#define CONMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_BATCH 64

struct source {
        int fd; /* owned by the object around the source */
        bool added;
        bool early; /* handled before the others of a batch */
        void (*handle)(struct source *source, uint32_t events);
        void *data;
};

struct loop {
        int fd;
        int n_batch;
        struct epoll_event *batch; /* of the call under way; NULL between calls */
};

int loop_init(struct loop *loop);
void loop_done(struct loop *loop);

int loop_add(struct loop *loop, struct source *source, uint32_t events);
int loop_mod(struct loop *loop, struct source *source, uint32_t events);

/* Forget a source; safe within a handler, also for sources whose turn in the same batch is still to come. */
void loop_del(struct loop *loop, struct source *source);

/* Wait (timeout in ms, -1 for ever) and handle one batch; the number of events or -errno. */
int loop_step(struct loop *loop, int timeout);

#endif
