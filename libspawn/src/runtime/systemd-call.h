/* Calls of systemd's manager object, and its jobs. */
#ifndef PODLIKE_SYSTEMD_CALL_H
#define PODLIKE_SYSTEMD_CALL_H

#include "cgroup-systemd.h"

struct cgroup_systemd {
        const struct sdbus *lib;
        sd_bus *bus;
        char slice[256], subgroup[256]; /* "": none */
        char unit[256], inner[256]; /* for joining: the unit around the container, where in it the first process is */
        struct systemd_missing missing;
};

/* A call and what comes back; all of it is freed by systemd_call_free(). */
struct systemd_call {
        const struct sdbus *lib;
        sd_bus_message *m, *reply;
        sd_bus_error error;
};

void systemd_call_free(struct systemd_call *c);
#define _cleanup_call_ __attribute__((cleanup(systemd_call_free)))
int systemd_call_new(sd_bus *bus, struct systemd_call *c, const char *method, spawn_error *e);
/* "systemd: start unit `x`: its words". Returns r. */
int systemd_call_failed(const struct systemd_call *c, int r, const char *what, const char *unit, spawn_error *e);
/* Whether the words are about a property that this systemd does not know and that can be left out. */
bool systemd_note_missing(const struct systemd_call *c, struct systemd_missing *missing);
/* Forget how a unit failed, and with that the unit. */
void systemd_reset_failed(const struct sdbus *lib, sd_bus *bus, const char *unit);

struct systemd_job {
        const struct sdbus *lib;
        const char *path;
        bool over;
        char result[32];
};

/* Before the call that starts the job. */
int systemd_job_watch(sd_bus *bus, struct systemd_job *j, spawn_error *e);
/* The reply of a method that starts a job is its path; wait until the job has ended. what: "started". */
int systemd_job_await(sd_bus *bus, struct systemd_job *j, const struct systemd_call *c, const char *what,
                      const char *unit, spawn_error *e);

#endif
