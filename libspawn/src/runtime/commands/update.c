/* update. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"
#include "cmd.h"
#include "fail.h"
#include "util.h"

/* An option and its place in linux.resources. */
struct limit {
        const char *section, *key, *value;
        enum { LIMIT_NUMBER, LIMIT_BYTES, LIMIT_TEXT } kind;
        const char *option;
};

/* "100m": a number with an optional suffix of memory sizes. */
static int parse_number(const struct limit *l, int64_t *ret, spawn_error *e)
{
        static const char suffixes[] = "bkmgt";
        const char *suffix;
        int64_t factor = 1;
        char *end;

        errno = 0;
        *ret = strtoll(l->value, &end, 10);
        suffix = *end == '\0' || l->kind != LIMIT_BYTES ? NULL : strchr(suffixes, tolower((unsigned char) *end));
        for (ptrdiff_t i = suffix != NULL ? suffix - suffixes : 0; i > 0; i--)
                factor *= 1024;
        if (suffix != NULL)
                end++;
        if (errno != 0 || isspace((unsigned char) l->value[0]) || end == l->value || *end != '\0' ||
            __builtin_mul_overflow(*ret, factor, ret))
                return fail_text(e, "usage", "option --%s needs a %s, not `%s`", l->option,
                                 l->kind == LIMIT_BYTES ? "size such as 104857600 or 100m" : "number", l->value);
        return 0;
}

static int add_limit(struct json_object *doc, const struct limit *l, spawn_error *e)
{
        struct json_object *section = NULL;
        int64_t n = 0;
        int r = l->kind == LIMIT_TEXT ? 0 : parse_number(l, &n, e);

        if (r < 0)
                return r;
        if (!json_object_object_get_ex(doc, l->section, &section)) {
                section = json_object_new_object();
                json_object_object_add(doc, l->section, section);
        }
        json_object_object_add(section, l->key,
                               l->kind == LIMIT_TEXT ? json_object_new_string(l->value) : json_object_new_int64(n));
        return 0;
}

static int read_resources(const char *file, struct json_object **ret, spawn_error *e)
{
        const char *path = strcmp(file, "-") == 0 ? "/dev/stdin" : file;

        return jv_parse_file(AT_FDCWD, path, strcmp(file, "-") == 0 ? "stdin" : file, ret, NULL, NULL, e);
}

static int update(const struct runtime *rt, const char *id, struct json_object *doc, spawn_error *e)
{
        struct state s = {0};
        int r;

        _cleanup_close_ int dir = state_load(rt, id, &s, e);
        if (dir < 0)
                r = dir;
        else if (state_status(dir, &s) == STATUS_STOPPED)
                r = fail_text(e, "cgroup", "cannot update container `%s`: it is stopped", id);
        else if (s.cgroup == NULL)
                r = fail_text(e, "cgroup", "cannot update container `%s`: it has no cgroup of its own", id);
        else
                r = cgroup_update(rt, &s, doc, e);
        state_free(&s);
        return r;
}

