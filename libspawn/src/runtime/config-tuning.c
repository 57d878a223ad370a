/* config.json: how the kernel schedules a process and places its memory. */
#include <inttypes.h>
#include <linux/ioprio.h>
#include <limits.h>
#include <string.h>

#include "config.h"
#include "util.h"

enum { OTHER, FIFO, RR, BATCH, ISO, IDLE, DEADLINE }; /* numbers of the kernel: sched(7) */

static const char *const policies[] = {
        [OTHER] = "SCHED_OTHER",       [FIFO] = "SCHED_FIFO", [RR] = "SCHED_RR",
        [BATCH] = "SCHED_BATCH",       [ISO] = "SCHED_ISO",   [IDLE] = "SCHED_IDLE",
        [DEADLINE] = "SCHED_DEADLINE",
};

/* linux/sched.h, SCHED_FLAG_*; in the order of their bits. */
static const char *const scheduler_flags[] = {
        "SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM",        "SCHED_FLAG_DL_OVERRUN",     "SCHED_FLAG_KEEP_POLICY",
        "SCHED_FLAG_KEEP_PARAMS",   "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX",
};

static int index_of(const char *const *names, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(names[i], name) == 0)
                        return (int) i;
        return -1;
}

/* sched(7): runtime <= deadline <= period, each of 1024 to 2^63 - 1 nanoseconds; a period of 0 is the deadline. */
static int check_deadline(const struct jv *v, const struct oci_scheduler *s, spawn_error *e)
{
        const struct {
                const char *name;
                uint64_t value;
                bool needed;
        } times[] = {
                {"runtime", s->runtime, true},
                {"deadline", s->deadline, true},
                {"period", s->period, false},
        };
        struct jv at;

        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                at = jv_key(v, times[i].name);
                if (at.obj == NULL && times[i].needed)
                        return jv_err(&at, e, "sched_setattr: `SCHED_DEADLINE` requires `%s`", times[i].name);
                if (times[i].value == 0 && times[i].needed)
                        return jv_err(&at, e, "sched_setattr: `SCHED_DEADLINE` %s must be greater than 0",
                                      times[i].name);
        }
        for (size_t i = 0; i + 1 < ELEMENTSOF(times); i++) {
                at = jv_key(v, times[i].name);
                if (times[i + 1].value != 0 && times[i].value > times[i + 1].value)
                        return jv_err(&at, e,
                                      "sched_setattr: `SCHED_DEADLINE` %s (%" PRIu64 ") must be <= %s (%" PRIu64 ")",
                                      times[i].name, times[i].value, times[i + 1].name, times[i + 1].value);
        }
        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                at = jv_key(v, times[i].name);
                if (times[i].value != 0 && (times[i].value < 1024 || times[i].value > INT64_MAX))
                        return jv_err(&at, e,
                                      "sched_setattr: `SCHED_DEADLINE` %s (%" PRIu64
                                      ") must be between 1024 and %" PRId64,
                                      times[i].name, times[i].value, INT64_MAX);
        }
        return 0;
}

/* A value that the policy has no use for is a mistake, and the kernel's EINVAL would not say which. */
static int check_policy(const struct jv *v, const struct oci_scheduler *s, spawn_error *e)
{
        static const char *const times[] = {"runtime", "deadline", "period"};
        struct jv priority = jv_key(v, "priority"), policy = jv_key(v, "policy");

        if (s->number == ISO)
                return jv_err(&policy, e, "SCHED_ISO is reserved, no kernel has it");
        if (s->number == FIFO || s->number == RR) {
                if (s->priority < 1 || s->priority > 99)
                        return jv_err(&priority, e, "must be between 1 and 99 for %s", s->policy);
        } else if (s->priority != 0) {
                return jv_err(&priority, e, "must be 0 for %s", s->policy);
        }
        if (s->number == DEADLINE)
                return check_deadline(v, s, e);
        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                struct jv at = jv_key(v, times[i]);

                if (at.obj != NULL && json_object_get_int64(at.obj) != 0)
                        return jv_err(&at, e, "only SCHED_DEADLINE has one, the policy is %s", s->policy);
        }
        return 0;
}

int config_scheduler(const struct jv *process, struct oci_scheduler *ret, spawn_error *e)
{
        struct jv v, policy, list;
        int64_t nice = 0, priority = 0;
        size_t n;
        int r = jv_obj(process, "scheduler", &v, e);

        if (r <= 0)
                return r;
        policy = jv_key(&v, "policy");
        if ((r = jv_as_str(&policy, &ret->policy, e)) < 0)
                return r;
        if (r == 0)
                return jv_err(&policy, e, "missing");
        ret->number = index_of(policies, ELEMENTSOF(policies), ret->policy);
        if (ret->number < 0)
                return jv_err(&policy, e, "unknown policy \"%s\"", ret->policy);
        if ((r = jv_int(&v, "nice", -20, 19, &nice, e)) < 0 || (r = jv_int(&v, "priority", 0, 99, &priority, e)) < 0)
                return r;
        ret->nice = (int32_t) nice;
        ret->priority = (uint32_t) priority;
        if ((r = jv_u64(&v, "runtime", &ret->runtime, e)) < 0 || (r = jv_u64(&v, "deadline", &ret->deadline, e)) < 0 ||
            (r = jv_u64(&v, "period", &ret->period, e)) < 0)
                return r;
        if ((r = jv_array(&v, "flags", &list, &n, e)) < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i);
                const char *name = "";
                int bit;

                if ((r = jv_as_str(&item, &name, e)) < 0)
                        return r;
                bit = index_of(scheduler_flags, ELEMENTSOF(scheduler_flags), name);
                if (bit < 0)
                        return jv_err(&item, e, "unknown flag \"%s\"", name);
                ret->flags |= UINT64_C(1) << bit;
        }
        return check_policy(&v, ret, e);
}

