/* Namespaces: open, join, make, map ids. */
#ifndef PODLIKE_NS_H
#define PODLIKE_NS_H

#include "config.h"

#define NS_MAX 8

struct ns_set {
        struct {
                const struct oci_namespace *ns;
                int fd;
        } join[NS_MAX]; /* those with a path */
        size_t n_join;
        int create; /* CLONE_NEW* of those without */
};

/* Open the paths of the configuration. */
int ns_open(const struct config *c, struct ns_set *ret, spawn_error *e);
/* A sysctl of a namespace that is joined must not be the host's own. */
int ns_check_sysctls(const struct config *c, const struct ns_set *s, spawn_error *e);
void ns_close(struct ns_set *s);
/* Join those of `mask`. With postpone, namespaces that are not ours yet (EPERM) are left for later: *postpone gets
 * their flags. */
int ns_join(const struct ns_set *s, int mask, int *postpone, spawn_error *e);
/* A process between the caller and the container is needed: the pid, user or time namespace is not simply new. */
bool ns_needs_middle(const struct ns_set *s);

/* fork() with namespaces; into a cgroup if cgroup_fd >= 0; with sibling: a child of the caller's parent.
 * Returns as fork(2), -errno on failure. */
pid_t ns_fork(int flags, int cgroup_fd, bool sibling);

/* Offsets of the clocks in the time namespace that children will have. */
int ns_time_offsets(const struct config *c, spawn_error *e);

#endif
