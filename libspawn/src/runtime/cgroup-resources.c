/* linux.resources as files of cgroup v2: memory, cpu, pids, hugetlb, rdma. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"
#include "fail.h"
#include "util.h"

/* More than every setting of every kind for every device of a large host. */
#define SETTINGS_MAX 4096

int cgroup_settings_add(struct cgroup_settings *s, const struct jv *where, const char *controller, const char *file,
                        spawn_error *e, const char *fmt, ...)
{
        char value[256], what[200];
        va_list ap;
        int n;

        if (s->n >= SETTINGS_MAX)
                return jv_err(where, e, "more than %d settings", SETTINGS_MAX);
        if (s->n == s->room) {
                size_t room = s->room == 0 ? 16 : s->room * 2;
                struct cgroup_setting *v = reallocarray(s->v, room, sizeof(*v));

                if (v == NULL)
                        return jv_no_memory(where, e);
                s->v = v;
                s->room = room;
        }
        va_start(ap, fmt);
        n = vsnprintf(value, sizeof(value), fmt, ap);
        va_end(ap);
        if (n < 0 || (size_t) n >= sizeof(value))
                return jv_err(where, e, "the value is too long");
        (void) jv_path(where, what, sizeof(what));
        s->v[s->n] = (struct cgroup_setting){
                .controller = arena_printf(&s->arena, "%s", controller),
                .file = arena_printf(&s->arena, "%s", file),
                .value = arena_printf(&s->arena, "%s", value),
                .what = arena_printf(&s->arena, "%s", what),
        };
        if (s->v[s->n].controller == NULL || s->v[s->n].file == NULL || s->v[s->n].value == NULL ||
            s->v[s->n].what == NULL)
                return jv_no_memory(where, e);
        s->n++;
        return 0;
}

/* Negative numbers mean no limit. */
static int add_limit(struct cgroup_settings *s, const struct jv *where, const char *controller, const char *file,
                     int64_t v, spawn_error *e)
{
        return v < 0 ? cgroup_settings_add(s, where, controller, file, e, "max")
                     : cgroup_settings_add(s, where, controller, file, e, "%" PRId64, v);
}

/* What v1 had and v2 has not: an error, as a container without it is not the one that was asked for. */
static int refuse(const struct jv *up, const char *key, spawn_error *e)
{
        struct jv v = jv_key(up, key);

        /* docker's update sends all that it knows, with 0 for what is not set. */
        bool unset = strncmp(key, "kernel", 6) == 0 && v.obj != NULL && json_object_is_type(v.obj, json_type_int) &&
                     json_object_get_int64(v.obj) == 0;

        if (v.obj == NULL || unset ||
            (json_object_is_type(v.obj, json_type_boolean) && !json_object_get_boolean(v.obj)))
                return 0;
        return jv_err(&v, e, "cgroup v2 has no such setting, leave it out");
}

static int memory_swap(const struct jv *m, struct cgroup_settings *s, bool has_limit, int64_t limit, spawn_error *e)
{
        struct jv at = jv_key(m, "swap");
        int64_t swap = 0;
        int r = jv_int(m, "swap", -1, INT64_MAX, &swap, e);

        if (r <= 0)
                return r;
        /* v1's swap was memory and swap together; v2 counts swap alone. 0 allows none, -1 any amount. */
        if (swap > 0 && (!has_limit || limit <= 0))
                return jv_err(&at, e, "cannot be set without a memory limit");
        if (swap > 0 && swap < limit)
                return jv_err(&at, e, "is memory and swap together, so it must not be below the memory limit");
        s->check_total = swap > 0 ? swap : 0;
        return add_limit(s, &at, "memory", "memory.swap.max", swap > 0 ? swap - limit : swap, e);
}

static int memory(const struct jv *res, struct cgroup_settings *s, spawn_error *e)
{
        static const char *const gone[] = {"kernel", "kernelTCP", "swappiness", "disableOOMKiller", "useHierarchy"};
        int64_t limit = 0, low = 0;
        bool check = false;
        struct jv m, at;
        int has_limit, r = jv_obj(res, "memory", &m, e);

        if (r <= 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(gone); i++)
                if ((r = refuse(&m, gone[i], e)) < 0)
                        return r;
        has_limit = jv_int(&m, "limit", -1, INT64_MAX, &limit, e);
        if (has_limit < 0 || (r = jv_bool(&m, "checkBeforeUpdate", &check, e)) < 0)
                return has_limit < 0 ? has_limit : r;
        /* 0 is "not set" to engines; as a limit it would kill everything. */
        if (has_limit && limit != 0) {
                at = jv_key(&m, "limit");
                r = add_limit(s, &at, "memory", "memory.max", limit, e);
        }
        if (r >= 0)
                r = memory_swap(&m, s, has_limit, limit, e);
        if (r >= 0 && (r = jv_int(&m, "reservation", -1, INT64_MAX, &low, e)) > 0 && low != 0) {
                at = jv_key(&m, "reservation");
                r = add_limit(s, &at, "memory", "memory.low", low, e);
        }
        s->check_memory = check && limit > 0 ? limit : 0;
        s->check_total = check ? s->check_total : 0;
        return r;
}

