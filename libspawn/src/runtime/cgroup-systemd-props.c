/* Limits and annotations as properties of a systemd unit: systemd.resource-control(5), org.freedesktop.systemd1(5). */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cgroup-systemd.h"
#include "fail.h"
#include "util.h"

#define PREFIX "org.systemd.property."

/* Files that hold one number, and the property that systemd writes there. */
static const struct {
        const char *file, *property;
} numbers[] = {
        {"memory.max", "MemoryMax"}, {"memory.high", "MemoryHigh"},        {"memory.low", "MemoryLow"},
        {"memory.min", "MemoryMin"}, {"memory.swap.max", "MemorySwapMax"}, {"memory.zswap.max", "MemoryZSwapMax"},
        {"pids.max", "TasksMax"},    {"cpu.weight", "CPUWeight"},
};

static const char *const others[] = {
        "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "AllowedCPUs",         "AllowedMemoryNodes", "IOWeight",
        "IODeviceWeight",     "IOReadBandwidthMax", "IOWriteBandwidthMax", "IOReadIOPSMax",      "IOWriteIOPSMax",
};

/* Parameters of io.max. */
static const struct {
        const char *key, *property;
} io_max[] = {{"rbps=", "IOReadBandwidthMax"},
              {"wbps=", "IOWriteBandwidthMax"},
              {"riops=", "IOReadIOPSMax"},
              {"wiops=", "IOWriteIOPSMax"}};

struct limits {
        const struct sdbus *lib;
        sd_bus_message *m;
        const struct systemd_missing *missing;
};

const char *systemd_limit_property(const char *name, size_t len)
{
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (strlen(numbers[i].property) == len && strncmp(numbers[i].property, name, len) == 0)
                        return numbers[i].property;
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (strlen(others[i]) == len && strncmp(others[i], name, len) == 0)
                        return others[i];
        return NULL;
}

static bool is_missing(const struct limits *l, const char *property)
{
        for (size_t i = 0; i < l->missing->n; i++)
                if (strcmp(l->missing->name[i], property) == 0)
                        return true;
        return false;
}

/* "max" or a number, with the suffixes that the kernel takes. */
static bool parse_number(const char *text, uint64_t *ret)
{
        char *end;

        if (strcmp(text, "max") == 0) {
                *ret = UINT64_MAX;
                return true;
        }
        *ret = strtoull(text, &end, 10);
        switch (toupper((unsigned char) *end)) {
        case 'G':
                *ret *= 1024; /* fall through */
                __attribute__((fallthrough));
        case 'M':
                *ret *= 1024;
                __attribute__((fallthrough));
        case 'K':
                *ret *= 1024;
                end++;
                break;
        default:
                break;
        }
        return isdigit((unsigned char) text[0]) && *end == '\0';
}

static int put_number(const struct limits *l, const char *property, uint64_t value)
{
        return is_missing(l, property) ? 0 : l->lib->message_append(l->m, "(sv)", property, "t", value);
}

/* "8:0": a device by its number, as udev links it. */
static int put_device(const struct limits *l, const char *property, const char *device, size_t len, uint64_t value)
{
        char path[64];

        if (is_missing(l, property))
                return 0;
        (void) snprintf(path, sizeof(path), "/dev/block/%.*s", (int) (len > 40 ? 40 : len), device);
        return l->lib->message_append(l->m, "(sv)", property, "a(st)", 1, path, value);
}

static int put_cpu_max(const struct limits *l, const char *value)
{
        char quota[24], period[24];
        uint64_t q, p, per_second;
        int r;

        if (sscanf(value, "%23s %23s", quota, period) != 2 || !parse_number(quota, &q) || !parse_number(period, &p) ||
            p == 0)
                return 0;
        /* Whole percents, rounded up: systemd keeps no finer ones, and the cgroup below must get what was asked for. */
        per_second = q == UINT64_MAX ? q : (q > UINT64_MAX / 1000000 ? UINT64_MAX : q * 1000000 / p);
        if (per_second != UINT64_MAX && per_second % 10000 != 0)
                per_second = (per_second / 10000 + 1) * 10000;
        r = put_number(l, "CPUQuotaPerSecUSec", per_second);
        return r < 0 ? r : put_number(l, "CPUQuotaPeriodUSec", p);
}

int systemd_cpu_mask(const char *list, unsigned char *ret, size_t size)
{
        size_t n = 0;

        memset(ret, 0, size);
        while (*list != '\0') {
                unsigned long first, last;
                char *end;

                if (!isdigit((unsigned char) *list))
                        return -EINVAL;
                first = last = strtoul(list, &end, 10);
                if (*end == '-') {
                        if (!isdigit((unsigned char) end[1]))
                                return -EINVAL;
                        last = strtoul(end + 1, &end, 10);
                }
                if (last < first || last >= size * 8 || (*end != ',' && *end != '\0'))
                        return -EINVAL;
                for (unsigned long i = first; i <= last; i++)
                        ret[i / 8] = (unsigned char) (ret[i / 8] | 1U << (i % 8));
                n = last / 8 + 1 > n ? last / 8 + 1 : n;
                list = *end == ',' ? end + 1 : end;
        }
        return (int) n;
}

