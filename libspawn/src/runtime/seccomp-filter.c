/* System call filters: cache and loading.
 *
 * Compiling podman's default profile costs 20 milliseconds, reading the result 0.02. An entry is found by the SHA-256
 * of the profile, the kernel and the machine; it says which file libseccomp was, and is compiled anew when another
 * one is there. It is written under a temporary name and renamed; the directory belongs to the caller alone, as the
 * state of its containers does.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "fail.h"
#include "io.h"
#include "seccomp-filter.h"
#include "sha256.h"
#include "terminal.h"
#include "util.h"

#define MAGIC "podlike3"

struct cache_header {
        char magic[8];
        uint32_t flags, len;
        uint64_t check;
        struct seccomp_compiler compiler;
};

/* FNV-1a by words: tells a file that a crash or a bad disk has changed. Whoever could forge it owns the directory. */
static uint64_t checksum(uint32_t flags, const void *data, size_t len)
{
        uint64_t sum = UINT64_C(14695981039346656037) ^ flags, word;

        for (size_t i = 0; i + sizeof(word) <= len; i += sizeof(word)) {
                memcpy(&word, (const char *) data + i, sizeof(word));
                sum = (sum ^ word) * UINT64_C(1099511628211);
        }
        return sum ^ len;
}

/* A plain file of our own that nobody else may write: a filter is taken from it unseen. */
static int open_entry(int cache_fd, const char *digest)
{
        struct stat st;
        _cleanup_close_ int fd = openat(cache_fd, digest, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 0022) != 0)
                return -EPERM;
        return steal_fd(&fd);
}

int seccomp_from_cache(int cache_fd, const char *digest, struct seccomp_filter *ret)
{
        struct cache_header h;
        _cleanup_free_ char *data = NULL;
        _cleanup_close_ int fd = cache_fd < 0 ? -ENOENT : open_entry(cache_fd, digest);
        ssize_t n = fd < 0 ? fd : read_fd(fd, SECCOMP_FILTER_MAX + sizeof(h), &data);

        if (n < 0)
                return (int) n;
        if ((size_t) n < sizeof(h))
                return -ENOENT;
        memcpy(&h, data, sizeof(h));
        if (memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0 || h.len != (size_t) n - sizeof(h) || h.len == 0 ||
            h.len % sizeof(struct sock_filter) != 0 || h.check != checksum(h.flags, data + sizeof(h), h.len))
                return -ENOENT;
        ret->bpf = malloc(h.len);
        if (ret->bpf == NULL)
                return -ENOMEM;
        memcpy(ret->bpf, data + sizeof(h), h.len);
        ret->len = h.len;
        ret->flags = h.flags;
        ret->compiler = h.compiler;
        (void) snprintf(ret->digest, sizeof(ret->digest), "%s", digest);
        return 0;
}

static void store(int cache_fd, const struct seccomp_filter *f)
{
        struct cache_header h = {.flags = f->flags, .len = (uint32_t) f->len, .compiler = f->compiler};
        _cleanup_free_ char *data = cache_fd < 0 ? NULL : malloc(sizeof(h) + f->len);

        if (data == NULL)
                return;
        memcpy(h.magic, MAGIC, sizeof(h.magic));
        h.check = checksum(f->flags, f->bpf, f->len);
        memcpy(data, &h, sizeof(h));
        memcpy(data + sizeof(h), f->bpf, f->len);
        /* A cache that cannot be written is no cache. */
        (void) replace_file_at(cache_fd, f->digest, data, sizeof(h) + f->len, 0600);
}

static int digest_of(struct json_object *profile, bool strict, char ret[65])
{
        struct sha256 s;
        size_t len;
        struct utsname u;
        const char *text = json_object_to_json_string_length(profile, JSON_C_TO_STRING_PLAIN, &len);

        if (text == NULL)
                return -ENOMEM;
        (void) uname(&u);
        sha256_init(&s);
        sha256_add(&s, MAGIC, 8);
        /* libseccomp asks the kernel what it can do. */
        sha256_add(&s, u.release, strlen(u.release) + 1);
        sha256_add(&s, u.machine, strlen(u.machine) + 1);
        sha256_add(&s, strict ? "s" : "-", 1);
        sha256_add(&s, text, len);
        sha256_hex(&s, ret);
        return 0;
}

