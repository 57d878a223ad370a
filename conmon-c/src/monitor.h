/* The monitor of one container or exec session: everything it has, and its stages in the order they run. */
#ifndef CONMON_MONITOR_H
#define CONMON_MONITOR_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "attach.h"
#include "children.h"
#include "console.h"
#include "control.h"
#include "ctl.h"
#include "health.h"
#include "input.h"
#include "log.h"
#include "loop.h"
#include "oom.h"
#include "options.h"
#include "orders.h"
#include "relay.h"
#include "sdnotify.h"
#include "statefile.h"
#include "tend.h"
#include "timer.h"

/* Children that ended before it is known which one is the container: a short exec may be over before its runtime. */
#define STRAYS_MAX 32

#define EXIT_UNKNOWN (-1)

struct monitor {
        struct options opt;
        struct loop loop;
        struct log log;
        struct input input;
        struct attach attach;
        struct relay relay;
        struct ctl ctl;
        struct console console;
        struct oom oom;
        struct sdnotify notify;

        /* From the caller, by environment; -1 without. */
        int start_pipe, sync_pipe, attach_pipe, owner_pipe;
        /* Fds that are not ours: kept open while the container runs (ports kept busy), inherited by the runtime. */
        int *inherited;
        size_t n_inherited;

        int oom_score_adj; /* as it was before */
        sigset_t sigmask; /* as it was before */
        struct source signals, timeout;
        struct source container; /* a pidfd when the container is not our child */

        pid_t runtime_pid, container_pid; /* 0: not there (any more) */
        int runtime_status;
        bool runtime_done;
        struct {
                pid_t pid;
                int status;
        } strays[STRAYS_MAX];
        size_t n_strays;
        unsigned int expecting; /* processes that will appear; strays are kept for them */
        struct child *children; /* that somebody waits for */

        bool started; /* the runtime was forked: the exit command is due */
        bool ended, timed_out;
        int exit_code, exit_signal;

        /* With orders: tend.c */
        struct orders orders;
        struct control control;
        struct health health;
        struct record record;
        struct timer insist; /* SIGKILL after a stop signal of ours */
        bool start_wanted, was_started;
        bool held; /* no restart any more */
        bool again; /* a restart that no policy has to allow */
        bool failed_health; /* why this run is ended */
        bool recorded; /* how this run ended */
        int64_t wait; /* ms: the last back-off */
        uint64_t run_began; /* ms */
        char said[1024]; /* by a runtime that failed */
        char oom_limit[24];
};

/* idle.c: handle what comes; < 0: the loop is broken. */
int monitor_step(struct monitor *m);

/* startup.c: up to the point where the runtime can be started. 0, or -errno after a message. */
int startup_environment(struct monitor *m);
int startup_wait(struct monitor *m);
/* 0 in the process that goes on; 1 in the parent, whose work is done. */
int startup_detach(struct monitor *m);
int startup_sockets(struct monitor *m);
int startup_runtime(struct monitor *m);
int startup_console(struct monitor *m);

/* children.c: signals, the runtime's and the container's end. */
int children_watch(struct monitor *m);
void children_set_container(struct monitor *m, pid_t pid);
int children_set_timeout(struct monitor *m, int seconds);
void children_stop_timeout(struct monitor *m);
int exit_code_of(int status);

/* created.c: the runtime has ended; report what came of it. 0, or -errno when there is no container. */
int created(struct monitor *m);

/* finish.c: the container has ended (or could not be made); the exit status of the monitor. */
int finish(struct monitor *m);
int finish_failed(struct monitor *m);

#endif
