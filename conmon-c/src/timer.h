/* A timer of the loop: CLOCK_MONOTONIC, once each time it is set. */
#ifndef CONMON_TIMER_H
#define CONMON_TIMER_H

#include <stdint.h>

#include "loop.h"

struct timer {
        struct loop *loop;
        struct source source;
        void (*fired)(void *data);
        void *data;
};

void timer_init(struct timer *timer, struct loop *loop, void (*fired)(void *data), void *data);

/* Fire at this point of CLOCK_MONOTONIC (ns), at once if it has passed; 0, or -errno. */
int timer_set_at(struct timer *timer, int64_t ns);
int timer_set(struct timer *timer, int64_t ms);

/* ms until it fires; -1: it is not set. */
int64_t timer_left(const struct timer *timer);
void timer_stop(struct timer *timer);
void timer_done(struct timer *timer);

/* ns of CLOCK_MONOTONIC */
int64_t now_ns(void);

#endif
