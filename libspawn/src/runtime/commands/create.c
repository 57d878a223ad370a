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
        const struct option_def table[] = {
                {"bundle", 'b', OPT_STRING, &a->o.bundle, "directory with config.json (default: here)"},
                {"config", 'f', OPT_STRING, &a->o.config, "file in the bundle to read instead of config.json"},
                {"pid-file", 0, OPT_STRING, &a->o.pid_file, "write the pid of the container's first process there"},
                {"console-socket", 0, OPT_STRING, &a->o.console_socket, "socket that gets the terminal's master"},
                {"preserve-fds", 0, OPT_NUMBER, &a->o.preserve_fds, "pass this many descriptors from 3 on"},
                {"no-pivot", 0, OPT_FLAG, &a->o.no_pivot, "do not use pivot_root"},
                {"no-new-keyring", 0, OPT_FLAG, &a->o.no_new_keyring, "keep the caller's session keyring"},
                {"no-subreaper", 0, OPT_FLAG, NULL, NULL},
                {run ? "detach" : "help-detach", run ? 'd' : 0, OPT_FLAG, &a->detach,
                 run ? "do not wait for the container" : NULL},
                {run ? "keep" : "help-keep", 0, OPT_FLAG, &a->keep,
                 run ? "do not delete the container when it ends" : NULL},
                {NULL},
        };
        int n, r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);

        a->o.id = argv[1];
        a->o.console_fd = -1;
        return r;
}

/* LISTEN_FDS: sockets of systemd's activation are meant for the container (sd_listen_fds(3)). */
static void add_listen_fds(struct create_options *o)
{
        const char *n = getenv("LISTEN_FDS");

        if (n != NULL && atoi(n) > 0 && atoi(n) < 1024)
                o->preserve_fds += atoi(n);
}

CMD(cmd_create)
{
        struct create_args a = {0};
        pid_t pid;
        int r = parse(cmd, argc, argv, &a, false, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        add_listen_fds(&a.o);
        return container_create(rt, &a.o, &pid, e);
}

static int run_foreground(const struct runtime *rt, struct create_args *a, spawn_error *e)
{
        int relay[2] = {-1, -1}, master = -1, r, code;
        pid_t pid;

        /* Only used if the process wants a terminal and there is nobody else to take it. */
        if (a->o.console_socket == NULL && !a->detach) {
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, relay) < 0)
                        return fail_errno(e, "terminal", "create a socket");
                a->o.console_fd = relay[1];
        }
        r = container_create(rt, &a->o, &pid, e);
        if (relay[1] >= 0)
                (void) close(relay[1]);
        if (r < 0)
                return r;
        if (relay[0] >= 0) {
                master = terminal_receive_fd(relay[0]); /* -ENOMSG: no terminal was made */
                (void) close(relay[0]);
        }
        if (!a->detach)
                wait_hold_signals();
        r = a->detach ? container_start(rt, a->o.id, e) : container_start_attended(rt, a->o.id, e);
        if (r < 0) {
                (void) container_delete(rt, a->o.id, true, NULL);
                cleanup_killp(&pid);
                return r;
        }
        if (a->detach)
                return 0;
        code = wait_child(pid, master, e);
        if (!a->keep && (r = container_delete(rt, a->o.id, true, e)) < 0)
                return r;
        return code;
}

CMD(cmd_run)
{
        struct create_args a = {0};
        int r = parse(cmd, argc, argv, &a, true, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        add_listen_fds(&a.o);
        return run_foreground(rt, &a, e);
}

CMD(cmd_start)
{
        const struct option_def table[] = {{NULL}};
        int n, r = cmd_parse(cmd, table, argc, argv, false, 1, 1, &n, e);

        return r != 0 ? (r > 0 ? 0 : r) : container_start(rt, argv[1], e);
}
