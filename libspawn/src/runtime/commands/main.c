/* podlike-spawn: an OCI runtime. Options, table of commands, errors to stderr and to the log file. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "config.h"
#include "fail.h"
#include "io.h"
#include "log.h"
#include "protect.h"
#include "util.h"

const struct command commands[] = {
        {"checkpoint", "checkpoint [OPTION]... ID", "save a running container to disk and stop it, with CRIU",
         cmd_checkpoint, false},
        {"create", "create [OPTION]... ID", "make a container from a bundle, up to its program", cmd_create, true},
        {"delete", "delete [OPTION]... ID", "remove a stopped container", cmd_delete, false},
        {"events", "events [OPTION]... ID", "print statistics and out-of-memory events, as JSON", cmd_events, false},
        {"exec", "exec [OPTION]... ID [COMMAND [ARGUMENT]...]", "run a further process in a container", cmd_exec, true},
        {"features", "features", "print what is supported, as JSON", cmd_features, false},
        {"kill", "kill [OPTION]... ID [SIGNAL]", "send a signal (TERM) to a container", cmd_kill, false},
        {"list", "list [OPTION]...", "print the containers", cmd_list, false},
        {"mounts", "mounts add|remove ID FILE", "mount in a running container what FILE says, or unmount it",
         cmd_mounts, true},
        {"pause", "pause ID", "freeze all processes of a container", cmd_pause, false},
        {"ps", "ps [OPTION]... ID", "print the processes of a container", cmd_ps, false},
        {"restore", "restore [OPTION]... ID", "make a container from what checkpoint has saved, with CRIU", cmd_restore,
         false},
        {"resume", "resume ID", "thaw a paused container", cmd_resume, false},
        {"run", "run [OPTION]... ID", "create, start and await a container", cmd_run, true},
        {"spec", "spec [OPTION]...", "write an example config.json", cmd_spec, false},
        {"start", "start ID", "let a created container run its program", cmd_start, false},
        {"state", "state ID", "print the state of a container, as JSON", cmd_state, false},
        {"update", "update [OPTION]... ID", "change the limits of a container", cmd_update, false},
        {NULL},
};

struct globals {
        struct runtime rt;
        struct log log;
        const char *root, *log_to, *log_format, *log_level, *manager, *rootless;
        bool debug, systemd, version, help;
};

static const struct option_def *global_options(struct globals *g)
{
        static struct option_def table[13];
        const struct option_def init[] = {
                {"root", 0, OPT_STRING, &g->root, "directory for the state of containers", "DIR"},
                {"log", 0, OPT_STRING, &g->log_to, "where to log: [file:]PATH, journald:NAME or syslog:NAME", "TARGET"},
                {"log-format", 0, OPT_STRING, &g->log_format, "text (default) or json", "FORMAT"},
                {"log-level", 0, OPT_STRING, &g->log_level, "error, warning (default) or debug", "LEVEL"},
                {"debug", 0, OPT_FLAG, &g->debug, "the same as --log-level debug"},
                {"cgroup-manager", 0, OPT_STRING, &g->manager, "cgroupfs, systemd or disabled", "MANAGER"},
                {"systemd-cgroup", 0, OPT_FLAG, &g->systemd, "the same as --cgroup-manager systemd"},
                {"rootless", 0, OPT_STRING, &g->rootless, "true, false or auto (default)", "BOOL"},
                {"criu", 0, OPT_STRING, &g->rt.criu, "the CRIU program, for checkpoint and restore", "PATH"},
                {"version", 'v', OPT_FLAG, &g->version, "print the version"},
                {"version", 'V', OPT_FLAG, &g->version, NULL},
                {"help", 'h', OPT_FLAG, &g->help, "print this"},
                {NULL},
        };

        memcpy(table, init, sizeof(init));
        return table;
}

int cmd_parse(const struct command *cmd, const struct option_def *table, int argc, char **argv, bool in_order, int min,
              int max, int *ret_n, spawn_error *e)
{
        int r = args_parse(table, argc, argv, in_order, ret_n, e);

        if (r > 0) {
                printf("Usage: podlike-spawn %s\n\n%s.\n", cmd->usage, cmd->summary);
                if (table->name != NULL)
                        (void) puts("");
                args_help(table);
                return 1;
        }
        if (r == 0 && (*ret_n < min || (max >= 0 && *ret_n > max)))
                return fail_text(e, "usage", "usage: podlike-spawn %s", cmd->usage);
        return r;
}

static void print_help(const struct option_def *table)
{
        (void) puts(
                "Usage: podlike-spawn [OPTION]... COMMAND [ARGUMENT]...\n\nRuns containers from OCI bundles.\n\nCommands:");
        for (const struct command *c = commands; c->name != NULL; c++)
                printf("  %-10s %s\n", c->name, c->summary);
        (void) puts("\nOptions:");
        args_help(table);
}

static int choose_root(struct globals *g, spawn_error *e)
{
        const char *run = getenv("XDG_RUNTIME_DIR");
        char *to = g->rt.root;
        size_t size = sizeof(g->rt.root);
        int n;

        if (g->root != NULL)
                n = snprintf(to, size, "%s", g->root);
        else if (g->rt.rootless && run != NULL && run[0] != '\0')
                n = snprintf(to, size, "%s/podlike-spawn", run);
        else if (g->rt.rootless)
                n = snprintf(to, size, "/tmp/podlike-spawn-%u", (unsigned int) geteuid());
        else
                n = snprintf(to, size, "/run/podlike-spawn");
        /* Commands change directory. */
        if (n > 0 && (size_t) n < size && to[0] != '/') {
                char cwd[PATH_MAX], copy[PATH_MAX];

                (void) snprintf(copy, sizeof(copy), "%s", to);
                if (getcwd(cwd, sizeof(cwd)) == NULL)
                        return fail_errno(e, "usage", "getcwd");
                n = snprintf(to, size, "%s/%s", cwd, copy);
        }
        return n < 0 || (size_t) n >= size ? fail_text(e, "usage", "the path of --root is too long") : 0;
}

