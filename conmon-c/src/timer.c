#include "timer.h"

#include <sys/timerfd.h>
#include <time.h>

#include "util.h"

#define NS 1000000000
#define NS_OF_MS 1000000

int64_t now_ns(void)
{
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t) ts.tv_sec * NS + ts.tv_nsec;
}

static void timer_event(struct source *source, uint32_t events)
{
        struct timer *t = source->data;
        uint64_t ticks;

        (void) events;
        if (read(source->fd, &ticks, sizeof(ticks)) == sizeof(ticks))
                t->fired(t->data);
}

void timer_init(struct timer *timer, struct loop *loop, void (*fired)(void *data), void *data)
{
        *timer = (struct timer){.loop = loop, .fired = fired, .data = data};
        timer->source = (struct source){.fd = -1, .handle = timer_event, .data = timer};
}

int timer_set_at(struct timer *timer, int64_t ns)
{
        struct itimerspec spec = {.it_value = {.tv_sec = ns / NS, .tv_nsec = ns % NS}};
        int r;

        if (timer->source.fd < 0) {
                timer->source.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
                r = timer->source.fd < 0 ? -errno : loop_add(timer->loop, &timer->source, EPOLLIN);
                if (r < 0) {
                        close_p(&timer->source.fd);
                        return r;
                }
        }
        return timerfd_settime(timer->source.fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0 ? -errno : 0;
}

int timer_set(struct timer *timer, int64_t ms)
{
        return timer_set_at(timer, now_ns() + ms * NS_OF_MS);
}

int64_t timer_left(const struct timer *timer)
{
        struct itimerspec spec;

        if (timer->source.fd < 0 || timerfd_gettime(timer->source.fd, &spec) < 0 ||
            (spec.it_value.tv_sec == 0 && spec.it_value.tv_nsec == 0))
                return -1;
        return (int64_t) spec.it_value.tv_sec * 1000 + spec.it_value.tv_nsec / NS_OF_MS;
}

void timer_stop(struct timer *timer)
{
        struct itimerspec never = {0};

        if (timer->source.fd >= 0)
                (void) timerfd_settime(timer->source.fd, 0, &never, NULL);
}

void timer_done(struct timer *timer)
{
        loop_del(timer->loop, &timer->source);
        close_p(&timer->source.fd);
}
