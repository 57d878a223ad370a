/* Scope-bound cleanup and small helpers shared by libspawn's files. */
#ifndef PODLIKE_UTIL_H
#define PODLIKE_UTIL_H

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libspawn.h"

static inline void cleanup_closep(const int *fd)
{
        if (*fd >= 0) {
                int saved = errno;
                (void) close(*fd);
                errno = saved;
        }
}

static inline void cleanup_freep(void *p)
{
        free(*(void **) p);
}

static inline void cleanup_killp(const pid_t *pid)
{
        if (*pid > 0) {
                int saved = errno;
                (void) kill(*pid, SIGKILL);
                while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
                        ;
                errno = saved;
        }
}

#define _cleanup_close_ __attribute__((cleanup(cleanup_closep)))
#define _cleanup_free_ __attribute__((cleanup(cleanup_freep)))
#define _cleanup_kill_ __attribute__((cleanup(cleanup_killp)))

static inline int steal_fd(int *fd)
{
        int taken = *fd;
        *fd = -1;
        return taken;
}

static inline pid_t steal_pid(pid_t *pid)
{
        pid_t taken = *pid;
        *pid = -1;
        return taken;
}

static inline void *steal_pointer_(void **p)
{
        void *taken = *p;
        *p = NULL;
        return taken;
}
#define steal_pointer(p) ((__typeof__(*(p))) steal_pointer_((void **) (p)))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))

/* Fill *e (may be NULL) and return -code: `return spawn_err(reterr, errno, "mount overlay", "%s", target);`
 * When the format is not empty strerror(code) is not added: the words are the caller's. */
int spawn_err(spawn_error *e, int code, const char *stage, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
