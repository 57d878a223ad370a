#include "reload.h"

#include <string.h>

#include "message.h"
#include "monitor.h"

/* A container that may be made again is given its stdio anew; with passthrough that was given away. */
static bool may_restart(const struct orders *o)
{
        return o->policy != RESTART_NO || o->on_failure == ACTION_RESTART || o->startup.process;
}

/* The first orders of a container that runs: from now on it is tended. */
static void begin_tending(struct monitor *m)
{
        struct timespec *started = &m->record.started;
        uint64_t ran = now_ms() - m->run_began;

        (void) clock_gettime(CLOCK_REALTIME, started);
        started->tv_sec -= (time_t) (ran / 1000);
        m->was_started = true;
        m->record.phase = PHASE_RUNNING;
        m->record.pid = m->container_pid;
        statefile_write(&m->record, m->opt.state_file);
}

int reload(struct monitor *m, char *reterr, size_t size)
{
        _cleanup_free_ char *path = m->opt.orders ? strdup(m->opt.orders) : format("%s/orders", m->opt.bundle);
        struct orders fresh = {0}, before = m->orders;
        int r = -ENOMEM;

        if (!path)
                (void) snprintf(reterr, size, "out of memory");
        else
                r = orders_read(&fresh, path, reterr, size);
        if (r == 0 && !before.given && (m->ended || m->container_pid <= 0)) {
                (void) snprintf(reterr, size, "it is not running");
                r = -ESRCH;
        }
        if (r == 0 && !before.given && m->log.passthrough && may_restart(&fresh)) {
                (void) snprintf(reterr, size, "its output is passed through, so it cannot be started again by itself");
                r = -EINVAL;
        }
        if (r < 0) {
                orders_done(&fresh);
                return r;
        }
        m->orders = fresh;
        if (!before.given)
                begin_tending(m);
        health_reordered(&m->health, &before);
        orders_done(&before);
        return 0;
}
