/* Children besides the runtime's create and the container: short calls of the runtime, checks and their processes. */
#ifndef CONMON_CHILDREN_H
#define CONMON_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

struct monitor;

/* Embedded in the object that waits for it. */
struct child {
        pid_t pid; /* 0: none */
        void (*ended)(struct child *child, int status); /* called once, from the loop or from children_add */
        void *data;
        struct child *next;
};

/* Wait for child->pid; it may have ended already, if children_expect was called before it could. */
void children_add(struct monitor *m, struct child *child);

/* Nobody waits for it any more. */
void children_forget(struct monitor *m, struct child *child);

/* Whether a process, running or a zombie, is our child: only then its end comes to us. */
bool children_is_own(pid_t pid);

/* A process is about to appear whose pid is not known yet: remember who ends from now on. Paired with settle. */
void children_expect(struct monitor *m);
void children_settle(struct monitor *m);

#endif
