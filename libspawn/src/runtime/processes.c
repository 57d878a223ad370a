/* Which processes are a container's. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "io.h"
#include "processes.h"
#include "util.h"

/* Process 1 of a pid namespace, by the last number of "NSpid:" in its status (proc(5)): the namespace is not shared
 * with whoever was there before. */
static bool is_init(pid_t pid)
{
        _cleanup_free_ char *text = NULL;
        const char *line, *end;
        char path[40];

        (void) snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
        if (read_file_at(AT_FDCWD, path, 65536, &text) < 0 || (line = strstr(text, "\nNSpid:")) == NULL)
                return false;
        end = strchrnul(line + 1, '\n');
        return end - line > 2 && end[-1] == '1' && (end[-2] == '\t' || end[-2] == ' ');
}

static int each_in_namespace(pid_t init, int (*each)(pid_t pid, void *arg), void *arg)
{
        struct stat own, other;
        const struct dirent *de;
        char path[48];
        int r = 0;
        DIR *dir;

        (void) snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int) init);
        if (stat(path, &own) < 0)
                return errno == ENOENT ? 0 : -errno;
        dir = opendir("/proc");
        if (dir == NULL)
                return -errno;
        while (r >= 0 && (de = readdir(dir)) != NULL) {
                int pid = atoi(de->d_name);

                if (pid <= 0)
                        continue;
                (void) snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
                if (stat(path, &other) == 0 && other.st_ino == own.st_ino && other.st_dev == own.st_dev)
                        r = each(pid, arg);
        }
        (void) closedir(dir);
        return r;
}

int processes_each(const struct state *s, enum status status, int (*each)(pid_t pid, void *arg), void *arg)
{
        if (s->cgroup != NULL)
                return cgroup_each_pid(s->cgroup, each, arg);
        if (status == STATUS_STOPPED || s->pid <= 0)
                return 0;
        return is_init(s->pid) ? each_in_namespace(s->pid, each, arg) : each(s->pid, arg);
}
