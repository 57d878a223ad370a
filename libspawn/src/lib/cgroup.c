/* cgroup v2 for the engine: the operations of cgroup-dirs.h with words, on paths that are checked. */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "cgroup-dirs.h"
#include "fail.h"
#include "io.h"
#include "util.h"

/* Beneath the root of cgroups, by no detour, and no path of something else that is mounted there. */
static int check(const char *path, const char *stage, spawn_error *e)
{
        const size_t root = strlen(CGROUP_ROOT);
        size_t len = strlen(path);
        struct statfs fs;

        if (strncmp(path, CGROUP_ROOT "/", root + 1) != 0 || path[root + 1] == '\0' || len >= PATH_MAX - NAME_MAX ||
            strstr(path, "/../") != NULL || strcmp(path + len - 3, "/..") == 0 || path[len - 1] == '/')
                return spawn_err(e, EINVAL, stage, "`%s` is not a path below " CGROUP_ROOT, path);
        if (statfs(CGROUP_ROOT, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
                return spawn_err(e, EOPNOTSUPP, stage, CGROUP_ROOT " is not a cgroup v2 tree");
        return 0;
}

int spawn_cgroup_create(const char *path, spawn_error *reterr)
{
        bool created = false;
        int r = check(path, "create cgroup", reterr);

        if (r < 0)
                return r;
        r = cgroup_make_path(path, false, &created);
        return r < 0 ? fail_code(reterr, r, "create cgroup", "`%s`", path) : created;
}

int spawn_cgroup_add(const char *path, int pid, spawn_error *reterr)
{
        int r = check(path, "enter cgroup", reterr);

        if (r < 0)
                return r;
        r = cgroup_add(path, pid);
        return r < 0 ? fail_code(reterr, r, "enter cgroup", "process %d into `%s`", pid, path) : 0;
}

int spawn_cgroup_of(int pid, char *ret, size_t size, spawn_error *reterr)
{
        char path[PATH_MAX];
        int r = cgroup_of_pid(pid, path);

        if (r == 0 && strlen(path) >= size)
                r = -ENAMETOOLONG;
        if (r < 0)
                return fail_code(reterr, r, "find cgroup", "of process %d", pid);
        memcpy(ret, path, strlen(path) + 1);
        return 0;
}

int spawn_cgroup_write(const char *path, const char *file, const char *value, spawn_error *reterr)
{
        char name[PATH_MAX];
        int r = check(path, "set limit", reterr);

        if (r < 0)
                return r;
        if (file[0] == '\0' || file[0] == '.' || strchr(file, '/') != NULL || strlen(file) > NAME_MAX)
                return spawn_err(reterr, EINVAL, "set limit", "`%s` is not a file of a cgroup", file);
        (void) snprintf(name, sizeof(name), "%s/%s", path, file);
        r = write_file_at(AT_FDCWD, name, value);
        return r < 0 ? fail_code(reterr, r, "set limit", "write `%s` to `%s`", value, name) : 0;
}

int spawn_cgroup_freeze(const char *path, int freeze, spawn_error *reterr)
{
        int r = check(path, "freeze cgroup", reterr);

        return r < 0 ? r : cgroup_freeze(path, freeze != 0, reterr);
}

int spawn_cgroup_kill(const char *path, spawn_error *reterr)
{
        int r = check(path, "kill cgroup", reterr);

        if (r < 0)
                return r;
        r = cgroup_kill(path);
        return r < 0 ? fail_code(reterr, r, "kill cgroup", "`%s`", path) : 0;
}

int spawn_cgroup_remove(const char *path, spawn_error *reterr)
{
        int r = check(path, "remove cgroup", reterr);

        if (r < 0)
                return r;
        r = cgroup_remove(path);
        return r < 0 ? fail_code(reterr, r, "remove cgroup", "`%s`", path) : 0;
}
