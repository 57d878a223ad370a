/* Reading JSON with errors that name the place. */
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "io.h"
#include "jv.h"
#include "util.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

/* A config.json with every option and a generated seccomp profile stays below 1 MB. */
#define DOCUMENT_MAX (16 * 1024 * 1024)
#define DOCUMENT_DEPTH 64

struct arena_block {
        struct arena_block *next;
        size_t used, size;
        _Alignas(16) char data[];
};

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
        size_t bytes;
        struct arena_block *b = a->last;

        if (__builtin_mul_overflow(n, size, &bytes) || bytes > DOCUMENT_MAX)
                return NULL;
        bytes = (bytes + 15) & ~(size_t) 15;
        if (b == NULL || b->size - b->used < bytes) {
                size_t room = bytes > 8192 ? bytes : 8192;

                b = calloc(1, sizeof(*b) + room);
                if (b == NULL)
                        return NULL;
                b->size = room;
                b->next = a->last;
                a->last = b;
        }
        b->used += bytes;
        return b->data + b->used - bytes;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
        va_list ap;
        char *s;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(NULL, 0, fmt, ap);
        va_end(ap);
        s = n < 0 ? NULL : arena_alloc(a, (size_t) n + 1, 1);
        if (s == NULL)
                return NULL;
        va_start(ap, fmt);
        (void) vsnprintf(s, (size_t) n + 1, fmt, ap);
        va_end(ap);
        return s;
}

void arena_free(struct arena *a)
{
        while (a->last != NULL) {
                struct arena_block *b = a->last;

                a->last = b->next;
                free(b);
        }
}

struct jv jv_root(struct json_object *obj)
{
        return (struct jv){.obj = obj};
}

struct jv jv_key(const struct jv *up, const char *key)
{
        struct jv v = {.up = up, .key = key};

        if (up->obj != NULL && json_object_is_type(up->obj, json_type_object))
                (void) json_object_object_get_ex(up->obj, key, &v.obj);
        return v;
}

struct jv jv_idx(const struct jv *up, size_t idx)
{
        return (struct jv){.up = up, .idx = idx, .obj = json_object_array_get_idx(up->obj, idx)};
}

size_t jv_path(const struct jv *v, char *buf, size_t size)
{
        size_t n = 0;
        int r;

        if (v->up == NULL) {
                buf[0] = '\0';
                return 0;
        }
        n = jv_path(v->up, buf, size);
        if (n + 1 >= size)
                return n;
        if (v->key == NULL)
                r = snprintf(buf + n, size - n, "[%zu]", v->idx);
        else
                r = snprintf(buf + n, size - n, "%s%s", n > 0 ? "." : "", v->key);
        return r < 0 ? n : (n + (size_t) r < size ? n + (size_t) r : size - 1);
}

int jv_err(const struct jv *v, spawn_error *e, const char *fmt, ...)
{
        char path[200], words[280];
        va_list ap;

        (void) jv_path(v, path, sizeof(path));
        va_start(ap, fmt);
        (void) vsnprintf(words, sizeof(words), fmt, ap);
        va_end(ap);
        return spawn_err(e, EINVAL, "read configuration", "%s: %s", path[0] != '\0' ? path : "document", words);
}

int jv_no_memory(const struct jv *v, spawn_error *e)
{
        char path[200];

        (void) jv_path(v, path, sizeof(path));
        return spawn_err(e, ENOMEM, "read configuration", "%s: out of memory", path[0] != '\0' ? path : "document");
}

static int expect(const struct jv *v, json_type type, const char *name, spawn_error *e)
{
        if (v->obj == NULL)
                return 0;
        if (!json_object_is_type(v->obj, type))
                return jv_err(v, e, "expected %s, found %s", name, json_type_to_name(json_object_get_type(v->obj)));
        return 1;
}

int jv_as_str(const struct jv *v, const char **ret, spawn_error *e)
{
        int r = expect(v, json_type_string, "a string", e);

        if (r <= 0)
                return r;
        /* A zero byte would cut what the kernel sees short of what was checked. */
        if (strlen(json_object_get_string(v->obj)) != (size_t) json_object_get_string_len(v->obj))
                return jv_err(v, e, "a string must not contain a zero byte");
        *ret = json_object_get_string(v->obj);
        return 1;
}