static int cpu_max(const struct jv *m, struct cgroup_settings *s, spawn_error *e)
{
        struct jv at_quota = jv_key(m, "quota"), at_period = jv_key(m, "period");
        uint64_t period = 0;
        int64_t quota = 0;
        int r;

        if ((r = jv_int(m, "quota", -1, INT64_MAX, &quota, e)) < 0 || (r = jv_u64(m, "period", &period, e)) < 0)
                return r;
        if (quota == 0 && period == 0)
                return 0;
        /* sched-bwc.rst: a period of 1 ms to 1 s, a quota of at least 1 ms. */
        if (period != 0 && (period < 1000 || period > 1000000))
                return jv_err(&at_period, e, "must be between 1000 and 1000000 (microseconds)");
        if (quota > 0 && quota < 1000)
                return jv_err(&at_quota, e, "must be at least 1000 (microseconds)");
        /* "QUOTA PERIOD"; "-" where only the other is asked for: cgroup_complete_cpu_max(). */
        if (quota == 0)
                return cgroup_settings_add(s, &at_period, "cpu", "cpu.max", e, "- %" PRIu64, period);
        if (period == 0 && quota < 0)
                return cgroup_settings_add(s, &at_quota, "cpu", "cpu.max", e, "max -");
        if (period == 0)
                return cgroup_settings_add(s, &at_quota, "cpu", "cpu.max", e, "%" PRId64 " -", quota);
        if (quota < 0)
                return cgroup_settings_add(s, &at_quota, "cpu", "cpu.max", e, "max %" PRIu64, period);
        return cgroup_settings_add(s, &at_quota, "cpu", "cpu.max", e, "%" PRId64 " %" PRIu64, quota, period);
}

static int cpu_list(const struct jv *m, const char *key, const char *file, struct cgroup_settings *s, spawn_error *e)
{
        struct jv at = jv_key(m, key);
        const char *list = "";
        int r = jv_as_str(&at, &list, e);

        if (r <= 0 || list[0] == '\0')
                return r;
        if (list[strspn(list, "0123456789,-")] != '\0' || !isdigit((unsigned char) list[0]))
                return jv_err(&at, e, "\"%.64s\" is not a list such as 0-3,7", list);
        return cgroup_settings_add(s, &at, "cpuset", file, e, "%s", list);
}

static int cpu(const struct jv *res, struct cgroup_settings *s, spawn_error *e)
{
        uint64_t shares = 0, burst = 0, realtime = 0;
        int64_t idle = 0, runtime = 0;
        struct jv m, at;
        int r = jv_obj(res, "cpu", &m, e);

        if (r <= 0)
                return r;
        /* 0 is "not set" to engines. */
        if ((r = jv_u64(&m, "realtimePeriod", &realtime, e)) < 0 ||
            (r = jv_int(&m, "realtimeRuntime", INT64_MIN, INT64_MAX, &runtime, e)) < 0)
                return r;
        if ((realtime != 0 && (r = refuse(&m, "realtimePeriod", e)) < 0) ||
            (runtime != 0 && (r = refuse(&m, "realtimeRuntime", e)) < 0))
                return r;
        r = jv_u64(&m, "shares", &shares, e);
        if (r > 0 && shares != 0) {
                at = jv_key(&m, "shares");
                r = cgroup_settings_add(s, &at, "cpu", "cpu.weight", e, "%u", cgroup_weight_of_shares(shares));
        }
        if (r >= 0 && (r = jv_int(&m, "idle", 0, 1, &idle, e)) > 0) {
                at = jv_key(&m, "idle");
                r = cgroup_settings_add(s, &at, "cpu", "cpu.idle", e, "%" PRId64, idle);
        }
        if (r < 0 || (r = cpu_max(&m, s, e)) < 0)
                return r;
        if ((r = jv_u64(&m, "burst", &burst, e)) > 0) {
                at = jv_key(&m, "burst");
                r = cgroup_settings_add(s, &at, "cpu", "cpu.max.burst", e, "%" PRIu64, burst);
        }
        if (r < 0 || (r = cpu_list(&m, "cpus", "cpuset.cpus", s, e)) < 0)
                return r;
        return cpu_list(&m, "mems", "cpuset.mems", s, e);
}

