/* exec. */
#include <stdio.h>

#include "cmd.h"
#include "fail.h"
#include "util.h"

CMD(cmd_exec)
{
        struct exec_options o = {0};
        struct list env = {0}, caps = {0}, gids = {0};
        const struct option_def table[] = {
                {"additional-gids", 'g', OPT_LIST, &gids, "supplementary group to add, a number", "GID"},
                {"apparmor", 0, OPT_STRING, &o.apparmor, "AppArmor profile of the process", "PROFILE"},
                {"cap", 'c', OPT_LIST, &caps, "capability to add", "CAP"},
                {"cgroup", 0, OPT_STRING, &o.cgroup, "run it in this cgroup below the container's", "PATH"},
                {"console-socket", 0, OPT_STRING, &o.console_socket, "socket that gets the terminal's master",
                 "SOCKET"},
                {"cwd", 0, OPT_STRING, &o.cwd, "working directory", "DIR"},
                {"detach", 'd', OPT_FLAG, &o.detach, "do not wait for it"},
                {"env", 'e', OPT_LIST, &env, "variable in addition to the container's", "NAME=VALUE"},
                {"ignore-paused", 0, OPT_FLAG, &o.ignore_paused,
                 "start it in a paused container, where it waits for resume"},
                {"no-new-privs", 0, OPT_FLAG, &o.no_new_privs, "set no_new_privs"},
                {"no-subreaper", 0, OPT_FLAG, NULL, "accepted: no process of ours stays behind as a subreaper"},
                {"pid-file", 0, OPT_STRING, &o.pid_file, "write its pid there", "FILE"},
                {"preserve-fds", 0, OPT_NUMBER, &o.preserve_fds, "pass this many descriptors from 3 on", "N"},
                {"process", 'p', OPT_STRING, &o.process_file, "file with the process as JSON", "FILE"},
                {"process-label", 0, OPT_STRING, &o.process_label, "SELinux label of the process", "LABEL"},
                {"tty", 't', OPT_FLAG, &o.tty, "give it a terminal"},
                {"user", 'u', OPT_STRING, &o.user, "who it runs as, in numbers", "UID[:GID]"},
                {NULL},
        };
        pid_t pid = -1;
        int n, master = -1, r = cmd_parse(cmd, table, argc, argv, true, 1, -1, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        if (n < 2 && o.process_file == NULL)
                return fail_text(e, "usage", "exec needs a command, or --process FILE");
        o.id = argv[1];
        o.args = (const char **) argv + 2;
        o.n_args = (size_t) n - 1;
        argv[n + 1] = NULL;
        o.env = env.v;
        o.n_env = env.n;
        o.caps = caps.v;
        o.n_caps = caps.n;
        o.gids = gids.v;
        o.n_gids = gids.n;
        o.preserve_fds += listen_fds();
        if (!o.detach)
                wait_hold_signals();
        r = container_exec(rt, &o, &pid, &master, e);
        if (r < 0 || o.detach)
                return r;
        return wait_child(pid, master, e);
}
