/* Limits as properties of a systemd unit: systemd.resource-control(5), org.freedesktop.systemd1(5). */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cgroup-systemd.h"
#include "fail.h"
#include "util.h"

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
