#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "message.h"

enum kind { FLAG, INT, INT64, STRING, LIST };

struct option_row {
        const char *name;
        char letter;
        enum kind kind;
        size_t offset; /* in struct options */
        const char *help;
};

#define AT(member) offsetof(struct options, member)

static const struct option_row rows[] = {
        {"api-version", 0, FLAG, AT(api_version), "use the current protocol on the sync pipe"},
        {"bundle", 'b', STRING, AT(bundle), "directory of the OCI bundle"},
        {"cid", 'c', STRING, AT(cid), "id of the container"},
        {"conmon-pidfile", 'P', STRING, AT(conmon_pidfile), "file for the monitor's pid"},
        {"container-pidfile", 'p', STRING, AT(container_pidfile),
         "file that the runtime writes the container's pid to"},
        {"cuuid", 'u', STRING, AT(cuuid), "id of what is monitored: container or exec session"},
        {"exec", 'e', FLAG, AT(exec), "run a process in a running container"},
        {"exec-attach", 0, FLAG, AT(exec_attach), "wait for a client to attach before the process runs"},
        {"exec-process-spec", 0, STRING, AT(exec_process_spec), "file with the process to run"},
        {"exit-command", 0, STRING, AT(exit_command), "program to run when the container has ended"},
        {"exit-command-arg", 0, LIST, AT(exit_args), "argument of that program; may be repeated"},
        {"exit-delay", 0, INT, AT(exit_delay), "seconds to wait before it"},
        {"exit-dir", 0, STRING, AT(exit_dir), "directory for a file named by the id that holds the exit code"},
        {"full-attach", 0, FLAG, AT(full_attach), "make the attach socket in the bundle, without a symlink"},
        {"help", 'h', FLAG, AT(help), "print this help"},
        {"leave-stdin-open", 0, FLAG, AT(leave_stdin_open), "keep stdin open when a client closes its side"},
        {"log-allowlist-dir", 0, LIST, AT(log_allowlist_dirs),
         "directory that rotated logs may lie in; may be repeated"},
        {"log-global-size-max", 0, INT64, AT(log_global_size_max), "bytes after which nothing more is logged"},
        {"log-label", 0, LIST, AT(log_labels), "KEY=VALUE to add to journal entries; may be repeated"},
        {"log-level", 0, STRING, AT(log_level), "error, warn, info, debug or trace"},
        {"log-max-files", 0, INT, AT(log_max_files), "rotated logs to keep"},
        {"log-path", 'l', LIST, AT(log_paths), "DRIVER:PATH of a log; may be repeated"},
        {"log-rotate", 0, FLAG, AT(log_rotate), "keep numbered old logs instead of dropping them"},
        {"log-size-max", 0, INT64, AT(log_size_max), "bytes a log file may have"},
        {"log-tag", 0, STRING, AT(log_tag), "tag of journal entries"},
        {"name", 'n', STRING, AT(name), "name of the container"},
        {"no-container-partial-message", 0, FLAG, AT(no_container_partial_message),
         "leave CONTAINER_PARTIAL_MESSAGE out of journal entries"},
        {"no-new-keyring", 0, FLAG, AT(no_new_keyring), "handed to the runtime"},
        {"no-pivot", 0, FLAG, AT(no_pivot), "handed to the runtime"},
        {"no-sync-log", 0, FLAG, AT(no_sync_log), "do not flush the log to disk at the end"},
        {"orders", 0, STRING, AT(orders), "file that says what else is to be done: restarts, health checks"},
        {"persist-dir", '0', STRING, AT(persist_dir), "directory for the files exit and oom"},
        {"pidfile", 0, STRING, AT(container_pidfile), NULL},
        {"replace-listen-pid", 0, FLAG, AT(replace_listen_pid), "always rewrite LISTEN_PID for the runtime"},
        {"restore", 0, STRING, AT(restore), "restore from this checkpoint instead of creating"},
        {"restore-arg", 0, LIST, AT(runtime_opts), NULL},
        {"runtime", 'r', STRING, AT(runtime), "path of the OCI runtime"},
        {"runtime-arg", 0, LIST, AT(runtime_args), "argument for the runtime, before its verb; may be repeated"},
        {"runtime-opt", 0, LIST, AT(runtime_opts), "argument for the runtime's verb; may be repeated"},
        {"sdnotify-socket", 0, STRING, AT(sdnotify_socket), "socket of the service manager to pass readiness on to"},
        {"socket-dir-path", 0, STRING, AT(socket_dir), "directory for the symlink that attach sockets are found by"},
        {"state-file", 0, STRING, AT(state_file), "file to keep what is known of the container in"},
        {"stdin", 'i', FLAG, AT(stdin_open), "give the container a stdin"},
        {"sync", 0, FLAG, AT(sync), "stay in the foreground"},
        {"syslog", 0, FLAG, AT(syslog), "send messages to syslog too"},
        {"systemd-cgroup", 's', FLAG, AT(systemd_cgroup), "handed to the runtime"},
        {"terminal", 't', FLAG, AT(terminal), "give the container a terminal"},
        {"timeout", 'T', INT, AT(timeout), "seconds after which the container is killed"},
        {"version", 0, FLAG, AT(version), "print the version"},
};