int jv_as_u64(const struct jv *v, uint64_t *ret, spawn_error *e)
{
        int r = expect(v, json_type_int, "a whole number", e);

        if (r <= 0)
                return r;
        if (json_object_get_int64(v->obj) < 0)
                return jv_err(v, e, "must not be negative");
        *ret = json_object_get_uint64(v->obj);
        return 1;
}

int jv_need_obj(const struct jv *v, spawn_error *e)
{
        int r = expect(v, json_type_object, "an object", e);

        return r == 0 ? jv_err(v, e, "missing") : r;
}

int jv_str(const struct jv *up, const char *key, const char **ret, spawn_error *e)
{
        struct jv v = jv_key(up, key);

        return jv_as_str(&v, ret, e);
}

int jv_bool(const struct jv *up, const char *key, bool *ret, spawn_error *e)
{
        struct jv v = jv_key(up, key);
        int r = expect(&v, json_type_boolean, "true or false", e);

        if (r > 0)
                *ret = json_object_get_boolean(v.obj);
        return r;
}

int jv_int(const struct jv *up, const char *key, int64_t min, int64_t max, int64_t *ret, spawn_error *e)
{
        struct jv v = jv_key(up, key);
        int r = expect(&v, json_type_int, "a whole number", e);
        int64_t n;

        if (r <= 0)
                return r;
        n = json_object_get_int64(v.obj);
        if (n < min || n > max)
                return jv_err(&v, e, "must be between %" PRId64 " and %" PRId64, min, max);
        *ret = n;
        return 1;
}

int jv_u64(const struct jv *up, const char *key, uint64_t *ret, spawn_error *e)
{
        struct jv v = jv_key(up, key);

        return jv_as_u64(&v, ret, e);
}

int jv_u32(const struct jv *up, const char *key, uint32_t *ret, spawn_error *e)
{
        int64_t n = 0;
        int r = jv_int(up, key, 0, UINT32_MAX, &n, e);

        if (r > 0)
                *ret = (uint32_t) n;
        return r;
}

int jv_id(const struct jv *up, const char *key, uint32_t *ret, spawn_error *e)
{
        int64_t n = 0;
        /* 4294967295 means "leave it as it is" to the kernel: setresuid(2), chown(2). */
        int r = jv_int(up, key, 0, (int64_t) UINT32_MAX - 1, &n, e);

        if (r > 0)
                *ret = (uint32_t) n;
        return r;
}

int jv_obj(const struct jv *up, const char *key, struct jv *ret, spawn_error *e)
{
        *ret = jv_key(up, key);
        return expect(ret, json_type_object, "an object", e);
}

int jv_array(const struct jv *up, const char *key, struct jv *ret, size_t *ret_n, spawn_error *e)
{
        int r;

        *ret = jv_key(up, key);
        *ret_n = 0;
        r = expect(ret, json_type_array, "a list", e);
        if (r > 0)
                *ret_n = json_object_array_length(ret->obj);
        return r;
}

int jv_strv(const struct jv *up, const char *key, struct arena *a, struct strv *ret, spawn_error *e)
{
        struct jv list;
        size_t n;
        int r = jv_array(up, key, &list, &n, e);

        if (r <= 0)
                return r;
        ret->v = arena_alloc(a, n + 1, sizeof(*ret->v));
        if (ret->v == NULL)
                return jv_no_memory(&list, e);
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i);

                r = jv_as_str(&item, &ret->v[i], e);
                if (r == 0)
                        return jv_err(&item, e, "expected a string, found null");
                if (r < 0)
                        return r;
        }
        ret->n = n;
        return 1;
}

/* What json-c would change in silence: it cuts a number that no 64 bits hold to the largest that they do, and a key at
 * its zero byte. */
struct silent {
        const char *what; /* NULL: nothing */
        size_t at, key, key_len; /* the last string before it: the number's name, if it has one */
};

static bool is_huge(const char *digits, size_t n, bool negative)
{
        const char *limit = negative ? "9223372036854775808" : "18446744073709551615";

        return n > strlen(limit) || (n == strlen(limit) && memcmp(digits, limit, n) > 0);
}

static struct silent find_silent(const char *text, size_t len)
{
        struct silent s = {.what = NULL};
        size_t i = 0;

