/* Structure-aware mutation for libFuzzer: a document stays JSON while values, keys and whole subtrees of it change,
 * or come from another document. Every other time libFuzzer's own mutations of bytes (with the dictionary) are used,
 * for what no JSON writer would write.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *two, size_t two_size, uint8_t *out,
                                 size_t max, unsigned int seed);

/* A place in a document: element idx or member key of up. */
struct place {
        struct json_object *up;
        const char *key;
        size_t idx;
};

#define PLACES_MAX 4096

static const char *const words[] = {
#include "words.inc"
};

static const int64_t numbers[] = {
        0,         1,      -1,      2,         7,         255,        256,
        340,       4095,   4096,    65535,     65536,     99999,      100000,
        262144,    262145, 1 << 20, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX,
        INT64_MIN, 1000,   1001,    -1000,     -1001,     10,         UINT32_MAX - 1,
        0644,      0777,
};

static unsigned int pick(unsigned int *seed, size_t n)
{
        return n == 0 ? 0 : (unsigned int) rand_r(seed) % (unsigned int) n;
}

static void collect(struct json_object *o, struct place *v, size_t *n)
{
        if (json_object_is_type(o, json_type_object)) {
                json_object_object_foreach(o, k, val)
                {
                        if (*n < PLACES_MAX)
                                v[(*n)++] = (struct place){.up = o, .key = k};
                        collect(val, v, n);
                }
        } else if (json_object_is_type(o, json_type_array)) {
                for (size_t i = 0; i < json_object_array_length(o); i++) {
                        if (*n < PLACES_MAX)
                                v[(*n)++] = (struct place){.up = o, .idx = i};
                        collect(json_object_array_get_idx(o, i), v, n);
                }
        }
}

static struct json_object *get(const struct place *p)
{
        struct json_object *o = NULL;

        if (p->key != NULL)
                (void) json_object_object_get_ex(p->up, p->key, &o);
        else
                o = json_object_array_get_idx(p->up, p->idx);
        return o;
}

/* Takes over value. */
static void set(const struct place *p, struct json_object *value)
{
        if (p->key != NULL)
                json_object_object_add(p->up, p->key, value);
        else
                json_object_array_put_idx(p->up, p->idx, value);
}

static void delete (const struct place *p)
{
        if (p->key != NULL)
                json_object_object_del(p->up, p->key);
        else
                json_object_array_del_idx(p->up, p->idx, 1);
}

static struct json_object *copy(struct json_object *o)
{
        struct json_object *c = NULL;

        if (o != NULL && json_object_deep_copy(o, &c, NULL) < 0)
                return NULL;
        return c;
}

static const char *word(unsigned int *seed)
{
        return words[pick(seed, ELEMENTSOF(words))];
}

static struct json_object *long_string(unsigned int *seed)
{
        static const size_t sizes[] = {31, 32, 63, 64, 127, 128, 159, 160, 255, 256, 511, 512, 4095, 4096};
        size_t n = sizes[pick(seed, ELEMENTSOF(sizes))];
        struct json_object *o;
        char text[4097];

        memset(text, "a/.,:%"[pick(seed, 6)], n);
        text[0] = pick(seed, 2) ? '/' : text[0];
        o = json_object_new_string_len(text, (int) n);
        return o;
}

static struct json_object *new_value(unsigned int *seed)
{
        struct json_object *o;

        switch (pick(seed, 9)) {
        case 0:
                return NULL;
        case 1:
                return json_object_new_boolean((json_bool) pick(seed, 2));
        case 2:
                return json_object_new_uint64(UINT64_MAX - pick(seed, 3));
        case 3:
                return json_object_new_double(pick(seed, 2) ? 0.5 : 1e300);
        case 4:
                return long_string(seed);
        case 5:
                o = json_object_new_array();
                json_object_array_add(o, json_object_new_string(word(seed)));
                return o;
        case 6:
                o = json_object_new_object();
                json_object_object_add(o, word(seed), json_object_new_string(word(seed)));
                return o;
        case 7:
                return json_object_new_int64(numbers[pick(seed, ELEMENTSOF(numbers))]);
        default:
                return json_object_new_string(word(seed));
        }
}

/* The same type with another value: gets past the checks of types. */
static struct json_object *similar(struct json_object *o, unsigned int *seed)
{
        char text[512];
        size_t n;

