/* A tended container: one with orders. The monitor starts it when it is asked to, and again when it is ordered to. */
#ifndef CONMON_TEND_H
#define CONMON_TEND_H

#include <stdbool.h>

#include "orders.h"

struct monitor;

/* Read the orders, if there are any; 0, or -errno after a message. */
int tend_read_orders(struct monitor *m);

/* The first container has been made: wait for the request to start it, or for its end. */
void tend_first_start(struct monitor *m);

/* A run has ended (m->ended or m->timed_out). true: the container runs again; false: that was the last run. */
bool tend_again(struct monitor *m);

/* The last run is over: take down how. Done once, for containers without orders too. */
void tend_over(struct monitor *m);

/* The last run's end is recorded where everybody looks. */
void tend_told(struct monitor *m);

/* From health checks: */
void tend_health_changed(struct monitor *m, const char *status, unsigned int streak);
void tend_act(struct monitor *m, enum health_action action);

/* The timer m->insist: what did not stop is killed. data: the monitor. */
void tend_insist(void *data);

#endif