CMD(cmd_update)
{
        enum {
                BLKIO,
                PERIOD,
                QUOTA,
                BURST,
                SHARE,
                IDLE,
                RT_PERIOD,
                RT_RUNTIME,
                CPUS,
                MEMS,
                KERNEL,
                KERNEL_TCP,
                MEMORY,
                RESERVATION,
                SWAP,
                PIDS,
                LIMITS
        };
        struct limit l[LIMITS] = {
                [BLKIO] = {"blockIO", "weight", NULL, LIMIT_NUMBER, "blkio-weight"},
                [PERIOD] = {"cpu", "period", NULL, LIMIT_NUMBER, "cpu-period"},
                [QUOTA] = {"cpu", "quota", NULL, LIMIT_NUMBER, "cpu-quota"},
                [BURST] = {"cpu", "burst", NULL, LIMIT_NUMBER, "cpu-burst"},
                [SHARE] = {"cpu", "shares", NULL, LIMIT_NUMBER, "cpu-share"},
                [IDLE] = {"cpu", "idle", NULL, LIMIT_NUMBER, "cpu-idle"},
                [RT_PERIOD] = {"cpu", "realtimePeriod", NULL, LIMIT_NUMBER, "cpu-rt-period"},
                [RT_RUNTIME] = {"cpu", "realtimeRuntime", NULL, LIMIT_NUMBER, "cpu-rt-runtime"},
                [CPUS] = {"cpu", "cpus", NULL, LIMIT_TEXT, "cpuset-cpus"},
                [MEMS] = {"cpu", "mems", NULL, LIMIT_TEXT, "cpuset-mems"},
                [KERNEL] = {"memory", "kernel", NULL, LIMIT_BYTES, "kernel-memory"},
                [KERNEL_TCP] = {"memory", "kernelTCP", NULL, LIMIT_BYTES, "kernel-memory-tcp"},
                [MEMORY] = {"memory", "limit", NULL, LIMIT_BYTES, "memory"},
                [RESERVATION] = {"memory", "reservation", NULL, LIMIT_BYTES, "memory-reservation"},
                [SWAP] = {"memory", "swap", NULL, LIMIT_BYTES, "memory-swap"},
                [PIDS] = {"pids", "limit", NULL, LIMIT_NUMBER, "pids-limit"},
        };
        const char *file = NULL, *l3_cache = NULL, *bandwidth = NULL;
        const struct option_def table[] = {
                {"resources", 'r', OPT_STRING, &file, "file with linux.resources as JSON; - is stdin"},
                {"blkio-weight", 0, OPT_STRING, &l[BLKIO].value, "block I/O weight, 10 to 1000"},
                {"cpu-burst", 0, OPT_STRING, &l[BURST].value, "microseconds that a period may exceed its quota by"},
                {"cpu-idle", 0, OPT_STRING, &l[IDLE].value, "1: run only where nothing else wants to"},
                {"cpu-period", 0, OPT_STRING, &l[PERIOD].value, "period of the quota in microseconds"},
                {"cpu-quota", 0, OPT_STRING, &l[QUOTA].value, "microseconds of processor time a period; -1: any"},
                {"cpu-rt-period", 0, OPT_STRING, &l[RT_PERIOD].value, NULL},
                {"cpu-rt-runtime", 0, OPT_STRING, &l[RT_RUNTIME].value, NULL},
                {"cpu-share", 0, OPT_STRING, &l[SHARE].value, "share of processor time, 2 to 262144"},
                {"cpuset-cpus", 0, OPT_STRING, &l[CPUS].value, "processors it may use, such as 0-3,7"},
                {"cpuset-mems", 0, OPT_STRING, &l[MEMS].value, "memory nodes it may use"},
                {"kernel-memory", 0, OPT_STRING, &l[KERNEL].value, NULL},
                {"kernel-memory-tcp", 0, OPT_STRING, &l[KERNEL_TCP].value, NULL},
                {"memory", 0, OPT_STRING, &l[MEMORY].value, "limit in bytes, or with k, m, g; -1: none"},
                {"memory-reservation", 0, OPT_STRING, &l[RESERVATION].value,
                 "memory that is left to it when it gets scarce"},
                {"memory-swap", 0, OPT_STRING, &l[SWAP].value, "limit of memory and swap together; -1: none"},
                {"pids-limit", 0, OPT_STRING, &l[PIDS].value, "how many processes it may have; -1: any number"},
                {"l3-cache-schema", 0, OPT_STRING, &l3_cache, NULL},
                {"mem-bw-schema", 0, OPT_STRING, &bandwidth, NULL},
                {NULL},
        };
        _cleanup_json_ struct json_object *doc = NULL;
        int n, given = 0, r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        if (l3_cache != NULL || bandwidth != NULL)
                return fail_text(e, "usage", "option --%s: Intel RDT is not supported",
                                 l3_cache != NULL ? "l3-cache-schema" : "mem-bw-schema");
        if (file != NULL)
                r = read_resources(file, &doc, e);
        else
                doc = json_object_new_object();
        /* Options go over the file. */
        for (size_t i = 0; r == 0 && i < LIMITS; i++)
                if (l[i].value != NULL) {
                        given++;
                        r = add_limit(doc, &l[i], e);
                }
        if (r == 0 && file == NULL && given == 0)
                return fail_text(e, "usage", "nothing to update: give --resources or a limit, see update --help");
        return r < 0 ? r : update(rt, argv[1], doc, e);
}
