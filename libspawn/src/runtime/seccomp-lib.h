/* libseccomp, loaded when a profile has to be compiled: what comes from the cache does without. */
#ifndef PODLIKE_SECCOMP_LIB_H
#define PODLIKE_SECCOMP_LIB_H

#include <seccomp.h>

#include "libspawn.h"
#include "seccomp-filter.h"

struct seccomp_lib {
        void *handle;
        __typeof__(seccomp_init) *init;
        __typeof__(seccomp_release) *release;
        __typeof__(seccomp_attr_set) *attr_set;
        __typeof__(seccomp_arch_add) *arch_add;
        __typeof__(seccomp_arch_resolve_name) *arch_resolve_name;
        __typeof__(seccomp_syscall_resolve_name) *syscall_resolve_name;
        __typeof__(seccomp_rule_add_array) *rule_add_array;
        __typeof__(seccomp_export_bpf) *export_bpf;
        __typeof__(seccomp_version) *version;
};

int seccomp_lib_load(const struct seccomp_lib **ret, spawn_error *e);
/* Which file it is. */
int seccomp_lib_file(const struct seccomp_lib *lib, struct seccomp_compiler *ret);

#endif
