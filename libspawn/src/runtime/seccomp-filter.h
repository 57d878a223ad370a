/* System call filters: from the profile in config.json to BPF, with a cache. */
#ifndef PODLIKE_SECCOMP_FILTER_H
#define PODLIKE_SECCOMP_FILTER_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"

/* BPF_MAXINSNS of the kernel, in bytes. */
#define SECCOMP_FILTER_MAX (4096 * 8)

struct seccomp_filter {
        void *bpf; /* malloc'ed struct sock_filter[] */
        size_t len; /* bytes; 0: no filter */
        uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
        char digest[65];
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

/* seccomp-compile.c: the only file that needs libseccomp. */
int seccomp_compile(struct json_object *profile, bool strict, struct seccomp_filter *ret, spawn_error *e);
/* The same in a child that may use two seconds of processor time. */
int seccomp_compile_bounded(struct json_object *profile, bool strict, struct seccomp_filter *ret, spawn_error *e);
/* "2.5.4 x86_64 6.1.0": what the result depends on besides the profile. */
void seccomp_compiler_id(char *buf, size_t size);

#endif