static bool uses_notify(const struct jv *profile)
{
        struct jv list = jv_key(profile, "syscalls");
        size_t n = json_object_is_type(list.obj, json_type_array) ? json_object_array_length(list.obj) : 0;

        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i), action = jv_key(&item, "action");

                if (json_object_is_type(action.obj, json_type_string) &&
                    strcmp(json_object_get_string(action.obj), "SCMP_ACT_NOTIFY") == 0)
                        return true;
        }
        return false;
}

static int get_listener(const struct jv *v, struct seccomp_filter *ret, spawn_error *e)
{
        struct jv path = jv_key(v, "listenerPath"), metadata = jv_key(v, "listenerMetadata");
        int r = jv_as_str(&path, &ret->listener, e);

        if (r < 0 || (r = jv_as_str(&metadata, &ret->metadata, e)) < 0)
                return r;
        if (ret->listener == NULL && ret->metadata != NULL)
                return jv_err(&metadata, e, "there is no listenerPath to send it to");
        if (ret->listener == NULL && uses_notify(v))
                return jv_err(&path, e, "missing, SCMP_ACT_NOTIFY is used");
        return 0;
}

int seccomp_prepare(struct json_object *profile, bool strict, int cache_fd, struct seccomp_filter *ret, spawn_error *e)
{
        struct jv root = jv_root(NULL), lin = {.up = &root, .key = "linux"};
        struct jv v = {.up = &lin, .key = "seccomp", .obj = profile};
        char digest[65];
        int r;

        if (profile == NULL)
                return 0;
        r = get_listener(&v, ret, e);
        if (r < 0)
                return r;
        r = digest_of(profile, strict, digest);
        if (r < 0)
                return fail_code(e, r, "seccomp", "read the seccomp profile");
        if (seccomp_from_cache(cache_fd, digest, ret) == 0) {
                if (seccomp_compiler_is_current(&ret->compiler))
                        return 0;
                free(ret->bpf);
                ret->bpf = NULL;
                ret->len = 0;
        }
        memcpy(ret->digest, digest, sizeof(digest));
        r = seccomp_compile_bounded(profile, strict, ret, e);
        if (r < 0)
                return r;
        store(cache_fd, ret);
        return 0;
}

bool seccomp_is_strict(const struct config *c)
{
        const char *value = config_annotation(c, "run.oci.seccomp_fail_unknown_syscall");

        return value != NULL && strcmp(value, "0") != 0;
}

int seccomp_connect(struct seccomp_filter *f, spawn_error *e)
{
        int fd;

        f->listener_fd = -1;
        if (f->listener == NULL)
                return 0;
        fd = terminal_connect(f->listener, "seccomp listener", e);
        if (fd < 0)
                return fail_wrap(e, fd, "linux.seccomp.listenerPath");
        f->listener_fd = fd;
        return 0;
}

int seccomp_load_filter(const struct seccomp_filter *f, int *ret_listener, spawn_error *e)
{
        struct sock_fprog prog = {
                .len = (unsigned short) (f->len / sizeof(struct sock_filter)),
                .filter = f->bpf,
        };
        unsigned int flags = f->flags;
        long r;

        *ret_listener = -1;
        if (f->len == 0)
                return 0;
        if (f->listener != NULL)
                flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
        r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
        if (r < 0)
                return fail_errno(e, "seccomp", "load the seccomp filter");
        if (f->listener != NULL)
                *ret_listener = (int) r;
        return 0;
}

void seccomp_filter_free(struct seccomp_filter *f)
{
        if (f->listener != NULL && f->listener_fd >= 0)
                (void) close(f->listener_fd);
        f->listener_fd = -1;
        free(f->bpf);
        f->bpf = NULL;
        f->len = 0;
}
