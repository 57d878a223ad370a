/* Reading JSON with errors that name the place: process.rlimits[1].type: ... */
#ifndef PODLIKE_JV_H
#define PODLIKE_JV_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "libspawn.h"

/* A value and the way to it. Lives on the stack; `up` must outlive it. */
struct jv {
        const struct jv *up;
        const char *key; /* NULL: element idx of the array `up` */
        size_t idx;
        struct json_object *obj; /* NULL: absent or null */
};

struct strv {
        const char **v; /* zero-terminated */
        size_t n;
};

/* Memory that lives as long as the document: freed together. */
struct arena {
        struct arena_block *last;
};
void *arena_alloc(struct arena *a, size_t n, size_t size); /* zeroed; NULL when out of memory */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a);

struct jv jv_root(struct json_object *obj);
struct jv jv_key(const struct jv *up, const char *key);
struct jv jv_idx(const struct jv *up, size_t idx);

/* "a.b[3]", cut to size. Returns its length. */
size_t jv_path(const struct jv *v, char *buf, size_t size);
/* "a.b[3]: WORDS"; returns -EINVAL. */
int jv_err(const struct jv *v, spawn_error *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "a.b[3]: out of memory"; returns -ENOMEM. */
int jv_no_memory(const struct jv *v, spawn_error *e);

/* Members of an object. Absent or null: 0 is returned and *ret stays; present: 1; wrong type: -EINVAL. */
int jv_str(const struct jv *up, const char *key, const char **ret, spawn_error *e);
int jv_bool(const struct jv *up, const char *key, bool *ret, spawn_error *e);
int jv_int(const struct jv *up, const char *key, int64_t min, int64_t max, int64_t *ret, spawn_error *e);
int jv_u64(const struct jv *up, const char *key, uint64_t *ret, spawn_error *e);
int jv_u32(const struct jv *up, const char *key, uint32_t *ret, spawn_error *e);
int jv_id(const struct jv *up, const char *key, uint32_t *ret, spawn_error *e); /* of a user or group */
int jv_obj(const struct jv *up, const char *key, struct jv *ret, spawn_error *e);
int jv_array(const struct jv *up, const char *key, struct jv *ret, size_t *ret_n, spawn_error *e);
int jv_strv(const struct jv *up, const char *key, struct arena *a, struct strv *ret, spawn_error *e);

/* The value itself. */
int jv_need_obj(const struct jv *v, spawn_error *e); /* absent is an error too */
int jv_as_str(const struct jv *v, const char **ret, spawn_error *e);
int jv_as_u64(const struct jv *v, uint64_t *ret, spawn_error *e);

/* Parse a document. name is used in errors. */
int jv_parse(const char *name, const char *text, size_t len, struct json_object **ret, spawn_error *e);
int jv_parse_file(int dirfd, const char *path, const char *name, struct json_object **ret, char **ret_text,
                  size_t *ret_len, spawn_error *e);

static inline void cleanup_jsonp(struct json_object **o)
{
        if (*o != NULL)
                json_object_put(*o);
}
#define _cleanup_json_ __attribute__((cleanup(cleanup_jsonp)))

#endif
