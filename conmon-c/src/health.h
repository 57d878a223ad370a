/* Health checks: when they run, and what their results mean.
 *
 * The meaning is podman's (5.8). A check that succeeds makes the container healthy. One that fails counts, unless the
 * start period is still on, and as many as `retries` in a row make it unhealthy, which the ordered action follows. With a
 * startup check, that one runs first; until it has succeeded often enough failures do not count, but `retries` of
 * them (in all) restart the container.
 */
#ifndef CONMON_HEALTH_H
#define CONMON_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "checkrun.h"
#include "orders.h"
#include "timer.h"

struct monitor;

enum health_status { HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY, HEALTH_STOPPED };

/* What the results so far amount to. */
struct health_state {
        enum health_status status;
        unsigned int streak; /* of failures */
        bool startup_passed;
        int64_t startup_successes, startup_failures;
};

/* Take one result in. starting: within the start period. What is to be done now. */
enum health_action health_judge(struct health_state *state, const struct orders *orders, bool success, bool starting);

const char *health_word(enum health_status status);

struct health {
        struct monitor *m;
        const struct orders *orders; /* regular.process NULL: no checks */
        bool running; /* the container runs, checks are due */
        struct health_state state;
        struct check check;
        bool is_startup; /* the check under way */
        bool requested; /* another one is wanted as soon as this one is over */
        struct timer tick;
        int64_t origin, period; /* of the grid that checks are on: ns */
        int64_t started; /* ns */
        struct source freezer; /* cgroup.events of the container */
        bool frozen;
        bool ready_told;
};

void health_init(struct health *health, struct monitor *m);

/* The container's program has just started. */
void health_start(struct health *health);

/* It has ended, or is about to: no further check; one under way is cut off. */
void health_stop(struct health *health);

/* m->orders were replaced; before: what they were. */
void health_reordered(struct health *health, const struct orders *before);

/* Somebody asks for a check; its result goes to the clients that wait for one. */
void health_request(struct health *health);
void health_done(struct health *health);

#endif