#undef AT

static const struct option_row *row_by_name(const char *name, size_t len)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                if (strncmp(rows[i].name, name, len) == 0 && rows[i].name[len] == '\0')
                        return &rows[i];
        return NULL;
}

static const struct option_row *row_by_letter(char letter)
{
        for (size_t i = 0; letter && i < ARRAY_LEN(rows); i++)
                if (rows[i].letter == letter)
                        return &rows[i];
        return NULL;
}

static int strlist_add(struct strlist *list, char *s)
{
        char **v = realloc(list->v, (list->n + 2) * sizeof(*v));

        if (!v)
                return -ENOMEM;
        v[list->n++] = s;
        v[list->n] = NULL;
        list->v = v;
        return 0;
}

static int parse_number(const struct option_row *row, const char *value, void *field, char *reterr, size_t size)
{
        int64_t min = row->kind == INT ? INT_MIN : INT64_MIN, max = row->kind == INT ? INT_MAX : INT64_MAX;
        char *end = NULL;
        long long n;

        errno = 0;
        n = strtoll(value, &end, 0);
        if (*value == '\0' || *end != '\0') {
                (void) snprintf(reterr, size, "Cannot parse integer value \xe2\x80\x9c%s\xe2\x80\x9d for --%s", value,
                                row->name);
                return -EINVAL;
        }
        if (errno == ERANGE || n < min || n > max) {
                (void) snprintf(reterr, size, "Integer value \xe2\x80\x9c%s\xe2\x80\x9d for --%s out of range", value,
                                row->name);
                return -EINVAL;
        }
        if (row->kind == INT)
                *(int *) field = (int) n;
        else
                *(int64_t *) field = n;
        return 0;
}

static int store(struct options *opt, const struct option_row *row, char *value, char *reterr, size_t size)
{
        void *field = (char *) opt + row->offset;

        switch (row->kind) {
        case FLAG:
                *(bool *) field = true;
                return 0;
        case INT:
        case INT64:
                return parse_number(row, value, field, reterr, size);
        case STRING:
                *(char **) field = value;
                return 0;
        case LIST:
                if (strlist_add(field, value) == 0)
                        return 0;
                break;
        }
        (void) snprintf(reterr, size, "out of memory");
        return -ENOMEM;
}

/* The value that follows an option as the next word; NULL with words in reterr when there is none. */
static char *next_word(int argc, char **argv, int *i, const char *dashes, const char *name, char *reterr, size_t size)
{
        if (*i + 1 < argc)
                return argv[++*i];
        (void) snprintf(reterr, size, "Missing argument for %s%s", dashes, name);
        return NULL;
}

static int parse_long(struct options *opt, int argc, char **argv, int *i, char *reterr, size_t size)
{
        char *word = argv[*i] + 2, *value = strchr(word, '=');
        size_t len = value ? (size_t) (value - word) : strlen(word);
        const struct option_row *row = row_by_name(word, len);

        if (!row || (row->kind == FLAG && value && strcmp(row->name, "api-version") != 0)) {
                (void) snprintf(reterr, size, "Unknown option %s", argv[*i]);
                return -EINVAL;
        }
        if (row->kind != FLAG) {
                value = value ? value + 1 : next_word(argc, argv, i, "--", row->name, reterr, size);
                if (!value)
                        return -EINVAL;
        }
        return store(opt, row, value, reterr, size);
}

/* "-it", "-b DIR", "-bDIR": letters until one takes a value, which is the rest of the word or the next one. */
static int parse_short(struct options *opt, int argc, char **argv, int *i, char *reterr, size_t size)
{
        int word = *i;

        for (char *p = argv[word] + 1; *p; p++) {
                const struct option_row *row = row_by_letter(*p);
                char name[2] = {*p, '\0'}, *value = NULL;
                int r;

                if (!row) {
                        (void) snprintf(reterr, size, "Unknown option %s", argv[word]);
                        return -EINVAL;
                }
                if (row->kind != FLAG) {
                        value = p[1] ? p + 1 : next_word(argc, argv, i, "-", name, reterr, size);
                        if (!value)
                                return -EINVAL;
                }
                r = store(opt, row, value, reterr, size);
                if (r < 0 || row->kind != FLAG)
                        return r;
        }
        return 0;
}

