/* kill and delete: one container, or all whose names match. */
#include <ctype.h>
#include <regex.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "cmd.h"
#include "fail.h"
#include "util.h"

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

struct matching {
        const struct runtime *rt;
        regex_t regex;
        int (*act)(const struct runtime *rt, const char *id, int how, spawn_error *e);
        int how;
};

/* What goes wrong with one container is told and does not spare the next. */
static int act_if_matching(const char *id, void *arg)
{
        struct matching *m = arg;
        spawn_error e = {0};

        if (regexec(&m->regex, id, 0, NULL, 0) == 0 && m->act(m->rt, id, m->how, &e) < 0)
                log_warning(m->rt->log, "%s", e.text);
        return 0;
}

static int for_matching(struct matching *m, const char *pattern, spawn_error *e)
{
        char words[128];
        int r = regcomp(&m->regex, pattern, REG_EXTENDED | REG_NOSUB);

        if (r != 0) {
                (void) regerror(r, &m->regex, words, sizeof(words));
                return fail_text(e, "usage", "invalid regular expression `%s`: %s", pattern, words);
        }
        r = state_each(m->rt, act_if_matching, m, e);
        regfree(&m->regex);
        return r;
}

static int kill_one(const struct runtime *rt, const char *id, int how, spawn_error *e)
{
        return container_kill(rt, id, how, false, e);
}

static int kill_all_of_one(const struct runtime *rt, const char *id, int how, spawn_error *e)
{
        return container_kill(rt, id, how, true, e);
}

static int delete_one(const struct runtime *rt, const char *id, int how, spawn_error *e)
{
        return container_delete(rt, id, how != 0, e);
}

CMD(cmd_kill)
{
        struct matching m = {.rt = rt};
        bool all = false, regex = false;
        const struct option_def table[] = {
                {"all", 'a', OPT_FLAG, &all, "signal all processes of the container"},
                {"regex", 'r', OPT_FLAG, &regex, "ID is an extended regular expression: signal all that match"},
                {NULL},
        };
        int n, sig = SIGTERM, r = cmd_parse(cmd, table, argc, argv, false, 1, 2, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        if (n > 1)
                sig = parse_signal(argv[2]);
        if (sig < 0)
                return fail_text(e, "kill", "unknown signal `%s`", argv[2]);
        m.act = all ? kill_all_of_one : kill_one;
        m.how = sig;
        return regex ? for_matching(&m, argv[1], e) : m.act(rt, argv[1], sig, e);
}

CMD(cmd_delete)
{
        struct matching m = {.rt = rt, .act = delete_one};
        bool force = false, regex = false;
        const struct option_def table[] = {
                {"force", 'f', OPT_FLAG, &force, "kill it first; no error if it does not exist"},
                {"regex", 'r', OPT_FLAG, &regex, "ID is an extended regular expression: delete all that match"},
                {NULL},
        };
        int n, r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        m.how = force;
        return regex ? for_matching(&m, argv[1], e) : delete_one(rt, argv[1], force, e);
}
