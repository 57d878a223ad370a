/* cgroup v2 as directories: making them, handing controllers down, entering. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup-dirs.h"
#include "fail.h"
#include "io.h"
#include "util.h"

/* Controllers that engines read statistics of and set limits in. */
static const struct {
        const char *name;
        bool threaded; /* works among threads, so in cgroups beside processes too (cgroup-v2.rst, "Threads") */
} wanted[] = {{"memory", false}, {"io", false}, {"hugetlb", false}, {"rdma", false},
              {"misc", false},   {"cpu", true}, {"cpuset", true},   {"pids", true}};

bool cgroup_has_word(const char *list, const char *word)
{
        size_t len = strlen(word);

        for (const char *p = list; (p = strstr(p, word)) != NULL; p += len)
                if ((p == list || p[-1] == ' ') && (p[len] == '\0' || p[len] == ' ' || p[len] == '\n'))
                        return true;
        return false;
}

/* A cgroup of ordinary kind, not the root, with processes of its own. */
static bool is_inhabited(int fd)
{
        _cleanup_free_ char *type = NULL, *procs = NULL;

        return read_file_at(fd, "cgroup.type", 64, &type) > 0 && strcmp(type, "domain\n") == 0 &&
               read_file_at(fd, "cgroup.procs", 64 * 1024 * 1024, &procs) > 0;
}

/* Offer a cgroup's controllers to its children; what is refused will show when a limit needs it.
 * Beside processes only some controllers work, and only if the children are turned into threaded cgroups, which is
 * felt by others too: not unless the limits want it. Returns true when the children must be. */
static bool offer_controllers(const char *parent, bool beside)
{
        _cleanup_free_ char *have = NULL, *on = NULL;
        _cleanup_close_ int fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        bool asked = false, inhabited = false;
        char text[32];

        if (fd < 0 || read_file_at(fd, "cgroup.controllers", 4096, &have) <= 0 ||
            read_file_at(fd, "cgroup.subtree_control", 4096, &on) < 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(wanted); i++) {
                if (!cgroup_has_word(have, wanted[i].name) || cgroup_has_word(on, wanted[i].name))
                        continue;
                if (!asked)
                        inhabited = is_inhabited(fd);
                asked = true;
                if (inhabited && !(beside && wanted[i].threaded))
                        continue;
                (void) snprintf(text, sizeof(text), "+%s", wanted[i].name);
                /* One by one: together all fail for one. */
                (void) write_file_at(fd, "cgroup.subtree_control", text);
        }
        return inhabited && beside;
}

int cgroup_make_path(const char *path, bool beside, bool *ret_created)
{
        char copy[PATH_MAX];
        size_t root = strlen(CGROUP_ROOT);
        bool threaded = false;

        (void) snprintf(copy, sizeof(copy), "%s", path);
        for (char *p = copy + root; p != NULL && *p == '/'; p = strchr(p + 1, '/')) {
                char *next = strchr(p + 1, '/');

                *p = '\0';
                threaded = offer_controllers(copy, beside) || threaded;
                *p = '/';
                if (next != NULL)
                        *next = '\0';
                if (mkdir(copy, 0755) == 0)
                        *ret_created = next == NULL;
                else if (errno != EEXIST)
                        return -errno;
                if (threaded)
                        (void) cgroup_make_threaded(copy);
                if (next != NULL)
                        *next = '/';
        }
        return 0;
}

int cgroup_make_threaded(const char *path)
{
        _cleanup_free_ char *type = NULL;
        char file[PATH_MAX + 16], parent[PATH_MAX];
        char *slash;
        int r;

        (void) snprintf(file, sizeof(file), "%s/cgroup.type", path);
        r = (int) read_file_at(AT_FDCWD, file, 64, &type);
        if (r < 0)
                return r == -ENOENT ? 0 : r; /* the root has no type */
        if (strncmp(type, "domain invalid", 14) != 0)
                return 0;
        (void) snprintf(parent, sizeof(parent), "%s", path);
        slash = strrchr(parent, '/');
        if (slash != NULL && slash > parent + strlen(CGROUP_ROOT)) {
                *slash = '\0';
                r = cgroup_make_threaded(parent);
                if (r < 0)
                        return r;
        }
        return write_file_at(AT_FDCWD, file, "threaded");
}

int cgroup_add(const char *path, pid_t pid)
{
        char file[PATH_MAX + 16], text[16];
        int r;

        (void) snprintf(file, sizeof(file), "%s/cgroup.procs", path);
        (void) snprintf(text, sizeof(text), "%d", (int) pid);
        r = write_file_at(AT_FDCWD, file, text);
        if (r == -EOPNOTSUPP && cgroup_make_threaded(path) == 0)
                r = write_file_at(AT_FDCWD, file, text);
        return r;
}

int cgroup_move_down(const char *top, const char *sub, pid_t pid)
{
        char path[PATH_MAX];
        bool created;
        int r = snprintf(path, sizeof(path), "%s/%s", top, sub);

        if (r < 0 || (size_t) r >= sizeof(path))
                return -ENAMETOOLONG;
        /* Controllers are handed down only where no process is: first the directories, then the move, then they. */
        r = make_dirs(path, 0755);
        if (r == 0)
                r = cgroup_add(path, pid);
        return r < 0 ? r : cgroup_make_path(path, false, &created);
}

int cgroup_of_pid(pid_t pid, char ret[PATH_MAX])
{
        _cleanup_free_ char *text = NULL;
        char file[40], *line, *save = NULL;
        ssize_t n;

        (void) snprintf(file, sizeof(file), "/proc/%d/cgroup", (int) pid);
        n = read_file_at(AT_FDCWD, file, 65536, &text);
        if (n < 0)
                return (int) n;
        for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
                if (strncmp(line, "0::/", 4) == 0 && strstr(line, "/..") == NULL)
                        return snprintf(ret, PATH_MAX, CGROUP_ROOT "%s", line + 3) < PATH_MAX ? 0 : -ENAMETOOLONG;
        return -ENOENT;
}
