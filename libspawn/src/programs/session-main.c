/* podlike-session: make the user's session namespaces and hold them.
 *
 *   podlike-session --state FILE --uid-map "IN OUT COUNT ..." --gid-map "..." --newuidmap P --newgidmap P
 *   podlike-session --state FILE --hold
 *
 * The first form forks the holder, which enters a new user and mount namespace; the parent, still outside,
 * gives it its ids through the set-uid helpers newuidmap(1) and newgidmap(1), records "PID STARTTIME" in FILE and
 * answers on stdout: {"pid": N} or {"stage": ..., "errno": N, "text": ...}. --hold makes the caller's own
 * namespaces the held ones (used when the holder was killed but a container still lives in them).
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "fail.h"
#include "idmap.h"
#include "io.h"
#include "util.h"

struct options {
        const char *state;
        const char *uid_map, *gid_map;
        const char *newuidmap, *newgidmap;
        int hold;
};

static void json_string(FILE *f, const char *s)
{
        (void) fputc('"', f);
        for (; *s != '\0'; s++) {
                unsigned char c = (unsigned char) *s;

                if (c == '"' || c == '\\')
                        (void) fprintf(f, "\\%c", c);
                else if (c < 0x20)
                        (void) fprintf(f, "\\u%04x", c);
                else
                        (void) fputc(c, f);
        }
        (void) fputc('"', f);
}

static int answer_error(const spawn_error *e)
{
        printf("{\"stage\": ");
        json_string(stdout, e->stage);
        printf(", \"errno\": %d, \"text\": ", e->code);
        json_string(stdout, e->text);
        printf("}\n");
        return 1;
}

static int parse(int argc, char **argv, struct options *o)
{
        for (int i = 1; i < argc; i++) {
                const char **value = NULL;

                if (strcmp(argv[i], "--hold") == 0) {
                        o->hold = 1;
                        continue;
                }
                if (strcmp(argv[i], "--state") == 0)
                        value = &o->state;
                else if (strcmp(argv[i], "--uid-map") == 0)
                        value = &o->uid_map;
                else if (strcmp(argv[i], "--gid-map") == 0)
                        value = &o->gid_map;
                else if (strcmp(argv[i], "--newuidmap") == 0)
                        value = &o->newuidmap;
                else if (strcmp(argv[i], "--newgidmap") == 0)
                        value = &o->newgidmap;
                if (value == NULL || i + 1 == argc)
                        return -EINVAL;
                *value = argv[++i];
        }
        if (o->state == NULL || (!o->hold && (!o->uid_map || !o->gid_map || !o->newuidmap || !o->newgidmap)))
                return -EINVAL;
        return 0;
}

/* "IN OUT COUNT IN OUT COUNT ..." */
static int parse_map(const char *text, spawn_idmap *ret, size_t *ret_n)
{
        const char *p = text;
        size_t n = 0;

        for (char *end; *p != '\0'; n++) {
                unsigned int *v[] = {&ret[n].inside, &ret[n].outside, &ret[n].count};

                if (n == IDMAP_MAX)
                        return -E2BIG;
                for (size_t k = 0; k < ELEMENTSOF(v); k++, p = end) {
                        unsigned long x = strtoul(p, &end, 10);

                        if (end == p || x > UINT32_MAX || (*end != ' ' && *end != '\0'))
                                return -EINVAL;
                        *v[k] = (unsigned int) x;
                }
                while (*p == ' ')
                        p++;
        }
        *ret_n = n;
        return 0;
}

/* The start time is field 22 of /proc/PID/stat: clock ticks since boot. */
static int write_state(const char *file, pid_t pid, spawn_error *reterr)
{
        unsigned long long started;
        char text[64];
        int n, r = process_stat(pid, &started, NULL);

        if (r == 0) {
                n = snprintf(text, sizeof(text), "%d %llu\n", pid, started);
                r = replace_file_at(AT_FDCWD, file, text, (size_t) n, 0600);
        }
        return r < 0 ? fail_code(reterr, r, "record session", "%s", file) : 0;
}

static int make(const struct options *o, int *ret_pid, spawn_error *reterr)
{
        spawn_idmap uids[IDMAP_MAX], gids[IDMAP_MAX];
        size_t n_uids, n_gids;

        if (o->hold)
                return spawn_session_hold(ret_pid, reterr);
        if (parse_map(o->uid_map, uids, &n_uids) < 0 || parse_map(o->gid_map, gids, &n_gids) < 0)
                return spawn_err(reterr, EINVAL, "map ids", "cannot read the map `%s` or `%s`", o->uid_map, o->gid_map);
        return spawn_session_create(uids, n_uids, gids, n_gids, o->newuidmap, o->newgidmap, ret_pid, reterr);
}

int main(int argc, char **argv)
{
        struct options o = {0};
        spawn_error e = {0};

        if (parse(argc, argv, &o) < 0) {
                (void) fprintf(stderr, "usage: podlike-session --state FILE (--hold | --uid-map M --gid-map M "
                                       "--newuidmap P --newgidmap P)\n");
                return 2;
        }
        (void) prctl(PR_SET_DUMPABLE, 1);
        _cleanup_kill_ pid_t holder = -1;
        if (make(&o, &holder, &e) < 0 || write_state(o.state, holder, &e) < 0)
                return answer_error(&e);
        printf("{\"pid\": %d}\n", steal_pid(&holder));
        return 0;
}