        while (i < len && s.what == NULL) {
                size_t start = i;
                bool zero = false;

                if (text[i] == '"') {
                        for (i++; i < len && text[i] != '"'; i += text[i] == '\\' ? 2 : 1)
                                zero = zero || (len - i > 6 && memcmp(text + i, "\\u0000", 6) == 0);
                        s.key = start + 1;
                        s.key_len = (i < len ? i : len) - s.key;
                        i++;
                        while (zero && i < len && strchr(" \t\r\n", text[i]) != NULL)
                                i++;
                        if (zero && i < len && text[i] == ':') {
                                s.what = "holds a zero byte";
                                s.at = start;
                        }
                } else if (text[i] >= '0' && text[i] <= '9') {
                        while (i < len && text[i] >= '0' && text[i] <= '9')
                                i++;
                        if (is_huge(text + start, i - start, start > 0 && text[start - 1] == '-')) {
                                s.what = "is too large";
                                s.at = start;
                        }
                } else {
                        i++;
                }
        }
        return s;
}

/* json-c does not survive that memory runs out: values are missing from what it returns (a seccomp profile, say), or
 * it crashes. So there is as much as it can need beforehand: an empty object, three bytes of text, is 760 in memory. The
 * pages are not touched before they are used.
 */
#define MEMORY_PER_BYTE 320
#define MEMORY_BESIDES (256 * 1024)

static bool reserve_memory(size_t len)
{
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(SANITIZED)
        void *p;

        /* All from one heap, which keeps what it has. */
        (void) mallopt(M_MMAP_MAX, 0);
        (void) mallopt(M_TRIM_THRESHOLD, INT_MAX);
        p = malloc(len * MEMORY_PER_BYTE + MEMORY_BESIDES);
        if (p == NULL)
                return false;
        *(volatile char *) p = 0; /* or the compiler drops both calls */
        free(p);
#endif
        return true;
}

int jv_parse(const char *name, const char *text, size_t len, struct json_object **ret, spawn_error *e)
{
        struct json_tokener *tok = reserve_memory(len) ? json_tokener_new_ex(DOCUMENT_DEPTH) : NULL;
        struct silent silent = find_silent(text, len);
        enum json_tokener_error err;
        bool out_of_memory;
        size_t end;

        if (tok == NULL)
                return spawn_err(e, ENOMEM, "read JSON", "parse `%s`: out of memory", name);
        if (silent.what != NULL) {
                json_tokener_free(tok);
                return spawn_err(e, EINVAL, "read JSON", "parse `%s`: what is at byte %zu (\"%.*s\") %s", name,
                                 silent.at, silent.key_len < 64 ? (int) silent.key_len : 64, text + silent.key,
                                 silent.what);
        }
        errno = 0;
        *ret = json_tokener_parse_ex(tok, text, (int) len);
        out_of_memory = *ret == NULL && errno == ENOMEM; /* FIXME(json-c 0.17): it has no error code for that */
        err = json_tokener_get_error(tok);
        end = json_tokener_get_parse_end(tok);
        json_tokener_free(tok);
        if (out_of_memory)
                return spawn_err(e, ENOMEM, "read JSON", "parse `%s`: out of memory", name);
        if (*ret == NULL && err != json_tokener_success)
                return spawn_err(
                        e, EINVAL, "read JSON", "parse `%s`: %s at byte %zu", name,
                        err == json_tokener_continue ? "document ends too early" : json_tokener_error_desc(err), end);
        while (end < len && text[end] != '\0' && strchr(" \t\r\n", text[end]) != NULL)
                end++;
        if (end == len && json_object_is_type(*ret, json_type_object))
                return 0;
        if (end < len)
                (void) spawn_err(e, EINVAL, "read JSON", "parse `%s`: there is more after the document, at byte %zu",
                                 name, end);
        else
                (void) spawn_err(e, EINVAL, "read JSON", "parse `%s`: the document is not an object", name);
        json_object_put(*ret);
        *ret = NULL;
        return -EINVAL;
}

int jv_parse_file(int dirfd, const char *path, const char *name, struct json_object **ret, char **ret_text,
                  size_t *ret_len, spawn_error *e)
{
        _cleanup_free_ char *text = NULL;
        ssize_t n = read_file_at(dirfd, path, DOCUMENT_MAX, &text);
        int r;

        if (n < 0)
                return fail_code(e, (int) -n, "read JSON", "open `%s`", name);
        r = jv_parse(name, text, (size_t) n, ret, e);
        if (r < 0)
                return r;
        if (ret_text != NULL) {
                *ret_text = steal_pointer(&text);
                *ret_len = (size_t) n;
        }
        return 0;
}