int options_parse(struct options *opt, int argc, char **argv, char *reterr, size_t size)
{
        *opt = (struct options){
                .log_max_files = 1, .socket_dir = "/var/run/crio", .log_size_max = -1, .log_global_size_max = -1};
        for (int i = 1; i < argc; i++) {
                int r = 0;

                /* Words that are no options are tolerated: callers pass "--api-version 1". */
                if (argv[i][0] != '-' || argv[i][1] == '\0')
                        continue;
                if (strcmp(argv[i], "--") == 0)
                        break;
                if (argv[i][1] == '-')
                        r = parse_long(opt, argc, argv, &i, reterr, size);
                else
                        r = parse_short(opt, argc, argv, &i, reterr, size);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int refuse(const char *text)
{
        msg_error("%s", text);
        return -EINVAL;
}

static int check_combinations(const struct options *opt)
{
        if (opt->restore && opt->exec)
                return refuse("Cannot use 'exec' and 'restore' at the same time");
        if (!opt->exec && opt->exec_attach)
                return refuse("Attach can only be specified with exec");
        if (!opt->api_version && opt->exec_attach)
                return refuse("Attach can only be specified for a non-legacy exec session");
        if (!opt->cuuid && (!opt->exec || opt->api_version))
                return refuse("Container UUID not provided. Use --cuuid");
        if (!opt->runtime)
                return refuse("Runtime path not provided. Use --runtime");
        if (access(opt->runtime, X_OK) < 0) {
                msg_error("Runtime path %s is not valid: %s", opt->runtime, strerror(errno));
                return -EINVAL;
        }
        if (opt->exec && !opt->exec_process_spec)
                return refuse("Exec process spec path not provided. Use --exec-process-spec");
        if (opt->orders && (opt->exec || opt->restore))
                return refuse("Orders are for containers that are created");
        if (opt->exit_delay < 0)
                return refuse("Delay before invoking exit command must be greater than or equal to 0");
        return 0;
}

/* These two come before messages are set up and so have conmon's other prefix. */
static int check_early(const struct options *opt)
{
        const char *bad = NULL;

        if (opt->log_max_files < 0)
                bad = "log-max-files must be non-negative";
        else if (opt->log_rotate && opt->log_max_files == 0)
                bad = "log-max-files must be at least 1 when log-rotate is enabled";
        if (bad)
                fprintf(stderr, "conmon: %s, got %d\n", bad, opt->log_max_files);
        else if (!opt->cid)
                fprintf(stderr, "conmon: Container ID not provided. Use --cid\n");
        return bad || !opt->cid ? -EINVAL : 0;
}

int options_check(struct options *opt)
{
        _cleanup_free_ char *cwd = NULL;
        int r = check_early(opt);

        if (r < 0)
                return r;
        if (msg_setup(opt->log_level, opt->cid, opt->syslog) < 0) {
                msg_error("No such log level %s", opt->log_level);
                return -EINVAL;
        }
        r = check_combinations(opt);
        if (r < 0)
                return r;
        cwd = getcwd(NULL, 0);
        if (!cwd)
                return refuse("Failed to get working directory");
        if (!opt->bundle && !opt->exec)
                opt->bundle = opt->made[0] = strdup(cwd);
        if (!opt->container_pidfile)
                opt->container_pidfile = opt->made[1] = format("%s/pidfile-%s", cwd, opt->cid);
        if ((!opt->bundle && !opt->exec) || !opt->container_pidfile)
                return refuse("out of memory");
        return 0;
}

void options_print_help(void)
{
        static const char *const value[] = {"", "=N", "=N", "=TEXT", "=TEXT"};

        printf("Usage:\n  conmon [OPTION\xe2\x80\xa6] - monitor an OCI container\n\nOptions:\n");
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                char left[64], letter[5] = "";

                if (!rows[i].help)
                        continue;
                if (rows[i].letter)
                        (void) snprintf(letter, sizeof(letter), "-%c, ", rows[i].letter);
                (void) snprintf(left, sizeof(left), "%s--%s%s", letter, rows[i].name, value[rows[i].kind]);
                printf("  %-34s %s\n", left, rows[i].help);
        }
}

void options_done(struct options *opt)
{
        struct strlist *lists[] = {&opt->log_paths, &opt->log_labels,   &opt->log_allowlist_dirs,
                                   &opt->exit_args, &opt->runtime_args, &opt->runtime_opts};

        for (size_t i = 0; i < ARRAY_LEN(lists); i++)
                free(lists[i]->v);
        for (size_t i = 0; i < ARRAY_LEN(opt->made); i++)
                free(opt->made[i]);
        *opt = (struct options){0};
}
