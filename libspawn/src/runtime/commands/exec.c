/* exec. */
#include <stdio.h>

#include "cmd.h"
#include "util.h"

CMD(cmd_exec)
{
        struct exec_options o = {0};
        struct list env = {0}, caps = {0};
        const struct option_def table[] = {
                {"process", 'p', OPT_STRING, &o.process_file, "file with the process as JSON"},
                {"tty", 't', OPT_FLAG, &o.tty, "give it a terminal"},
                {"console-socket", 0, OPT_STRING, &o.console_socket, "socket that gets the terminal's master"},
                {"pid-file", 0, OPT_STRING, &o.pid_file, "write its pid there"},
                {"detach", 'd', OPT_FLAG, &o.detach, "do not wait for it"},
                {"preserve-fds", 0, OPT_NUMBER, &o.preserve_fds, "pass this many descriptors from 3 on"},
                {"env", 'e', OPT_LIST, &env, "NAME=VALUE, in addition to the container's"},
                {"cwd", 0, OPT_STRING, &o.cwd, "working directory"},
                {"user", 'u', OPT_STRING, &o.user, "UID[:GID]"},
                {"cap", 'c', OPT_LIST, &caps, "capability to add"},
                {"no-new-privs", 0, OPT_FLAG, &o.no_new_privs, "set no_new_privs"},
                {"cgroup", 0, OPT_STRING, NULL, NULL},
                {"process-label", 0, OPT_STRING, NULL, NULL},
                {"apparmor", 0, OPT_STRING, NULL, NULL},
                {NULL},
        };
        pid_t pid = -1;
        int n, master = -1, r = cmd_parse(cmd, table, argc, argv, true, 1, -1, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        o.id = argv[1];
        o.args = (const char **) argv + 2;
        o.n_args = (size_t) n - 1;
        argv[n + 1] = NULL;
        o.env = env.v;
        o.n_env = env.n;
        o.caps = caps.v;
        o.n_caps = caps.n;
        if (!o.detach)
                wait_hold_signals();
        r = container_exec(rt, &o, &pid, &master, e);
        if (r < 0 || o.detach)
                return r;
        return wait_child(pid, master, e);
}
