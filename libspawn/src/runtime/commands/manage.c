/* state, ps, pause, resume. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"
#include "cmd.h"
#include "fail.h"
#include "processes.h"
#include "util.h"

int cmd_load(const struct runtime *rt, const char *id, struct state *s, enum status *ret, spawn_error *e)
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
        r = cmd_load(rt, argv[1], &s, &status, e);
        /* As crun and runc: who asks until there is an answer is told once the container can be started. */
        if (r == 0 && status == STATUS_CREATING)
                r = spawn_err(e, EBUSY, "state", "container `%s` is being created", argv[1]);
        if (r == 0) {
                _cleanup_free_ char *text =
                        state_oci_json(&s, status_name(status), status == STATUS_STOPPED ? 0 : s.pid, true);

                (void) puts(text != NULL ? text : "{}");
        }
        state_free(&s);
        return r;
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
        const struct option_def table[] = {{"format", 'f', OPT_STRING, &format, "table or json", "FORMAT"}, {NULL}};
        enum status status;
        struct state s;
        int n, r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
                return fail_text(e, "usage", "unknown format `%s`: table or json", format);
        r = cmd_load(rt, argv[1], &s, &status, e);
        if (r == 0) {
                if (strcmp(format, "json") == 0)
                        list = json_object_new_array();
                else
                        (void) puts("PID");
                r = processes_each(&s, status, print_pid, list);
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
        int r = cmd_load(rt, id, s, status, e);

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
