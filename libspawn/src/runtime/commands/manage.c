/* state, kill, delete, list, ps, pause, resume. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cgroup.h"
#include "cmd.h"
#include "fail.h"
#include "util.h"

/* The container of argv[1], its directory and status. */
static int load_one(const struct runtime *rt, const char *id, struct state *s, enum status *ret, spawn_error *e)
{
        int dir = state_load(rt, id, s, e);

        if (dir >= 0) {
                *ret = state_status(dir, s);
                (void) close(dir);
        }
        return dir < 0 ? dir : 0;
}

CMD(cmd_state)
{
        const struct option_def table[] = {{NULL}};
        enum status status;
        struct state s;
        int n, r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        r = load_one(rt, argv[1], &s, &status, e);
        if (r == 0) {
                _cleanup_free_ char *text =
                        state_oci_json(&s, status_name(status), status == STATUS_STOPPED ? 0 : s.pid, true);

                (void) puts(text != NULL ? text : "{}");
        }
        state_free(&s);
        return r;
}

static int parse_signal(const char *text)
{
        static const char *const more[] = {"CLD=CHLD", "IOT=ABRT", "POLL=IO", "UNUSED=SYS"};
        const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
        char *end;
        long n = strtol(text, &end, 10);

        if (text[0] != '\0' && *end == '\0')
                return n >= 0 && n < NSIG ? (int) n : -EINVAL;
        for (int sig = 1; sig < 32; sig++)
                if (sigabbrev_np(sig) != NULL && strcasecmp(sigabbrev_np(sig), name) == 0)
                        return sig;
        for (size_t i = 0; i < ELEMENTSOF(more); i++)
                if (strncasecmp(more[i], name, strlen(name)) == 0 && more[i][strlen(name)] == '=')
                        return parse_signal(more[i] + strlen(name) + 1);
        if (strncasecmp(name, "RTMIN", 5) == 0 || strncasecmp(name, "RTMAX", 5) == 0) {
                bool min = toupper((unsigned char) name[4]) == 'N';

                n = strtol(name + 5, &end, 10);
                n += min ? SIGRTMIN : SIGRTMAX;
                return *end == '\0' && n >= SIGRTMIN && n <= SIGRTMAX ? (int) n : -EINVAL;
        }
        return -EINVAL;
}

CMD(cmd_kill)
{
        const char *regex = NULL;
        bool all = false;
        const struct option_def table[] = {
                {"all", 'a', OPT_FLAG, &all, "signal all processes of the container"},
                {"regex", 'r', OPT_STRING, &regex, NULL},
                {NULL},
        };
        int n, sig = SIGTERM, r = cmd_parse(cmd, table, argc, argv, false, 1, 2, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        if (n > 1)
                sig = parse_signal(argv[2]);
        if (sig < 0)
                return fail_text(e, "kill", "unknown signal `%s`", argv[2]);
        return container_kill(rt, argv[1], sig, all, e);
}

CMD(cmd_delete)
{
        bool force = false;
        const struct option_def table[] = {
                {"force", 'f', OPT_FLAG, &force, "kill it first; no error if it does not exist"},
                {NULL},
        };
        int n, r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);

        return r != 0 ? (r > 0 ? 0 : r) : container_delete(rt, argv[1], force, e);
}

static void list_row(const struct state *s, enum status status, const char *format)
{
        int pid = status == STATUS_STOPPED ? 0 : (int) s->pid;

        if (strcmp(format, "id") == 0)
                (void) puts(s->id);
        else
                printf("%-24s %-9d %-8s %-39s %-30s %s\n", s->id, pid, status_name(status), s->bundle,
                       s->created != NULL ? s->created : "", s->owner != NULL ? s->owner : "");
}

