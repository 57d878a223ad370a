#include "tree.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "statefile.h"
#include "util.h"

struct process {
        pid_t pid, parent, session;
        uint64_t start;
};

struct processes {
        struct process *v;
        size_t n, room;
};

/* proc_pid_stat(5): "PID (COMMAND) STATE PPID PGRP SESSION ...", the 22nd is the start time. */
static bool read_process(const char *pid, struct process *ret)
{
        char path[64], text[1024], *p;
        int parent, session;

        (void) snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
        if (read_file(path, text, sizeof(text)) < 0)
                return false;
        p = strrchr(text, ')');
        if (!p || sscanf(p + 1, " %*c %d %*d %d", &parent, &session) != 2)
                return false;
        *ret = (struct process){.pid = (pid_t) strtol(pid, NULL, 10), .parent = parent, .session = session};
        for (int field = 2; p && field < 22; field++)
                p = strchr(p + 1, ' ');
        ret->start = p ? strtoull(p + 1, NULL, 10) : 0;
        return true;
}

static void read_all(struct processes *all)
{
        DIR *dir = opendir("/proc");
        const struct dirent *e;

        while (dir && (e = readdir(dir))) {
                if (!isdigit((unsigned char) e->d_name[0]))
                        continue;
                if (all->n == all->room) {
                        size_t room = 2 * all->room + 128;
                        struct process *v = realloc(all->v, room * sizeof(*v));

                        if (!v)
                                break;
                        all->v = v;
                        all->room = room;
                }
                all->n += read_process(e->d_name, &all->v[all->n]);
        }
        if (dir)
                closedir(dir);
}

static bool has(const struct tree *tree, pid_t pid)
{
        for (size_t i = 0; i < tree->n; i++)
                if (tree->members[i].pid == pid)
                        return true;
        return false;
}

static bool add(struct tree *tree, const struct process *p)
{
        struct member *v = realloc(tree->members, (tree->n + 1) * sizeof(*v));

        if (!v)
                return false;
        tree->members = v;
        v[tree->n++] = (struct member){.pid = p->pid, .start = p->start};
        return true;
}

void tree_look(struct tree *tree, pid_t root)
{
        struct processes all = {0};
        bool grown = true;

        read_all(&all);
        while (grown) {
                grown = false;
                for (size_t i = 0; i < all.n; i++) {
                        const struct process *p = &all.v[i];

                        if (has(tree, p->pid) || (p->pid != root && p->session != root && !has(tree, p->parent)))
                                continue;
                        grown = add(tree, p) || grown;
                }
        }
        free(all.v);
}

size_t tree_signal(const struct tree *tree, int signal)
{
        size_t n = 0;

        for (size_t i = 0; i < tree->n; i++)
                if (process_start_time(tree->members[i].pid) == tree->members[i].start)
                        n += kill(tree->members[i].pid, signal) == 0;
        return n;
}

void tree_done(struct tree *tree)
{
        free(tree->members);
        *tree = (struct tree){0};
}
