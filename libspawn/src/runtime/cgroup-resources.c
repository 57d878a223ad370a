/* linux.resources as files of cgroup v2. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "fail.h"
#include "io.h"
#include "util.h"

/* A parser's place: the list that grows and the first error. */
struct collect {
        struct cgroup_settings *s;
        spawn_error *e;
};

static int add(const struct collect *c, const char *controller, const char *what, const char *file, const char *fmt,
               ...) __attribute__((format(printf, 5, 6)));

static int add(const struct collect *c, const char *controller, const char *what, const char *file, const char *fmt,
               ...)
{
        struct cgroup_setting *s;
        va_list ap;

        if (c->s->n >= CGROUP_SETTINGS_MAX)
                return fail_text(c->e, "cgroup", "linux.resources: more than %d settings", CGROUP_SETTINGS_MAX);
        s = &c->s->v[c->s->n++];
        (void) snprintf(s->controller, sizeof(s->controller), "%s", controller);
        (void) snprintf(s->what, sizeof(s->what), "%s", what);
        (void) snprintf(s->file, sizeof(s->file), "%s", file);
        va_start(ap, fmt);
        (void) vsnprintf(s->value, sizeof(s->value), fmt, ap);
        va_end(ap);
        return 0;
}

/* Negative numbers mean no limit. */
static int add_limit(const struct collect *c, const char *controller, const char *what, const char *file, int64_t v)
{
        return v < 0 ? add(c, controller, what, file, "max") : add(c, controller, what, file, "%" PRId64, v);
}

static int memory(const struct jv *res, const struct collect *c)
{
        int64_t limit = 0, swap = 0, low = 0;
        struct jv m, at;
        int has_limit, has_swap, r = jv_obj(res, "memory", &m, c->e);

        if (r <= 0)
                return r;
        has_limit = jv_int(&m, "limit", -1, INT64_MAX, &limit, c->e);
        has_swap = has_limit < 0 ? has_limit : jv_int(&m, "swap", -1, INT64_MAX, &swap, c->e);
        if (has_swap < 0)
                return has_swap;
        /* v1's swap was memory and swap together; v2 counts swap alone. 0 means "not set" in both. */
        if (has_swap && swap != 0) {
                at = jv_key(&m, "swap");
                if (swap > 0 && (!has_limit || limit <= 0))
                        return jv_err(&at, c->e, "cannot be set without a memory limit");
                if (swap > 0 && swap < limit)
                        return jv_err(&at, c->e,
                                      "is memory and swap together, so it must not be below the memory limit");
                r = add_limit(c, "memory", "memory.swap", "memory.swap.max", swap < 0 ? -1 : swap - limit);
        }
        if (r >= 0 && has_limit && limit != 0)
                r = add_limit(c, "memory", "memory.limit", "memory.max", limit);
        if (r >= 0)
                r = jv_int(&m, "reservation", -1, INT64_MAX, &low, c->e);
        if (r > 0 && low != 0)
                r = add_limit(c, "memory", "memory.reservation", "memory.low", low);
        return r;
}

static int cpu(const struct jv *res, const struct collect *c)
{
        uint64_t shares = 0, period = 100000, burst = 0;
        int64_t quota = 0, idle = 0;
        const char *list = NULL;
        struct jv m;
        int has_quota, has_period, r = jv_obj(res, "cpu", &m, c->e);

        if (r <= 0)
                return r;
        r = jv_u64(&m, "shares", &shares, c->e);
        /* 2..262144 of v1 onto 1..10000 of v2, linear, as runc and crun (before 1.23) do. */
        if (r > 0 && shares != 0)
                r = add(c, "cpu", "cpu.shares", "cpu.weight", "%" PRIu64,
                        1 + ((shares < 2        ? 2
                              : shares > 262144 ? 262144
                                                : shares) -
                             2) * 9999 / 262142);
        has_quota = r < 0 ? r : jv_int(&m, "quota", -1, INT64_MAX, &quota, c->e);
        has_period = has_quota < 0 ? has_quota : jv_u64(&m, "period", &period, c->e);
        if (has_period < 0)
                return has_period;
        if (period == 0)
                period = 100000;
        r = 0;
        if (has_quota && quota > 0)
                r = add(c, "cpu", "cpu.quota", "cpu.max", "%" PRId64 " %" PRIu64, quota, period);
        else if ((has_quota && quota < 0) || has_period)
                r = add(c, "cpu", "cpu.period", "cpu.max", "max %" PRIu64, period);
        if (r >= 0 && (r = jv_u64(&m, "burst", &burst, c->e)) > 0)
                r = add(c, "cpu", "cpu.burst", "cpu.max.burst", "%" PRIu64, burst);
        if (r >= 0 && (r = jv_int(&m, "idle", 0, 1, &idle, c->e)) > 0)
                r = add(c, "cpu", "cpu.idle", "cpu.idle", "%" PRId64, idle);
        if (r >= 0 && (r = jv_str(&m, "cpus", &list, c->e)) > 0 && list[0] != '\0')
                r = add(c, "cpuset", "cpu.cpus", "cpuset.cpus", "%s", list);
        if (r >= 0 && (r = jv_str(&m, "mems", &list, c->e)) > 0 && list[0] != '\0')
                r = add(c, "cpuset", "cpu.mems", "cpuset.mems", "%s", list);
        return r;
}

