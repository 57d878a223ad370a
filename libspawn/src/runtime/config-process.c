/* config.json: the "process" object, which exec --process reads too. */
#include <stdlib.h>
#include <string.h>

#include "caps.h"
#include "config.h"
#include "util.h"

static const struct {
        const char *name;
        int resource;
} rlimit_names[] = {
        {"RLIMIT_AS", RLIMIT_AS},
        {"RLIMIT_CORE", RLIMIT_CORE},
        {"RLIMIT_CPU", RLIMIT_CPU},
        {"RLIMIT_DATA", RLIMIT_DATA},
        {"RLIMIT_FSIZE", RLIMIT_FSIZE},
        {"RLIMIT_LOCKS", RLIMIT_LOCKS},
        {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
        {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
        {"RLIMIT_NICE", RLIMIT_NICE},
        {"RLIMIT_NOFILE", RLIMIT_NOFILE},
        {"RLIMIT_NPROC", RLIMIT_NPROC},
        {"RLIMIT_RSS", RLIMIT_RSS},
        {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
        {"RLIMIT_RTTIME", RLIMIT_RTTIME},
        {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
        {"RLIMIT_STACK", RLIMIT_STACK},
};

static int parse_rlimit(const struct jv *v, struct oci_rlimit *l, spawn_error *e)
{
        struct jv type = jv_key(v, "type"), s = jv_key(v, "soft"), h = jv_key(v, "hard");
        uint64_t soft = 0, hard = 0;
        int r = jv_need_obj(v, e);

        if (r < 0 || (r = jv_as_str(&type, &l->type, e)) < 0)
                return r;
        if (r == 0)
                return jv_err(&type, e, "missing");
        l->resource = -1;
        for (size_t i = 0; i < ELEMENTSOF(rlimit_names); i++)
                if (strcmp(rlimit_names[i].name, l->type) == 0)
                        l->resource = rlimit_names[i].resource;
        if (l->resource < 0)
                return jv_err(&type, e, "unknown limit \"%s\"", l->type);
        if ((r = jv_as_u64(&s, &soft, e)) < 0)
                return r;
        if (r == 0)
                return jv_err(&s, e, "missing");
        if ((r = jv_as_u64(&h, &hard, e)) < 0)
                return r;
        if (r == 0)
                return jv_err(&h, e, "missing");
        if (soft > hard)
                return jv_err(&s, e, "is above \"hard\"");
        l->limit = (struct rlimit){.rlim_cur = soft, .rlim_max = hard};
        return 0;
}

static int parse_rlimits(const struct jv *p, struct arena *a, struct oci_process *ret, spawn_error *e)
{
        struct jv list;
        size_t n;
        int r = jv_array(p, "rlimits", &list, &n, e);

        if (r <= 0)
                return r;
        ret->rlimits = arena_alloc(a, n + 1, sizeof(*ret->rlimits));
        if (ret->rlimits == NULL)
                return jv_no_memory(&list, e);
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i);

                r = parse_rlimit(&item, &ret->rlimits[i], e);
                if (r < 0)
                        return r;
                for (size_t k = 0; k < i; k++)
                        if (ret->rlimits[k].resource == ret->rlimits[i].resource)
                                return jv_err(&item, e, "%s is given twice", ret->rlimits[i].type);
        }
        ret->n_rlimits = n;
        return 0;
}

static int parse_caps(const struct jv *p, struct oci_process *ret, spawn_error *e)
{
        static const char *const sets[CAPS_SETS] = {
                [CAPS_BOUNDING] = "bounding",   [CAPS_EFFECTIVE] = "effective", [CAPS_INHERITABLE] = "inheritable",
                [CAPS_PERMITTED] = "permitted", [CAPS_AMBIENT] = "ambient",
        };
        struct jv caps, list;
        int r = jv_obj(p, "capabilities", &caps, e);

        if (r <= 0)
                return r;
        ret->has_caps = true;
        for (int set = 0; set < CAPS_SETS; set++) {
                size_t n;

                r = jv_array(&caps, sets[set], &list, &n, e);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < n; i++) {
                        struct jv item = jv_idx(&list, i);
                        const char *name = "";
                        int cap;

                        r = jv_as_str(&item, &name, e);
                        if (r < 0)
                                return r;
                        cap = cap_from_name(name);
                        if (cap < 0)
                                return jv_err(&item, e, "unknown capability \"%s\"", name);
                        ret->caps[set] |= UINT64_C(1) << cap;
                }
        }
        return 0;
}

static int parse_user(const struct jv *p, struct arena *a, struct oci_process *ret, spawn_error *e)
{
        struct jv user, list;
        int64_t umask = 0;
        size_t n;
        int r = jv_obj(p, "user", &user, e);

        if (r <= 0)
                return r;
        if ((r = jv_id(&user, "uid", &ret->uid, e)) < 0 || (r = jv_id(&user, "gid", &ret->gid, e)) < 0)
                return r;
        r = jv_int(&user, "umask", 0, 0777, &umask, e);
        if (r < 0)
                return r;
        ret->umask = (uint32_t) umask;
        ret->has_umask = r > 0;
        r = jv_array(&user, "additionalGids", &list, &n, e);
        if (r <= 0)
                return r;
        ret->groups = arena_alloc(a, n + 1, sizeof(*ret->groups));
        if (ret->groups == NULL)
                return jv_no_memory(&list, e);
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i);
                uint64_t gid = 0;

                r = jv_as_u64(&item, &gid, e);
                if (r < 0)
                        return r;
                if (r == 0 || gid >= UINT32_MAX)
                        return jv_err(&item, e, r == 0 ? "expected a whole number, found null" : "not a group id");
                ret->groups[i] = (gid_t) gid;
        }
        ret->n_groups = n;
        return 0;
}