static int settle(struct globals *g, spawn_error *e)
{
        const char *r = g->rootless != NULL ? g->rootless : "auto";

        if (strcmp(r, "auto") == 0)
                g->rt.rootless = geteuid() != 0 || in_user_namespace();
        else if (strcmp(r, "true") == 0 || strcmp(r, "false") == 0)
                g->rt.rootless = r[0] == 't';
        else
                return fail_text(e, "usage", "option --rootless is true, false or auto, not `%s`", r);
        if (log_parse(&g->log, g->log_to, g->log_format, g->debug ? "debug" : g->log_level, e) < 0)
                return -EINVAL;
        if (g->systemd)
                g->rt.cgroups = CGROUPS_SYSTEMD;
        if (g->manager == NULL)
                return choose_root(g, e);
        if (strcmp(g->manager, "cgroupfs") == 0)
                g->rt.cgroups = CGROUPS_FILES;
        else if (strcmp(g->manager, "systemd") == 0)
                g->rt.cgroups = CGROUPS_SYSTEMD;
        else if (strcmp(g->manager, "disabled") == 0)
                g->rt.cgroups = CGROUPS_DISABLED;
        else
                return fail_text(e, "usage", "unknown cgroup manager `%s`: cgroupfs, systemd or disabled", g->manager);
        return choose_root(g, e);
}

static int unknown_command(const char *word, spawn_error *e)
{
        unsigned int best = UINT_MAX;
        const char *nearest = NULL;

        for (const struct command *c = commands; c->name != NULL; c++)
                if (args_nearer(word, c->name, &best))
                        nearest = c->name;
        return nearest != NULL ? fail_text(e, "usage", "unknown command `%s`, did you mean `%s`?", word, nearest)
                               : fail_text(e, "usage", "unknown command `%s`, see podlike-spawn --help", word);
}

static void tell_command(const struct runtime *rt, const struct command *c)
{
        static const char *const managers[] = {"cgroupfs", "systemd", "disabled"};

        log_debug(rt->log, "podlike-spawn %s, %s: root `%s`, cgroup manager %s, %s", PODLIKE_VERSION, c->name, rt->root,
                  managers[rt->cgroups], rt->rootless ? "rootless" : "with root's rights");
}

/* The lines that crun has, which engines show and scripts search: where the state is, and what is built in. */
static void print_version(const struct globals *g)
{
        printf("podlike-spawn version %s\nrundir: %s\nspec: %s\n", PODLIKE_VERSION, g->rt.root, OCI_VERSION);
        (void) puts("+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF +CRIU +JSON_C");
}

static int run(struct globals *g, int argc, char **argv, spawn_error *e)
{
        const struct option_def *table = global_options(g);
        _cleanup_free_ char **again = calloc((size_t) argc + 1, sizeof(*again));
        int n, r;

        if (again == NULL)
                return spawn_err(e, ENOMEM, "main", "out of memory");
        memcpy(again, argv, (size_t) argc * sizeof(*again)); /* parsing moves words */
        r = args_parse(table, argc, argv, true, &n, e);
        if (r < 0)
                return r;
        if (!g->version && (g->help || n == 0)) {
                print_help(table);
                return g->help ? 0 : fail_text(e, "usage", "give a command");
        }
        r = settle(g, e);
        if (r < 0)
                return r;
        if (g->version) {
                print_version(g);
                return 0;
        }
        for (const struct command *c = commands; c->name != NULL; c++) {
                if (strcmp(c->name, argv[1]) != 0)
                        continue;
                if ((c->protect && (r = protect_self(again, e)) < 0) || (r = log_open(&g->log, e)) < 0)
                        return r;
                tell_command(&g->rt, c);
                return c->run(&g->rt, c, n, argv + 1, e);
        }
        return unknown_command(argv[1], e);
}

static int exit_code(const spawn_error *e, const char *stage)
{
        /* As a shell: the program is missing, or cannot be run. Everything else is ours. */
        if (strcmp(stage, "executable") == 0 || strcmp(stage, "exec") == 0)
                return e->code == ENOENT ? 127 : 126;
        return 1;
}

int main(int argc, char **argv)
{
        static struct globals g;
        spawn_error e = {0};
        int r;

        g.rt.log = &g.log;
        g.log.fd = -1;
        r = run(&g, argc, argv, &e);

        if (r >= 0 && fflush(stdout) != 0)
                r = fail_errno(&e, "output", "write to the standard output");
        if (r >= 0)
                return r;
        if (e.text[0] == '\0')
                (void) fail_code(&e, -r, "main", "podlike-spawn");
        (void) fflush(stdout);
        (void) log_open(&g.log, NULL); /* it is not open yet when the words of the command line are to blame */
        log_write(&g.log, LEVEL_ERROR, "%s", e.text);
        return exit_code(&e, e.stage);
}