static int pids(const struct jv *res, const struct collect *c)
{
        int64_t limit = 0;
        struct jv m;
        int r = jv_obj(res, "pids", &m, c->e);

        if (r <= 0 || (r = jv_int(&m, "limit", INT64_MIN, INT64_MAX, &limit, c->e)) <= 0)
                return r;
        return add_limit(c, "pids", "pids.limit", "pids.max", limit == 0 ? -1 : limit);
}

static int throttle(const struct jv *io, const struct collect *c, const char *key, const char *name)
{
        struct jv list;
        size_t n;
        int r = jv_array(io, key, &list, &n, c->e);

        for (size_t i = 0; r >= 0 && i < n; i++) {
                struct jv item = jv_idx(&list, i);
                uint64_t rate = 0;
                int64_t major = 0, minor = 0;

                if ((r = jv_need_obj(&item, c->e)) < 0 || (r = jv_int(&item, "major", 0, 4095, &major, c->e)) < 0 ||
                    (r = jv_int(&item, "minor", 0, 1048575, &minor, c->e)) < 0 ||
                    (r = jv_u64(&item, "rate", &rate, c->e)) < 0)
                        return r;
                r = add(c, "io", key, "io.max", "%" PRId64 ":%" PRId64 " %s=%" PRIu64, major, minor, name, rate);
        }
        return r;
}

static int weights(const struct jv *io, const struct collect *c)
{
        struct jv list;
        int64_t weight = 0, major = 0, minor = 0;
        size_t n;
        int r = jv_int(io, "weight", 0, 1000, &weight, c->e);

        /* 10..1000 of the BFQ scale, which io.bfq.weight takes as it is; cgroup_apply() converts for io.weight. */
        if (r > 0 && weight >= 10)
                r = add(c, "io", "blockIO.weight", "io.bfq.weight", "%" PRId64, weight);
        if (r < 0 || (r = jv_array(io, "weightDevice", &list, &n, c->e)) <= 0)
                return r;
        for (size_t i = 0; r >= 0 && i < n; i++) {
                struct jv item = jv_idx(&list, i);

                if ((r = jv_need_obj(&item, c->e)) < 0 || (r = jv_int(&item, "major", 0, 4095, &major, c->e)) < 0 ||
                    (r = jv_int(&item, "minor", 0, 1048575, &minor, c->e)) < 0 ||
                    (r = jv_int(&item, "weight", 10, 1000, &weight, c->e)) < 0)
                        return r;
                r = add(c, "io", "blockIO.weightDevice", "io.bfq.weight", "%" PRId64 ":%" PRId64 " %" PRId64, major,
                        minor, weight);
        }
        return r;
}

static int block_io(const struct jv *res, const struct collect *c)
{
        struct jv io;
        int r = jv_obj(res, "blockIO", &io, c->e);

        if (r <= 0 || (r = weights(&io, c)) < 0)
                return r;
        if ((r = throttle(&io, c, "throttleReadBpsDevice", "rbps")) < 0 ||
            (r = throttle(&io, c, "throttleWriteBpsDevice", "wbps")) < 0 ||
            (r = throttle(&io, c, "throttleReadIOPSDevice", "riops")) < 0)
                return r;
        return throttle(&io, c, "throttleWriteIOPSDevice", "wiops");
}

static int hugepages(const struct jv *res, const struct collect *c)
{
        struct jv list;
        size_t n;
        int r = jv_array(res, "hugepageLimits", &list, &n, c->e);

        for (size_t i = 0; r >= 0 && i < n; i++) {
                struct jv item = jv_idx(&list, i), size = jv_key(&item, "pageSize");
                const char *text = "";
                char file[64];
                uint64_t limit = 0;

                if ((r = jv_need_obj(&item, c->e)) < 0 || (r = jv_as_str(&size, &text, c->e)) < 0 ||
                    (r = jv_u64(&item, "limit", &limit, c->e)) < 0)
                        return r;
                if (text[strspn(text, "0123456789KMGB")] != '\0' || text[0] == '\0' || strlen(text) > 16)
                        return jv_err(&size, c->e, "\"%s\" is not a page size such as 2MB", text);
                (void) snprintf(file, sizeof(file), "hugetlb.%s.max", text);
                r = add(c, "hugetlb", "hugepageLimits", file, "%" PRIu64, limit);
        }
        return r;
}

