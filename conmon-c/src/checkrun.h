/* One run of a health check: the runtime's exec, what it prints, its time limit. */
#ifndef CONMON_CHECKRUN_H
#define CONMON_CHECKRUN_H

#include <stdbool.h>
#include <time.h>

#include "children.h"
#include "loop.h"
#include "timer.h"
#include "tree.h"

struct monitor;

#define CHECK_TIMED_OUT (-1)

struct check {
        struct monitor *m;
        void (*done)(struct check *check);

        bool running;
        struct child runtime, process;
        pid_t session; /* the process's pid, also when it has ended */
        struct source out;
        struct timer limit;
        struct tree tree; /* of one that is being ended */
        bool timed_out;
        bool expecting; /* the process is not known yet */
        int64_t left; /* of the time limit while the container is frozen, ms; -1: it is not */

        /* For done(): */
        struct timespec start, end; /* of the wall clock */
        int code; /* 0, the command's, or CHECK_TIMED_OUT */
        char *output; /* size_max bytes at most */
        size_t output_len, output_max; /* output_max 0: no limit */
};

void check_init(struct check *check, struct monitor *m, void (*done)(struct check *check));

/* Start one. process: file for exec --process; timeout: ms, 0 none. done() is called in every case, later or at once. */
void check_start(struct check *check, const char *process, int64_t timeout);

/* The container is frozen or not: a check stands still with it and its time limit too. */
void check_freeze(struct check *check, bool frozen);

/* The container has ended, and with it what ran in it: done() is called now. */
void check_cut(struct check *check);
void check_done(struct check *check);

#endif