static int put_mask(const struct limits *l, const char *property, const struct cgroup_setting *s, spawn_error *e)
{
        unsigned char mask[1024];
        int r, n = systemd_cpu_mask(s->value, mask, sizeof(mask));

        if (n < 0)
                return fail_text(e, "cgroup", "%s: \"%.64s\" is not a list such as 0-3,7", s->what, s->value);
        if (is_missing(l, property))
                return 0;
        r = l->lib->message_open_container(l->m, 'r', "sv");
        if (r >= 0)
                r = l->lib->message_append(l->m, "s", property);
        if (r >= 0)
                r = l->lib->message_open_container(l->m, 'v', "ay");
        if (r >= 0)
                r = l->lib->message_append_array(l->m, 'y', mask, (size_t) n);
        if (r >= 0)
                r = l->lib->message_close_container(l->m);
        return r >= 0 ? l->lib->message_close_container(l->m) : r;
}

/* io.weight's scale such that systemd, which converts to BFQ's, gets back what was asked for: 1..100 are the same in
 * both, 100..1000 are 100..10000. */
static uint64_t from_bfq(uint64_t w)
{
        return w <= 100 ? w : 100 + (w - 100) * 9900 / 900;
}

static int put_io_weight(const struct limits *l, const char *value, bool bfq)
{
        const char *space = strrchr(value, ' ');
        uint64_t w;

        if (!parse_number(space != NULL ? space + 1 : value, &w))
                return 0;
        w = bfq ? from_bfq(w) : w;
        if (space == NULL || strncmp(value, "default ", 8) == 0)
                return put_number(l, "IOWeight", w);
        return put_device(l, "IODeviceWeight", value, (size_t) (space - value), w);
}

static int put_io_max(const struct limits *l, const char *value)
{
        size_t len = strcspn(value, " ");
        int r = 0;

        for (const char *p = value + len; r >= 0 && *p == ' '; p += strcspn(p, " ")) {
                char number[32];
                uint64_t v;

                p += strspn(p, " ");
                for (size_t i = 0; r >= 0 && i < ELEMENTSOF(io_max); i++) {
                        size_t k = strlen(io_max[i].key);

                        if (strncmp(p, io_max[i].key, k) != 0)
                                continue;
                        (void) snprintf(number, sizeof(number), "%.*s", (int) strcspn(p + k, " "), p + k);
                        if (parse_number(number, &v))
                                r = put_device(l, io_max[i].property, value, len, v);
                }
        }
        return r;
}

static int put_setting(const struct limits *l, const struct cgroup_setting *s, spawn_error *e)
{
        uint64_t v;

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (strcmp(numbers[i].file, s->file) == 0)
                        return parse_number(s->value, &v) ? put_number(l, numbers[i].property, v) : 0;
        if (strcmp(s->file, "cpu.idle") == 0) /* to systemd, weight 0 is idle */
                return strcmp(s->value, "1") == 0 ? put_number(l, "CPUWeight", 0) : 0;
        if (strcmp(s->file, "cpu.max") == 0)
                return put_cpu_max(l, s->value);
        if (strcmp(s->file, "cpuset.cpus") == 0)
                return put_mask(l, "AllowedCPUs", s, e);
        if (strcmp(s->file, "cpuset.mems") == 0)
                return put_mask(l, "AllowedMemoryNodes", s, e);
        if (strcmp(s->file, "io.weight") == 0 || strcmp(s->file, "io.bfq.weight") == 0)
                return put_io_weight(l, s->value, s->file[3] == 'b');
        return strcmp(s->file, "io.max") == 0 ? put_io_max(l, s->value) : 0;
}

int systemd_append_limits(const struct sdbus *lib, sd_bus_message *m, const struct cgroup_settings *s,
                          const struct systemd_missing *missing, spawn_error *e)
{
        const struct limits l = {.lib = lib, .m = m, .missing = missing};

        for (size_t i = 0; i < s->n; i++) {
                spawn_error inner = {0};
                int r = put_setting(&l, &s->v[i], &inner);

                if (r < 0 && inner.text[0] != '\0') {
                        *e = inner;
                        return r;
                }
                if (r < 0)
                        return fail_code(e, r, "systemd", "%s: pass it on to systemd", s->v[i].what);
        }
        return 0;
}

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