int config_io_priority(const struct jv *process, struct oci_process *ret, spawn_error *e)
{
        static const char *const classes[] = {"", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"};
        struct jv io, cls;
        const char *name = "";
        int r;

        ret->io_class = -1;
        r = jv_obj(process, "ioPriority", &io, e);
        if (r <= 0)
                return r;
        cls = jv_key(&io, "class");
        if ((r = jv_as_str(&cls, &name, e)) < 0)
                return r;
        if (r == 0)
                return jv_err(&cls, e, "missing");
        if ((r = jv_int(&io, "priority", 0, 7, &ret->io_priority, e)) < 0)
                return r;
        ret->io_class = name[0] == '\0' ? -1 : index_of(classes, ELEMENTSOF(classes), name);
        return ret->io_class < 0 ? jv_err(&cls, e, "unknown class \"%s\"", name) : 0;
}

/* A number below max; *p is left behind it. */
static bool take_number(const char **p, unsigned long max, unsigned long *ret)
{
        unsigned long n = 0;

        if (**p < '0' || **p > '9')
                return false;
        for (; **p >= '0' && **p <= '9'; (*p)++) {
                n = n * 10 + (unsigned long) (**p - '0');
                if (n >= max)
                        return false;
        }
        *ret = n;
        return true;
}

/* The kernel's list format, cpuset(7): "0-3,7", with spaces as the schema allows them. */
static int parse_list(const struct jv *v, const char *text, unsigned long max, struct arena *a, struct bit_list *ret,
                      spawn_error *e)
{
        static const size_t word = sizeof(unsigned long) * CHAR_BIT;
        const char *p = text + strspn(text, " ,");

        if (*p == '\0')
                return 0;
        ret->bytes = (max + word - 1) / word * sizeof(unsigned long);
        ret->v = arena_alloc(a, ret->bytes / sizeof(unsigned long), sizeof(unsigned long));
        if (ret->v == NULL)
                return jv_no_memory(v, e);
        while (*p != '\0') {
                unsigned long first, last;

                if (!take_number(&p, max, &first))
                        return jv_err(v, e, "\"%s\" is not a list of numbers below %lu such as \"0-3,7\"", text, max);
                last = first;
                if (*p == '-') {
                        p++;
                        if (!take_number(&p, max, &last) || last < first)
                                return jv_err(v, e, "\"%s\" is not a list of numbers below %lu such as \"0-3,7\"", text,
                                              max);
                }
                if (*p != '\0' && *p != ',' && *p != ' ')
                        return jv_err(v, e, "\"%s\" is not a list of numbers below %lu such as \"0-3,7\"", text, max);
                for (unsigned long i = first; i <= last; i++)
                        ret->v[i / word] |= 1UL << i % word;
                p += strspn(p, " ,");
        }
        return 0;
}

int config_affinity(const struct jv *process, struct arena *a, struct oci_process *ret, spawn_error *e)
{
        static const unsigned long cpus_max = 8192; /* CONFIG_NR_CPUS at its largest */
        const struct {
                const char *key;
                struct bit_list *list;
        } both[] = {{"initial", &ret->cpus_initial}, {"final", &ret->cpus_final}};
        struct jv v;
        int r = jv_obj(process, "execCPUAffinity", &v, e);

        for (size_t i = 0; r > 0 && i < ELEMENTSOF(both); i++) {
                struct jv at = jv_key(&v, both[i].key);
                const char *text = "";

                if ((r = jv_as_str(&at, &text, e)) < 0 || (r = parse_list(&at, text, cpus_max, a, both[i].list, e)) < 0)
                        return r;
                r = 1;
        }
        return r < 0 ? r : 0;
}

/* Numbers of the kernel: linux/mempolicy.h, MPOL_*; the flags are bits from 13 on. */
static const char *const modes[] = {
        "MPOL_DEFAULT",        "MPOL_PREFERRED",           "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_LOCAL",
        "MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE",
};
static const char *const flags[] = {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"};

const char *memory_mode_name(size_t i)
{
        return i < ELEMENTSOF(modes) ? modes[i] : NULL;
}

const char *memory_flag_name(size_t i)
{
        return i < ELEMENTSOF(flags) ? flags[i] : NULL;
}

int config_memory_policy(const struct jv *lin, struct arena *a, struct oci_memory_policy *ret, spawn_error *e)
{
        static const unsigned long nodes_max = 1024; /* MAX_NUMNODES at its largest */
        struct jv v, mode, nodes, list;
        const char *text = "";
        size_t n;
        int r = jv_obj(lin, "memoryPolicy", &v, e);

        if (r <= 0)
                return r;
        mode = jv_key(&v, "mode");
        nodes = jv_key(&v, "nodes");
        if ((r = jv_as_str(&mode, &ret->mode, e)) < 0)
                return r;
        if (r == 0)
                return jv_err(&mode, e, "missing");
        ret->number = index_of(modes, ELEMENTSOF(modes), ret->mode);
        if (ret->number < 0)
                return jv_err(&mode, e, "unknown mode \"%s\"", ret->mode);
        if ((r = jv_array(&v, "flags", &list, &n, e)) < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i);
                const char *name = "";
                int bit;

                if ((r = jv_as_str(&item, &name, e)) < 0)
                        return r;
                bit = index_of(flags, ELEMENTSOF(flags), name);
                if (bit < 0)
                        return jv_err(&item, e, "unknown flag \"%s\"", name);
                ret->number |= 1 << (13 + bit);
        }
        if ((r = jv_as_str(&nodes, &text, e)) < 0)
                return r;
        return parse_list(&nodes, text, nodes_max, a, &ret->nodes, e);
}
