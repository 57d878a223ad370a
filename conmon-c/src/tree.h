/* A process with all that it has brought about: its descendants and its session, as far as /proc shows them. */
#ifndef CONMON_TREE_H
#define CONMON_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tree {
        struct member {
                pid_t pid;
                uint64_t start; /* so that a number taken by somebody else is not meant */
        } * members;
        size_t n;
};

/* Add the processes of root's session, those that descend from root, and those that descend from older members. */
void tree_look(struct tree *tree, pid_t root);

/* Signal all that still live; how many there were. */
size_t tree_signal(const struct tree *tree, int signal);
void tree_done(struct tree *tree);

#endif
