/* AppArmor and SELinux labels. */
#ifndef PODLIKE_LSM_H
#define PODLIKE_LSM_H

#include <stdbool.h>
#include <stddef.h>

#include "libspawn.h"

bool lsm_selinux_enabled(void);
bool lsm_apparmor_enabled(void);

/* Mount data with context="LABEL" where SELinux is on and a label is given; else data. kind: another of the four
 * options of mount(8) that take a label; NULL: context. */
const char *lsm_mount_data(const char *kind, const char *label, const char *data, char *buf, size_t size);

/* The label of the next execve(2): decided on the host, written by the process itself. attr "": none. */
struct lsm_label {
        char attr[40], text[512];
};
int lsm_prepare(const char *apparmor, const char *selinux, struct lsm_label *ret, spawn_error *e);
/* proc_fd: the host's /proc, where nothing of the container's can stand in the way. */
int lsm_apply(int proc_fd, const struct lsm_label *l, spawn_error *e);

#endif
