/* Notice that the container ran out of memory, by its cgroup's counters. */
#ifndef CONMON_OOM_H
#define CONMON_OOM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop.h"
#include "options.h"

struct oom_counts {
        uint64_t oom, oom_kill;
};

struct oom {
        struct loop *loop;
        const struct options *opt;
        struct source source; /* inotify (cgroup v2) or eventfd (v1) */
        int events; /* memory.events or memory.oom_control */
        bool reported;
        char *dir; /* of the cgroup */
        char limit[24]; /* memory.max when it was reported */
        struct oom_counts seen;
};

void oom_init(struct oom *oom, struct loop *loop, const struct options *opt);

/* Watch the memory cgroup of pid; without one nothing is watched. */
void oom_watch(struct oom *oom, pid_t pid);

/* Look once more: the last event may have ended the container. */
void oom_check(struct oom *oom);

/* The container is about to be made anew: forget its last run. */
void oom_reset(struct oom *oom);
void oom_done(struct oom *oom);

/* The counters of memory.events or memory.oom_control; what is missing is 0. */
struct oom_counts oom_parse_events(const char *text);

/* The path of a controller's cgroup in the text of /proc/PID/cgroup ("" is cgroup v2); fresh memory or NULL. */
char *oom_cgroup_path(const char *text, const char *controller);

#endif
