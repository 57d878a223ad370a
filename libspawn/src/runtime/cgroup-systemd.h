/* The systemd manager: a scope unit for each container, made over the user's or the system's bus. */
#ifndef PODLIKE_CGROUP_SYSTEMD_H
#define PODLIKE_CGROUP_SYSTEMD_H

#include "cgroup.h"
#include "sdbus.h"

/* Names from linux.cgroupsPath and annotations, and a connection; fills g->scope and g->systemd. */
int cgroup_systemd_prepare(const struct runtime *rt, const char *id, const struct config *c, struct cgroup *g,
                           spawn_error *e);
/* Start the scope around pid, and move it into the scope's sub-cgroup; fills g->path. */
int cgroup_systemd_enter(struct cgroup *g, const struct config *c, pid_t pid, spawn_error *e);
/* Have systemd move our parent, the container's monitor, and the processes that the annotation io.podlike.monitor-scope
 * names ("NAME.scope PID...") into a scope of their own. Not waited for; a failure is a warning. */
void cgroup_systemd_keep_monitor(const struct runtime *rt, const struct cgroup_systemd *s, const struct config *config);
/* Limits of a running scope. */
int cgroup_systemd_update(const struct runtime *rt, const char *scope, struct cgroup_settings *s, spawn_error *e);
/* Stop it, if it is there, and forget how it ended. */
int cgroup_systemd_stop(const struct runtime *rt, const char *scope, spawn_error *e);
void cgroup_systemd_free(struct cgroup_systemd *s);
/* In a child: close the connection, which is the parent's and would be held open by a container that is not started. */
void cgroup_systemd_drop(const struct cgroup_systemd *s);

/* A process that joins a running container may not move itself there when its own cgroup is not its user's (that of a
 * login session): then systemd does it. sub: a cgroup below the container's, or NULL. *ret stays NULL when it may, or
 * when no unit is around the container. */
int cgroup_systemd_join_prepare(const struct runtime *rt, const struct state *state, const char *sub,
                                struct cgroup_systemd **ret, spawn_error *e);
/* The connection was made before; any namespaces may have been joined since. */
int cgroup_systemd_join(struct cgroup_systemd *s, pid_t pid, spawn_error *e);

/* cgroup-systemd-props.c */

/* Properties that older versions of systemd do not know are left out when it says so: the files hold these limits
 * too, and only a daemon-reload could undo them. */
struct systemd_missing {
        const char *name[8];
        size_t n;
};

/* Append what systemd should know of the limits, "(sv)" by "(sv)". */
int systemd_append_limits(const struct sdbus *lib, sd_bus_message *m, const struct cgroup_settings *s,
                          const struct systemd_missing *missing, spawn_error *e);
/* cgroup-systemd-annotations.c: org.systemd.property.NAME: VALUE, in GVariant's text form as crun takes it. */
int systemd_append_annotations(const struct sdbus *lib, sd_bus_message *m, const struct kvs *annotations,
                               spawn_error *e);
/* The property's name as a pointer that lasts, if it is one of the limits'. */
const char *systemd_limit_property(const char *name, size_t len);
/* "0-3,7" as a mask, bit 0 of byte 0 first; returns the number of bytes, -EINVAL. */
int systemd_cpu_mask(const char *list, unsigned char *ret, size_t size);

#endif