        switch (json_object_get_type(o)) {
        case json_type_boolean:
                return json_object_new_boolean(!json_object_get_boolean(o));
        case json_type_int:
                return json_object_new_int64(numbers[pick(seed, ELEMENTSOF(numbers))]);
        case json_type_string:
                if (pick(seed, 3) == 0)
                        return json_object_new_string(word(seed));
                n = (size_t) snprintf(text, sizeof(text), "%s", json_object_get_string(o));
                n = n < sizeof(text) ? n : sizeof(text) - 1;
                n = LLVMFuzzerMutate((uint8_t *) text, n, sizeof(text) - 1);
                return json_object_new_string_len(text, (int) n);
        default:
                return new_value(seed);
        }
}

static void add_to(struct json_object *o, struct json_object *value, unsigned int *seed)
{
        if (json_object_is_type(o, json_type_object))
                json_object_object_add(o, word(seed), value);
        else if (json_object_is_type(o, json_type_array))
                json_object_array_add(o, value);
        else
                json_object_put(value);
}

/* Many times the same element, for what is quadratic and for limits of numbers. */
static void repeat(struct json_object *o, unsigned int *seed)
{
        size_t n = 1U << pick(seed, 10);

        if (!json_object_is_type(o, json_type_array) || json_object_array_length(o) == 0)
                return;
        for (size_t i = 0; i < n; i++)
                json_object_array_add(o, copy(json_object_array_get_idx(o, json_object_array_length(o) - 1)));
}

static void mutate(struct json_object *doc, unsigned int *seed)
{
        static struct place v[PLACES_MAX];
        size_t n = 0;

        collect(doc, v, &n);
        if (n == 0) {
                add_to(doc, new_value(seed), seed);
                return;
        }
        const struct place *p = &v[pick(seed, n)], *q = &v[pick(seed, n)];

        switch (pick(seed, 8)) {
        case 0:
                delete (p);
                break;
        case 1:
                set(p, new_value(seed));
                break;
        case 2:
                add_to(get(p), new_value(seed), seed);
                break;
        case 3:
                add_to(get(p), copy(get(q)), seed);
                break;
        case 4:
                if (get(p) != get(q))
                        set(p, copy(get(q)));
                break;
        case 5:
                repeat(get(p), seed);
                break;
        default:
                set(p, similar(get(p), seed));
        }
}

static struct json_object *parse(const uint8_t *data, size_t size)
{
        struct json_tokener *tok = json_tokener_new();
        struct json_object *o = json_tokener_parse_ex(tok, (const char *) data, (int) size);

        json_tokener_free(tok);
        if (o != NULL && !json_object_is_type(o, json_type_object)) {
                json_object_put(o);
                o = NULL;
        }
        return o;
}

/* Returns 0 when the text does not fit. */
static size_t print(struct json_object *doc, uint8_t *out, size_t max)
{
        size_t len;
        const char *text =
                json_object_to_json_string_length(doc, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

        if (text == NULL || len > max)
                return 0;
        memcpy(out, text, len);
        return len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
        struct json_object *doc = pick(&seed, 4) == 0 ? NULL : parse(data, size);
        size_t n;

        if (doc == NULL)
                return LLVMFuzzerMutate(data, size, max);
        for (unsigned int i = 0, rounds = 1 + pick(&seed, 3); i < rounds; i++)
                mutate(doc, &seed);
        n = print(doc, data, max);
        json_object_put(doc);
        return n > 0 ? n : LLVMFuzzerMutate(data, size, max);
}

/* A subtree of the second document instead of one of the first: of the same key if there is one. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *two, size_t two_size, uint8_t *out,
                                 size_t max, unsigned int seed)
{
        static struct place v[PLACES_MAX], w[PLACES_MAX];
        struct json_object *a = parse(one, one_size), *b = parse(two, two_size);
        size_t n = 0, m = 0, len = 0;

        if (a != NULL && b != NULL) {
                collect(a, v, &n);
                collect(b, w, &m);
        }
        if (n > 0 && m > 0) {
                const struct place *from = &w[pick(&seed, m)], *to = &v[pick(&seed, n)];

                for (size_t i = 0; from->key != NULL && i < n; i++)
                        if (v[i].key != NULL && strcmp(v[i].key, from->key) == 0)
                                to = &v[i];
                if (pick(&seed, 4) == 0)
                        add_to(get(to), copy(get(from)), &seed);
                else
                        set(to, copy(get(from)));
                len = print(a, out, max);
        }
        json_object_put(a);
        json_object_put(b);
        return len;
}