CMD(cmd_list)
{
        _cleanup_json_ struct json_object *all = json_object_new_array();
        const char *format = "table";
        bool quiet = false;
        const struct option_def table[] = {
                {"quiet", 'q', OPT_FLAG, &quiet, "ids only"},
                {"format", 'f', OPT_STRING, &format, "table or json"},
                {NULL},
        };
        const struct dirent *de;
        int n, r = cmd_parse(cmd, table, argc, argv, false, 0, 0, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
                return fail_text(e, "usage", "unknown format `%s`: table or json", format);
        if (strcmp(format, "table") == 0 && !quiet)
                printf("%-24s %-9s %-8s %-39s %-30s %s\n", "NAME", "PID", "STATUS", "BUNDLE PATH", "CREATED", "OWNER");
        DIR *dir = opendir(rt->root);
        while (dir != NULL && (de = readdir(dir)) != NULL) {
                enum status status;
                struct state s;

                if (de->d_name[0] == '.')
                        continue;
                /* A damaged record is nobody else's problem. */
                if (load_one(rt, de->d_name, &s, &status, NULL) == 0) {
                        _cleanup_free_ char *text =
                                state_oci_json(&s, status_name(status), status == STATUS_STOPPED ? 0 : s.pid, false);

                        if (strcmp(format, "json") == 0 && !quiet)
                                json_object_array_add(all, json_tokener_parse(text));
                        else
                                list_row(&s, status, quiet ? "id" : "table");
                }
                state_free(&s);
        }
        if (dir != NULL)
                (void) closedir(dir);
        if (strcmp(format, "json") == 0 && !quiet)
                (void) puts(
                        json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
        return 0;
}

static int print_pid(pid_t pid, void *arg)
{
        struct json_object *list = arg;

        if (list != NULL)
                json_object_array_add(list, json_object_new_int(pid));
        else
                printf("%d\n", (int) pid);
        return 0;
}

CMD(cmd_ps)
{
        _cleanup_json_ struct json_object *list = NULL;
        const char *format = "table";
        const struct option_def table[] = {{"format", 'f', OPT_STRING, &format, "table or json"}, {NULL}};
        enum status status;
        struct state s;
        int n, r = cmd_parse(cmd, table, argc, argv, true, 1, -1, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
                return fail_text(e, "usage", "unknown format `%s`: table or json", format);
        r = load_one(rt, argv[1], &s, &status, e);
        if (r == 0) {
                if (strcmp(format, "json") == 0)
                        list = json_object_new_array();
                else
                        (void) puts("PID");
                if (s.cgroup != NULL)
                        r = cgroup_each_pid(s.cgroup, print_pid, list);
                else if (status != STATUS_STOPPED)
                        r = print_pid(s.pid, list);
                if (r < 0)
                        (void) fail_code(e, r, "ps", "list the processes of container `%s`", argv[1]);
                else if (list != NULL)
                        (void) puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY));
        }
        state_free(&s);
        return r;
}

/* A container with a cgroup of its own, which freezing and limits need. */
static int with_cgroup(const struct runtime *rt, const char *id, struct state *s, enum status *status, spawn_error *e)
{
        int r = load_one(rt, id, s, status, e);

        if (r == 0 && s->cgroup == NULL)
                return fail_text(e, "cgroup", "container `%s` has no cgroup of its own", id);
        return r;
}

static int freeze(const struct runtime *rt, const struct command *cmd, int argc, char **argv, bool on, spawn_error *e)
{
        const struct option_def table[] = {{NULL}};
        enum status status, want = on ? STATUS_RUNNING : STATUS_PAUSED;
        struct state s = {0};
        int n, r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        r = with_cgroup(rt, argv[1], &s, &status, e);
        if (r == 0 && status != want && !(on && status == STATUS_CREATED))
                r = fail_text(e, "cgroup", "cannot %s container `%s`: it is %s", cmd->name, argv[1],
                              status_name(status));
        if (r == 0)
                r = cgroup_freeze(s.cgroup, on, e);
        state_free(&s);
        return r;
}

CMD(cmd_pause)
{
        return freeze(rt, cmd, argc, argv, true, e);
}

CMD(cmd_resume)
{
        return freeze(rt, cmd, argc, argv, false, e);
}
