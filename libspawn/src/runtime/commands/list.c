/* list. */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "fail.h"
#include "util.h"

enum form { FORM_TABLE, FORM_JSON, FORM_IDS };

struct listing {
        const struct runtime *rt;
        enum form form;
        int width; /* of the names */
        bool measuring; /* a first round that only looks how long names are */
        struct json_object *rows;
};

static int list_one(const char *id, void *arg)
{
        struct listing *l = arg;
        enum status status;
        struct state s;

        if (l->measuring) {
                if ((int) strlen(id) >= l->width)
                        l->width = (int) strlen(id) + 1;
                return 0;
        }
        /* A damaged record is nobody else's problem. */
        if (cmd_load(l->rt, id, &s, &status, NULL) == 0) {
                int pid = status == STATUS_STOPPED ? 0 : (int) s.pid;

                if (l->form == FORM_JSON) {
                        _cleanup_free_ char *text = state_oci_json(&s, status_name(status), pid, false);

                        json_object_array_add(l->rows, text != NULL ? json_tokener_parse(text) : NULL);
                } else if (l->form == FORM_IDS) {
                        (void) puts(s.id);
                } else {
                        printf("%-*s%-10d%-8s %-39s %-30s %s\n", l->width, s.id, pid, status_name(status), s.bundle,
                               s.created != NULL ? s.created : "", s.owner != NULL ? s.owner : "");
                }
        }
        state_free(&s);
        return 0;
}

CMD(cmd_list)
{
        _cleanup_json_ struct json_object *rows = json_object_new_array();
        struct listing l = {.rt = rt, .width = 5, .rows = rows};
        const char *format = "table";
        bool quiet = false;
        const struct option_def table[] = {
                {"quiet", 'q', OPT_FLAG, &quiet, "ids only"},
                {"format", 'f', OPT_STRING, &format, "table (default) or json", "FORMAT"},
                {NULL},
        };
        int n, r = cmd_parse(cmd, table, argc, argv, false, 0, 0, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
                return fail_text(e, "usage", "unknown format `%s`: table or json", format);
        l.form = quiet ? FORM_IDS : format[0] == 'j' ? FORM_JSON : FORM_TABLE;
        if (l.form == FORM_TABLE) {
                l.measuring = true;
                r = state_each(rt, list_one, &l, e);
                if (r < 0)
                        return r;
                l.measuring = false;
                printf("%-*s%-10s%-8s %-39s %-30s %s\n", l.width, "NAME", "PID", "STATUS", "BUNDLE PATH", "CREATED",
                       "OWNER");
        }
        r = state_each(rt, list_one, &l, e);
        if (r == 0 && l.form == FORM_JSON)
                (void) puts(
                        json_object_to_json_string_ext(rows, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
        return r;
}
