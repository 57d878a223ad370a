/* mounts: add to and remove from a running container. */
#include <string.h>

#include "cmd.h"
#include "fail.h"
#include "util.h"

CMD(cmd_mounts)
{
        const struct option_def table[] = {{NULL}};
        int n, r = cmd_parse(cmd, table, argc, argv, false, 3, 3, &n, e);
        bool add;

        if (r != 0)
                return r > 0 ? 0 : r;
        add = strcmp(argv[1], "add") == 0;
        if (!add && strcmp(argv[1], "remove") != 0)
                return fail_text(e, "usage", "mounts: `%s` is neither add nor remove", argv[1]);
        return container_mounts(rt, argv[2], argv[3], add, e);
}