static int pids(const struct jv *res, struct cgroup_settings *s, spawn_error *e)
{
        int64_t limit = 0;
        struct jv m, at;
        int r = jv_obj(res, "pids", &m, e);

        if (r <= 0 || (r = jv_int(&m, "limit", INT64_MIN, INT64_MAX, &limit, e)) <= 0)
                return r;
        at = jv_key(&m, "limit");
        /* 0 and below are "no limit" to engines; nothing could run under a limit of 0. */
        return add_limit(s, &at, "pids", "pids.max", limit == 0 ? -1 : limit, e);
}

static int hugepages(const struct jv *res, struct cgroup_settings *s, spawn_error *e)
{
        struct jv list;
        size_t n = 0;
        int r = jv_array(res, "hugepageLimits", &list, &n, e);

        for (size_t i = 0; r >= 0 && i < n; i++) {
                struct jv item = jv_idx(&list, i), size = jv_key(&item, "pageSize"), at = jv_key(&item, "limit");
                const char *text = "";
                char file[64];
                uint64_t limit = 0;

                if ((r = jv_need_obj(&item, e)) < 0 || (r = jv_as_str(&size, &text, e)) < 0 ||
                    (r = jv_as_u64(&at, &limit, e)) < 0)
                        return r;
                if (r == 0)
                        return jv_err(&at, e, "missing");
                if (text[strspn(text, "0123456789KMGB")] != '\0' || text[0] == '\0' || strlen(text) > 16)
                        return jv_err(&size, e, "\"%.32s\" is not a page size such as 2MB", text);
                (void) snprintf(file, sizeof(file), "hugetlb.%s.max", text);
                r = cgroup_settings_add(s, &at, "hugetlb", file, e, "%" PRIu64, limit);
        }
        return r;
}

static int rdma(const struct jv *res, struct cgroup_settings *s, spawn_error *e)
{
        struct jv m;
        int r = jv_obj(res, "rdma", &m, e);

        if (r <= 0)
                return r;
        json_object_object_foreach(m.obj, key, val)
        {
                struct jv v = {.up = &m, .key = key, .obj = val};
                uint32_t handles = 0, objects = 0;
                char text[64] = "";
                int has_handles, has_objects = 0;

                if ((r = jv_need_obj(&v, e)) < 0)
                        return r;
                if (key[0] == '\0' || strlen(key) > 64 || key[strcspn(key, " \t\n/=")] != '\0')
                        return jv_err(&v, e, "is not the name of a device");
                has_handles = jv_u32(&v, "hcaHandles", &handles, e);
                has_objects = has_handles < 0 ? has_handles : jv_u32(&v, "hcaObjects", &objects, e);
                if (has_objects < 0)
                        return has_objects;
                if (has_handles > 0)
                        (void) snprintf(text, sizeof(text), " hca_handle=%" PRIu32, handles);
                if (has_objects > 0)
                        (void) snprintf(text + strlen(text), sizeof(text) - strlen(text), " hca_object=%" PRIu32,
                                        objects);
                if (text[0] != '\0' && (r = cgroup_settings_add(s, &v, "rdma", "rdma.max", e, "%s%s", key, text)) < 0)
                        return r;
        }
        return 0;
}

static int network(const struct jv *res, spawn_error *e)
{
        struct jv m;
        int r = jv_obj(res, "network", &m, e);

        if (r <= 0 || json_object_object_length(m.obj) == 0)
                return r;
        return jv_err(&m, e, "cgroup v2 has no network limits, leave it out");
}

int cgroup_settings(struct json_object *resources, struct cgroup_settings *ret, spawn_error *e)
{
        struct jv root = jv_root(NULL), lin = {.up = &root, .key = "linux"};
        struct jv res = {.up = &lin, .key = "resources", .obj = resources};
        int r;

        memset(ret, 0, sizeof(*ret));
        if (resources == NULL)
                return 0;
        if ((r = jv_need_obj(&res, e)) < 0)
                return r;
        if (json_object_object_length(resources) == 0)
                return 0;
        if ((r = network(&res, e)) < 0 || (r = cgroup_device_rules(&res, ret, e)) < 0 ||
            (r = memory(&res, ret, e)) < 0 || (r = pids(&res, ret, e)) < 0 || (r = cpu(&res, ret, e)) < 0 ||
            (r = cgroup_io_settings(&res, ret, e)) < 0 || (r = hugepages(&res, ret, e)) < 0 ||
            (r = rdma(&res, ret, e)) < 0)
                return r;
        r = cgroup_unified_settings(&res, ret, e);
        return r < 0 ? r : 0;
}

void cgroup_settings_free(struct cgroup_settings *s)
{
        arena_free(&s->arena);
        free(s->v);
        memset(s, 0, sizeof(*s));
}

bool cgroup_settings_empty(const struct cgroup_settings *s)
{
        /* "No limit" is had without a cgroup too. */
        for (size_t i = 0; i < s->n; i++)
                if (strncmp(s->v[i].value, "max", 3) != 0)
                        return false;
        return true;
}
