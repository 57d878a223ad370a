/* podlike-spawn: an OCI runtime. Options, table of commands, errors to stderr and to the log file. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cmd.h"
#include "config.h"
#include "fail.h"
#include "io.h"
#include "protect.h"
#include "util.h"

const struct command commands[] = {
        {"create", "create [OPTION]... ID", "make a container from a bundle, up to its program", cmd_create, true},
        {"delete", "delete [--force] ID", "remove a stopped container", cmd_delete, false},
        {"events", "events [OPTION]... ID", "print statistics and out-of-memory events, as JSON", cmd_events, false},
        {"exec", "exec [OPTION]... ID [COMMAND [ARGUMENT]...]", "run a further process in a container", cmd_exec, true},
        {"features", "features", "print what is supported, as JSON", cmd_features, false},
        {"kill", "kill [--all] ID [SIGNAL]", "send a signal (TERM) to a container", cmd_kill, false},
        {"list", "list [OPTION]...", "print the containers", cmd_list, false},
        {"pause", "pause ID", "freeze all processes of a container", cmd_pause, false},
        {"ps", "ps [OPTION]... ID", "print the processes of a container", cmd_ps, false},
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
        const char *root, *log, *log_format, *log_level, *manager, *rootless;
        bool systemd, version, help;
};

static const struct option_def *global_options(struct globals *g)
{
        static struct option_def table[12];
        const struct option_def init[] = {
                {"root", 0, OPT_STRING, &g->root, "directory for the state of containers"},
                {"log", 0, OPT_STRING, &g->log, "write errors to this file too"},
                {"log-format", 0, OPT_STRING, &g->log_format, "of that file: text or json"},
                {"log-level", 0, OPT_STRING, &g->log_level, "error, warning or debug"},
                {"debug", 0, OPT_FLAG, &g->rt.debug, "the same as --log-level debug"},
                {"cgroup-manager", 0, OPT_STRING, &g->manager, "cgroupfs, systemd or disabled"},
                {"systemd-cgroup", 0, OPT_FLAG, &g->systemd, "the same as --cgroup-manager systemd"},
                {"rootless", 0, OPT_STRING, &g->rootless, "true, false or auto"},
                {"version", 'v', OPT_FLAG, &g->version, "print the version"},
                {"help", 'h', OPT_FLAG, &g->help, "print this"},
                {NULL},
        };

        memcpy(table, init, sizeof(init));
        return table;
}

int cmd_parse(const struct command *cmd, const struct option_def *table, int argc, char **argv, bool in_order, int min,
              int max, int *ret_n, spawn_error *e)
{
        int r;

        if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
                printf("Usage: podlike-spawn %s\n\n%s.\n", cmd->usage, cmd->summary);
                if (table->name != NULL)
                        (void) puts("");
                args_help(table);
                return 1;
        }
        r = args_parse(table, argc, argv, in_order, ret_n, e);
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

/* {"msg": ..., "level": ..., "time": ...}, the form that podman and our monitor read. */
static void log_error(const struct globals *g, const char *text)
{
        const char *path = g->log;
        char stamp[40];
        struct timespec now;
        struct tm tm;

        if (path == NULL || strncmp(path, "journald:", 9) == 0 || strncmp(path, "syslog:", 7) == 0)
                return;
        if (strncmp(path, "file:", 5) == 0)
                path += 5;
        _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
                return;
        (void) clock_gettime(CLOCK_REALTIME, &now);
        (void) gmtime_r(&now.tv_sec, &tm);
        (void) strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        if (g->log_format != NULL && strcmp(g->log_format, "json") == 0) {
                _cleanup_json_ struct json_object *msg = json_object_new_string(text);

                (void) dprintf(fd, "{\"msg\":%s,\"level\":\"error\",\"time\":\"%s.%09ldZ\"}\n",
                               json_object_to_json_string_ext(msg, JSON_C_TO_STRING_NOSLASHESCAPE), stamp, now.tv_nsec);
        } else {
                (void) dprintf(fd, "%s.%09ldZ: %s\n", stamp, now.tv_nsec, text);
        }
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
        if (g->version) {
                printf("podlike-spawn version %s\nspec: %s\n", PODLIKE_VERSION, OCI_VERSION);
                return 0;
        }
        if (g->help || n == 0) {
                print_help(table);
                return g->help ? 0 : fail_text(e, "usage", "give a command");
        }
        r = settle(g, e);
        if (r < 0)
                return r;
        for (const struct command *c = commands; c->name != NULL; c++) {
                if (strcmp(c->name, argv[1]) != 0)
                        continue;
                if (c->protect && (r = protect_self(again, e)) < 0)
                        return r;
                return c->run(&g->rt, c, n, argv + 1, e);
        }
        return fail_text(e, "usage", "unknown command `%s`, see podlike-spawn --help", argv[1]);
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
        int r = run(&g, argc, argv, &e);

        if (r >= 0)
                return fflush(stdout) == 0 ? r : 1;
        if (e.text[0] == '\0')
                (void) fail_code(&e, -r, "main", "podlike-spawn");
        (void) fflush(stdout);
        (void) dprintf(2, "%s\n", e.text);
        log_error(&g, e.text);
        return exit_code(&e, e.stage);
}
