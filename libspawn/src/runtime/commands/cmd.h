/* Commands of podlike-spawn: each parses its words, calls the library, prints. */
#ifndef PODLIKE_CMD_H
#define PODLIKE_CMD_H

#include "args.h"
#include "container.h"

struct command {
        const char *name, *usage, *summary;
        /* Returns the exit code, or -errno with *e filled. argv[0] is the command's name. */
        int (*run)(const struct runtime *rt, const struct command *cmd, int argc, char **argv, spawn_error *e);
        bool protect; /* enters containers: must run from where they cannot write */
};
extern const struct command commands[];

/* Parse; print help for --help (returns 1, then exit 0). Checks the number of words. */
int cmd_parse(const struct command *cmd, const struct option_def *table, int argc, char **argv, bool in_order, int min,
              int max, int *ret_n, spawn_error *e);

/* manage.c: a container's record and status. */
int cmd_load(const struct runtime *rt, const char *id, struct state *s, enum status *ret, spawn_error *e);

/* create.c: create, start unless it was restored, and wait unless detached. Returns the exit code. */
int cmd_run_container(const struct runtime *rt, struct create_options *o, bool detach, bool keep, spawn_error *e);

#define CMD(name) int name(const struct runtime *rt, const struct command *cmd, int argc, char **argv, spawn_error *e)
CMD(cmd_checkpoint);
CMD(cmd_create);
CMD(cmd_run);
CMD(cmd_start);
CMD(cmd_state);
CMD(cmd_kill);
CMD(cmd_delete);
CMD(cmd_exec);
CMD(cmd_list);
CMD(cmd_ps);
CMD(cmd_pause);
CMD(cmd_restore);
CMD(cmd_resume);
CMD(cmd_update);
CMD(cmd_mounts);
CMD(cmd_events);
CMD(cmd_spec);
CMD(cmd_features);

#endif
