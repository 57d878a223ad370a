/* checkpoint, restore. */
#include <stdio.h>
#include <sys/socket.h>

#include "cmd.h"
#include "criu.h"
#include "fail.h"
#include "util.h"

/* Options of both commands; those of one alone are marked by their first letter in `only`. */
static int parse(const struct command *cmd, int argc, char **argv, struct criu_args *a, struct create_options *o,
                 bool *detach, spawn_error *e)
{
        struct list empty = {0};
        const struct {
                char only; /* of checkpoint or restore; 0: both */
                struct option_def def;
        } all[] = {
                {'c',
                 {"auto-dedup", 0, OPT_FLAG, &a->auto_dedup,
                  "free memory pages of earlier images that are dumped again"}},
                {'r', {"bundle", 'b', OPT_STRING, &o->bundle, "directory with config.json (default: here)", "DIR"}},
                {'r',
                 {"console-socket", 0, OPT_STRING, &o->console_socket, "socket that gets the terminal's master",
                  "SOCKET"}},
                {'r', {"detach", 'd', OPT_FLAG, detach, "do not wait for the container"}},
                {0, {"empty-ns", 0, OPT_LIST, &empty, "`network`: do not save or restore its content", "NAMESPACE"}},
                {0, {"ext-unix-sk", 0, OPT_FLAG, &a->ext_unix_sk, "allow unix sockets to the outside"}},
                {0, {"file-locks", 0, OPT_FLAG, &a->file_locks, "allow file locks"}},
                {0,
                 {"image-path", 0, OPT_STRING, &a->image_path, "directory of the images (default: ./checkpoint)",
                  "DIR"}},
                {'c', {"leave-running", 0, OPT_FLAG, &a->leave_running, "let the container go on afterwards"}},
                {0, {"link-remap", 0, OPT_FLAG, &a->link_remap, "allow open files that are deleted but linked"}},
                {'r',
                 {"lsm-mount-context", 0, OPT_STRING, &a->lsm_mount_context, "SELinux context for mounts", "CONTEXT"}},
                {'r', {"lsm-profile", 0, OPT_STRING, &a->lsm_profile, "label instead of the saved one", "TYPE:NAME"}},
                {0,
                 {"manage-cgroups-mode", 0, OPT_STRING, &a->cgroups_mode, "soft (default), full, strict, ignore",
                  "MODE"}},
                {0, {"network-lock", 0, OPT_STRING, &a->network_lock, "iptables, nftables or skip", "METHOD"}},
                {'r', {"no-pivot", 0, OPT_FLAG, NULL, "accepted: CRIU makes the root its own way"}},
                {'r', {"no-subreaper", 0, OPT_FLAG, NULL, "accepted: no process of ours stays behind as a subreaper"}},
                {'c',
                 {"parent-path", 0, OPT_STRING, &a->parent_path,
                  "images of an earlier --pre-dump, relative to --image-path", "DIR"}},
                {'r',
                 {"pid-file", 0, OPT_STRING, &o->pid_file, "write the pid of the container's first process there",
                  "FILE"}},
                {'c', {"pre-dump", 0, OPT_FLAG, &a->pre_dump, "save memory only, the container goes on"}},
                {0, {"shell-job", 0, OPT_FLAG, &a->shell_job, "allow a terminal that is the caller's"}},
                {'r', {"tcp-close", 0, OPT_FLAG, &a->tcp_close, "close the TCP connections that were open"}},
                {0, {"tcp-established", 0, OPT_FLAG, &a->tcp_established, "allow open TCP connections"}},
                {'c',
                 {"tcp-skip-in-flight", 0, OPT_FLAG, &a->tcp_skip_in_flight,
                  "leave out TCP connections that are just being made"}},
                {0,
                 {"work-path", 0, OPT_STRING, &a->work_path, "directory of CRIU's log (default: that of the images)",
                  "DIR"}},
        };
        struct option_def table[ELEMENTSOF(all) + 1];
        size_t rows = 0;
        int n, r;

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                if (all[i].only == 0 || all[i].only == cmd->name[0])
                        table[rows++] = all[i].def;
        table[rows] = (struct option_def){0};
        r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);
        o->id = argv[1];
        a->empty_ns = empty.v;
        a->n_empty_ns = empty.n;
        if (r == 0 && a->parent_path != NULL && a->parent_path[0] == '/')
                return fail_text(e, "usage", "option --parent-path is relative to --image-path, not `%s`",
                                 a->parent_path);
        return r;
}

CMD(cmd_checkpoint)
{
        struct create_options o = {0};
        struct criu_args a = {0};
        bool detach;
        int r = parse(cmd, argc, argv, &a, &o, &detach, e);

        return r != 0 ? (r > 0 ? 0 : r) : container_checkpoint(rt, o.id, &a, e);
}

CMD(cmd_restore)
{
        struct criu_args a = {0};
        struct create_options o = {.console_fd = -1, .restore = &a};
        bool detach = false;
        int r = parse(cmd, argc, argv, &a, &o, &detach, e);

        return r != 0 ? (r > 0 ? 0 : r) : cmd_run_container(rt, &o, detach, false, e);
}
