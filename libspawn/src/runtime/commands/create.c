/* create, run, start. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "cmd.h"
#include "fail.h"
#include "terminal.h"
#include "util.h"

struct create_args {
        struct create_options o;
        bool detach, keep;
};

static int parse(const struct command *cmd, int argc, char **argv, struct create_args *a, bool run, spawn_error *e)
{
        const struct option_def all[] = {
                {"bundle", 'b', OPT_STRING, &a->o.bundle, "directory with config.json (default: here)", "DIR"},
                {"config", 'f', OPT_STRING, &a->o.config, "file to read instead of config.json", "FILE"},
                {"console-socket", 0, OPT_STRING, &a->o.console_socket, "socket that gets the terminal's master",
                 "SOCKET"},
                {"detach", 'd', OPT_FLAG, &a->detach, "do not wait for the container"},
                {"keep", 0, OPT_FLAG, &a->keep, "do not delete the container when it ends"},
                {"no-new-keyring", 0, OPT_FLAG, &a->o.no_new_keyring, "keep the caller's session keyring"},
                {"no-pivot", 0, OPT_FLAG, &a->o.no_pivot, "do not use pivot_root"},
                {"no-subreaper", 0, OPT_FLAG, NULL, "accepted: no process of ours stays behind as a subreaper"},
                {"pid-file", 0, OPT_STRING, &a->o.pid_file, "write the pid of the container's first process there",
                 "FILE"},
                {"preserve-fds", 0, OPT_NUMBER, &a->o.preserve_fds, "pass this many descriptors from 3 on", "N"},
                {NULL},
        };
        struct option_def table[ELEMENTSOF(all)];
        size_t rows = 0;
        int n, r;

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                if (run || (all[i].to != &a->detach && all[i].to != &a->keep))
                        table[rows++] = all[i];
        r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);
        a->o.id = argv[1];
        a->o.console_fd = -1;
        return r;
}

CMD(cmd_create)
{
        struct create_args a = {0};
        pid_t pid;
        int r = parse(cmd, argc, argv, &a, false, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        a.o.preserve_fds += listen_fds();
        return container_create(rt, &a.o, &pid, e);
}

int cmd_run_container(const struct runtime *rt, struct create_options *o, bool detach, bool keep, spawn_error *e)
{
        int relay[2] = {-1, -1}, master = -1, r, code;
        pid_t pid;

        /* Only used if the process wants a terminal and there is nobody else to take it. */
        if (o->console_socket == NULL && !detach) {
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, relay) < 0)
                        return fail_errno(e, "terminal", "create a socket");
                o->console_fd = relay[1];
        }
        r = container_create(rt, o, &pid, e);
        if (relay[1] >= 0)
                (void) close(relay[1]);
        if (r == 0 && relay[0] >= 0)
                master = terminal_receive_fd(relay[0]); /* -ENOMSG: no terminal was made */
        if (relay[0] >= 0)
                (void) close(relay[0]);
        if (r < 0)
                return r;
        if (!detach)
                wait_hold_signals();
        if (o->restore == NULL)
                r = detach ? container_start(rt, o->id, e) : container_start_attended(rt, o->id, e);
        if (r < 0) {
                (void) container_delete(rt, o->id, true, NULL);
                cleanup_killp(&pid);
                return r;
        }
        if (detach)
                return 0;
        code = wait_child(pid, master, e);
        if (!keep && (r = container_delete(rt, o->id, true, e)) < 0)
                return r;
        return code;
}

CMD(cmd_run)
{
        struct create_args a = {0};
        int r = parse(cmd, argc, argv, &a, true, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        a.o.preserve_fds += listen_fds();
        return cmd_run_container(rt, &a.o, a.detach, a.keep, e);
}

CMD(cmd_start)
{
        const struct option_def table[] = {{NULL}};
        int n, r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);

        return r != 0 ? (r > 0 ? 0 : r) : container_start(rt, argv[1], e);
}