static int parse_console(const struct jv *p, struct oci_process *ret, spawn_error *e)
{
        struct jv size;
        int64_t h = 0, w = 0;
        int r = jv_bool(p, "terminal", &ret->terminal, e);

        /* config.md: the size is ignored without a terminal. */
        if (r < 0 || !ret->terminal || (r = jv_obj(p, "consoleSize", &size, e)) <= 0)
                return r;
        if ((r = jv_int(&size, "height", 0, UINT16_MAX, &h, e)) < 0 ||
            (r = jv_int(&size, "width", 0, UINT16_MAX, &w, e)) < 0)
                return r;
        ret->console_height = (uint32_t) h;
        ret->console_width = (uint32_t) w;
        return 0;
}

/* By name, and where that is the same by place in the list. */
static int compare_entries(const void *a, const void *b)
{
        const char *const *const *x = a, *const *const *y = b;
        size_t m = strcspn(**x, "="), n = strcspn(**y, "=");
        int r = memcmp(**x, **y, m < n ? m : n);

        if (r == 0 && m != n)
                r = m < n ? -1 : 1;
        return r != 0 ? r : (*x > *y) - (*x < *y);
}

static bool same_name(const char *a, const char *b)
{
        size_t len = strcspn(a, "=") + 1;

        return strncmp(a, b, len) == 0;
}

/* Of a name that is given twice the last value counts; execve(2) would pass both and getenv(3) find the first. */
static bool drop_repeated(struct strv *env, struct arena *a)
{
        const char ***sorted = arena_alloc(a, env->n + 1, sizeof(*sorted));
        size_t kept = 0;

        if (sorted == NULL)
                return false;
        for (size_t i = 0; i < env->n; i++)
                sorted[i] = &env->v[i];
        qsort(sorted, env->n, sizeof(*sorted), compare_entries);
        for (size_t i = 0; i + 1 < env->n; i++)
                if (same_name(*sorted[i], *sorted[i + 1]))
                        *sorted[i] = NULL;
        for (size_t i = 0; i < env->n; i++)
                if (env->v[i] != NULL)
                        env->v[kept++] = env->v[i];
        env->v[kept] = NULL;
        env->n = kept;
        return true;
}

static int parse_env(const struct jv *p, struct arena *a, struct oci_process *ret, spawn_error *e)
{
        struct jv env = jv_key(p, "env");
        int r = jv_strv(p, "env", a, &ret->env, e);

        for (size_t i = 0; r >= 0 && i < ret->env.n; i++) {
                struct jv item = jv_idx(&env, i);

                if (strchr(ret->env.v[i], '=') == NULL || ret->env.v[i][0] == '=')
                        return jv_err(&item, e, "\"%s\" is not NAME=VALUE", ret->env.v[i]);
        }
        if (r > 0 && !drop_repeated(&ret->env, a))
                return jv_err(&env, e, "out of memory");
        return r;
}

int config_process(const struct jv *p, struct arena *a, struct oci_process *ret, spawn_error *e)
{
        struct jv cwd = jv_key(p, "cwd");
        int r = parse_console(p, ret, e);

        if (r < 0 || (r = parse_user(p, a, ret, e)) < 0 || (r = parse_env(p, a, ret, e)) < 0)
                return r;
        if ((r = jv_strv(p, "args", a, &ret->args, e)) < 0)
                return r;
        r = jv_as_str(&cwd, &ret->cwd, e);
        if (r < 0)
                return r;
        if (r == 0)
                return jv_err(&cwd, e, "missing");
        if (ret->cwd[0] != '/')
                return jv_err(&cwd, e, "\"%s\" is not an absolute path", ret->cwd);
        if ((r = parse_caps(p, ret, e)) < 0 || (r = parse_rlimits(p, a, ret, e)) < 0)
                return r;
        if ((r = jv_bool(p, "noNewPrivileges", &ret->no_new_privileges, e)) < 0)
                return r;
        r = jv_int(p, "oomScoreAdj", -1000, 1000, &ret->oom_score, e);
        if (r < 0)
                return r;
        ret->has_oom_score = r > 0;
        if ((r = jv_str(p, "apparmorProfile", &ret->apparmor, e)) < 0 ||
            (r = jv_str(p, "selinuxLabel", &ret->selinux, e)) < 0)
                return r;
        if ((r = config_scheduler(p, &ret->scheduler, e)) < 0 || (r = config_io_priority(p, ret, e)) < 0)
                return r;
        return config_affinity(p, a, ret, e);
}