static int unified(const struct jv *res, const struct collect *c)
{
        struct jv m;
        int r = jv_obj(res, "unified", &m, c->e);

        if (r <= 0)
                return r;
        json_object_object_foreach(m.obj, key, val)
        {
                struct jv v = {.up = &m, .key = key, .obj = val};
                const char *text = "", *dot = strchr(key, '.');
                char controller[24];

                r = jv_as_str(&v, &text, c->e);
                if (r < 0)
                        return r;
                if (dot == NULL || dot == key || strchr(key, '/') != NULL ||
                    (size_t) (dot - key) >= sizeof(controller) || strlen(key) >= 64)
                        return jv_err(&v, c->e, "is not the name of a cgroup file");
                if (strlen(text) >= sizeof(c->s->v[0].value))
                        return jv_err(&v, c->e, "the value is too long");
                (void) snprintf(controller, sizeof(controller), "%.*s", (int) (dot - key), key);
                r = add(c, controller, "unified", key, "%s", text);
                if (r < 0)
                        return r;
        }
        return 0;
}

int cgroup_settings(struct json_object *resources, struct cgroup_settings *ret, spawn_error *e)
{
        struct jv root = jv_root(NULL), lin = {.up = &root, .key = "linux"};
        struct jv res = {.up = &lin, .key = "resources", .obj = resources};
        struct collect c = {.s = ret, .e = e};
        int r;

        ret->n = 0;
        ret->v = NULL;
        if (resources == NULL || json_object_object_length(resources) == 0)
                return 0;
        ret->v = calloc(CGROUP_SETTINGS_MAX, sizeof(*ret->v));
        if (ret->v == NULL)
                return spawn_err(e, ENOMEM, "cgroup", "out of memory");
        if ((r = memory(&res, &c)) < 0 || (r = cpu(&res, &c)) < 0 || (r = pids(&res, &c)) < 0 ||
            (r = block_io(&res, &c)) < 0 || (r = hugepages(&res, &c)) < 0)
                return r;
        r = unified(&res, &c);
        return r < 0 ? r : 0;
}

static int missing_controller(int fd, const char *path, const struct cgroup_setting *s, spawn_error *e)
{
        _cleanup_free_ char *have = NULL;

        if (read_file_at(fd, "cgroup.controllers", 4096, &have) > 0)
                have[strcspn(have, "\n")] = '\0';
        return spawn_err(
                e, ENOENT, "cgroup",
                "set %s: the controller `%s` is not available in cgroup `%s` (available: %s); it must be delegated to you",
                s->what, s->controller, path, have != NULL && have[0] != '\0' ? have : "none");
}

static int write_setting(int fd, const struct cgroup_setting *s)
{
        char value[160];
        const char *colon;
        unsigned int weight;
        int r = write_file_at(fd, s->file, s->value);

        if (r != -ENOENT || strcmp(s->file, "io.bfq.weight") != 0)
                return r;
        /* No BFQ scheduler: io.weight is 1..10000 with 100 in the middle, linear from 10..1000. */
        colon = strrchr(s->value, ' ');
        weight = (unsigned int) atoi(colon != NULL ? colon + 1 : s->value);
        (void) snprintf(value, sizeof(value), "%.*s%u", colon != NULL ? (int) (colon + 1 - s->value) : 8,
                        colon != NULL ? s->value : "default ", 1 + (weight - 10) * 9999 / 990);
        return write_file_at(fd, "io.weight", value);
}

int cgroup_apply(int fd, const char *path, const struct cgroup_settings *s, spawn_error *e)
{
        for (size_t i = 0; i < s->n; i++) {
                int r = write_setting(fd, &s->v[i]);

                /* Without swap in the kernel nothing can be swapped: the limit holds by itself. */
                if (r == -ENOENT && strcmp(s->v[i].file, "memory.swap.max") == 0 &&
                    faccessat(fd, "memory.max", F_OK, 0) == 0)
                        continue;
                /* "No limit" needs no controller. */
                if (r == -ENOENT && (strcmp(s->v[i].value, "max") == 0 || strncmp(s->v[i].value, "max ", 4) == 0))
                        continue;
                if (r == -ENOENT)
                        return missing_controller(fd, path, &s->v[i], e);
                if (r < 0)
                        return fail_code(e, r, "cgroup", "set %s: write `%s` to `%s/%s`", s->v[i].what, s->v[i].value,
                                         path, s->v[i].file);
        }
        return 0;
}
