/* The command line: conmon's, parsed the way GLib does. */
#ifndef CONMON_OPTIONS_H
#define CONMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "util.h"

/* A growing list of borrowed strings, ended by NULL (v is NULL when empty). */
struct strlist {
        char **v;
        size_t n;
};

struct options {
        bool help, version;
        bool api_version; /* 0 or 1; a flag in conmon too: the "1" after it is a stray word */
        char *cid, *cuuid, *name;
        char *runtime, *bundle;
        char *container_pidfile, *conmon_pidfile;
        char *persist_dir, *exit_dir;

        struct strlist log_paths, log_labels, log_allowlist_dirs;
        char *log_tag, *log_level;
        int64_t log_size_max, log_global_size_max;
        int log_max_files;
        bool log_rotate, no_container_partial_message, no_sync_log, syslog;

        bool terminal, stdin_open, leave_stdin_open, full_attach;
        char *socket_dir;

        bool exec, exec_attach;
        char *exec_process_spec, *exit_command;
        struct strlist exit_args;
        int exit_delay, timeout;

        char *restore;
        bool systemd_cgroup, no_pivot, no_new_keyring, replace_listen_pid, sync;
        struct strlist runtime_args, runtime_opts;
        char *sdnotify_socket;
        char *orders, *state_file; /* podlike's own */

        char *made[2]; /* strings we made ourselves, freed by options_done */
};

/* Fill opt from argv. 0, or -EINVAL with a sentence in reterr (size bytes). Strings are borrowed from argv. */
int options_parse(struct options *opt, int argc, char **argv, char *reterr, size_t size);

/* Check what belongs together and fill defaults that depend on the working directory; says what is wrong itself. */
int options_check(struct options *opt);

void options_print_help(void);
void options_done(struct options *opt);

#endif
