/* System call filters: from the profile in config.json to BPF, with a cache. */
#ifndef PODLIKE_SECCOMP_FILTER_H
#define PODLIKE_SECCOMP_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

/* BPF_MAXINSNS of the kernel, in bytes. */
#define SECCOMP_FILTER_MAX (4096 * 8)

/* The file of the library that compiled a filter. With another one, a cached filter is compiled anew. */
struct seccomp_compiler {
        uint64_t device, inode, size;
        int64_t mtime_ns;
        char path[224]; /* padded with zeros */
};

struct seccomp_filter {
        void *bpf; /* malloc'ed struct sock_filter[] */
        size_t len; /* bytes; 0: no filter */
        uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
        char digest[65];
        struct seccomp_compiler compiler;
        int listener_fd; /* connected to `listener`, by seccomp_connect() */
        const char *listener, *metadata; /* SCMP_ACT_NOTIFY: who gets the listener fd; in the JSON document */
};

/* Digest and filter of a profile (linux.seccomp), from DIR/digest when it is there, else compiled and put there.
 * cache_fd -1, or not writable: no cache. strict: a system call that is not known here is an error. */
int seccomp_prepare(struct json_object *profile, bool strict, int cache_fd, struct seccomp_filter *ret, spawn_error *e);
/* Annotation run.oci.seccomp_fail_unknown_syscall. */
bool seccomp_is_strict(const struct config *c);
/* The filter that was prepared under this digest; -ENOENT when the cache has lost it. */
int seccomp_from_cache(int cache_fd, const char *digest, struct seccomp_filter *ret);
/* Connect to the listener, which is a path of the host. */
int seccomp_connect(struct seccomp_filter *f, spawn_error *e);
/* Filter this task. With a listener *ret_listener is its fd, else -1. Needs CAP_SYS_ADMIN or no_new_privs. */
int seccomp_load_filter(const struct seccomp_filter *f, int *ret_listener, spawn_error *e);
void seccomp_filter_free(struct seccomp_filter *f);

/* seccomp-compile.c and seccomp-lib.c: what needs libseccomp. */
int seccomp_compile(struct json_object *profile, bool strict, struct seccomp_filter *ret, spawn_error *e);
/* The same in a child that may use two seconds of processor time. */
int seccomp_compile_bounded(struct json_object *profile, bool strict, struct seccomp_filter *ret, spawn_error *e);
/* What a profile may say, by name, NULL after the last; architectures as far as the library knows them. */
const char *seccomp_action_name(size_t i);
const char *seccomp_operator_name(size_t i);
const char *seccomp_arch_name(size_t i);
const char *seccomp_flag_name(size_t i);
/* "2.5.4"; false: there is no library. */
bool seccomp_library_version(char *buf, size_t size);
/* Whether that library is still what would be loaded from there. */
bool seccomp_compiler_is_current(const struct seccomp_compiler *c);

#endif
