/* Annotations org.systemd.property.NAME as properties of a systemd unit. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cgroup-systemd.h"
#include "fail.h"
#include "util.h"

#define PREFIX "org.systemd.property."

/* Quoted text at *p, unescaped into ret; *p is moved behind it. */
static bool parse_quoted(const char **p, char *ret, size_t size)
{
        const char quote = **p, *q = *p + 1;
        size_t n = 0;

        if (quote != '\'' && quote != '"')
                return false;
        for (; *q != quote; q++) {
                if (*q == '\\' && q[1] != '\0')
                        q++;
                if (*q == '\0' || n + 1 >= size)
                        return false;
                ret[n++] = *q;
        }
        ret[n] = '\0';
        *p = q + 1;
        return true;
}

static const char *skip_blanks(const char *p)
{
        return p + strspn(p, " \t\n");
}

/* ['a', 'b']. Returns -EINVAL when it is not that. */
static int put_strings(const struct sdbus *lib, sd_bus_message *m, const char *name, const char *text)
{
        char room[4096], *list[64] = {NULL};
        size_t n = 0, used = 0;
        int r;

        text = skip_blanks(text + 1);
        while (*text != ']') {
                if (n + 1 >= ELEMENTSOF(list) || !parse_quoted(&text, room + used, sizeof(room) - used))
                        return -EINVAL;
                list[n++] = room + used;
                used += strlen(room + used) + 1;
                text = skip_blanks(text);
                if (*text == ',')
                        text = skip_blanks(text + 1);
                else if (*text != ']')
                        return -EINVAL;
        }
        if (*skip_blanks(text + 1) != '\0')
                return -EINVAL;
        r = lib->message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = lib->message_append(m, "s", name);
        if (r >= 0)
                r = lib->message_open_container(m, 'v', "as");
        if (r >= 0)
                r = lib->message_append_strv(m, list);
        if (r >= 0)
                r = lib->message_close_container(m);
        return r >= 0 ? lib->message_close_container(m) : r;
}

/* "uint64 5"; without a type int32, as GVariant has it. */
static int put_integer(const struct sdbus *lib, sd_bus_message *m, const char *name, const char *text, int64_t factor)
{
        static const struct {
                const char *word, *type;
                int64_t min;
                uint64_t max;
        } types[] = {{"uint64 ", "t", 0, UINT64_MAX},
                     {"int64 ", "x", INT64_MIN, INT64_MAX},
                     {"uint32 ", "u", 0, UINT32_MAX},
                     {"int32 ", "i", INT32_MIN, INT32_MAX},
                     {"", "i", INT32_MIN, INT32_MAX}};
        size_t k = 0;
        uint64_t u;
        int64_t i;
        char *end;

        while (strncmp(text, types[k].word, strlen(types[k].word)) != 0)
                k++;
        text = skip_blanks(text + strlen(types[k].word));
        if (!isdigit((unsigned char) text[0]) && (text[0] != '-' || types[k].min == 0))
                return -EINVAL;
        errno = 0;
        if (types[k].min == 0) {
                u = strtoull(text, &end, 10);
                if (errno != 0 || *end != '\0' || __builtin_mul_overflow(u, (uint64_t) factor, &u) || u > types[k].max)
                        return -EINVAL;
                return types[k].type[0] == 't' ? lib->message_append(m, "(sv)", name, "t", u)
                                               : lib->message_append(m, "(sv)", name, "u", (uint32_t) u);
        }
        i = strtoll(text, &end, 10);
        if (errno != 0 || *end != '\0' || __builtin_mul_overflow(i, factor, &i) || i < types[k].min ||
            i > (int64_t) types[k].max)
                return -EINVAL;
        return types[k].type[0] == 'x' ? lib->message_append(m, "(sv)", name, "x", i)
                                       : lib->message_append(m, "(sv)", name, "i", (int32_t) i);
}

static int put_annotation(const struct sdbus *lib, sd_bus_message *m, const char *property, const char *text)
{
        char name[128], string[2048];
        size_t len = strlen(property);
        int64_t factor = 1;

        if (len < 3 || len >= sizeof(name) - 4 || !isupper((unsigned char) property[0]))
                return -EINVAL;
        for (const char *p = property; *p != '\0'; p++)
                if (!isalnum((unsigned char) *p))
                        return -EINVAL;
        (void) snprintf(name, sizeof(name), "%s", property);
        /* Unit files have seconds, the bus has microseconds. */
        if (len > 3 && strcmp(property + len - 3, "Sec") == 0 && property[len - 4] != 'U') {
                (void) snprintf(name + len - 3, 5, "USec");
                factor = 1000000;
        }
        text = skip_blanks(text);
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
                return lib->message_append(m, "(sv)", name, "b", text[0] == 't');
        if (text[0] == '\'' || text[0] == '"')
                return parse_quoted(&text, string, sizeof(string)) && *skip_blanks(text) == '\0'
                               ? lib->message_append(m, "(sv)", name, "s", string)
                               : -EINVAL;
        return text[0] == '[' ? put_strings(lib, m, name, text) : put_integer(lib, m, name, text, factor);
}

int systemd_append_annotations(const struct sdbus *lib, sd_bus_message *m, const struct kvs *annotations,
                               spawn_error *e)
{
        for (size_t i = 0; i < annotations->n; i++) {
                const char *key = annotations->v[i].key;

                if (strncmp(key, PREFIX, sizeof(PREFIX) - 1) != 0)
                        continue;
                if (put_annotation(lib, m, key + sizeof(PREFIX) - 1, annotations->v[i].value) < 0)
                        return fail_text(e, "cgroup",
                                         "annotations.%.120s: \"%.100s\" is not a property and its value (true, 'text',"
                                         " ['text', ...], uint64 5, int32 5 ...)",
                                         key, annotations->v[i].value);
        }
        return 0;
}
