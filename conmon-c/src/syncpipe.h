/* The pipes to the caller, named by environment variables: one JSON object a line, one write each. */
#ifndef CONMON_SYNCPIPE_H
#define CONMON_SYNCPIPE_H

#include <stddef.h>

#include "options.h"

/* Longest piece of the runtime's stderr that is passed on. */
#define SYNC_MESSAGE_MAX 8192

/* The fd that an environment variable names, made CLOEXEC and taken out of the environment; -1 without it; -EINVAL or
 * -EBADF after a message when it names none. */
int sync_fd_from_env(const char *name);

/* Report value and, unless it is NULL or empty, a message. Closes *fd when nobody reads. */
void sync_report(int *fd, const struct options *opt, int value, const char *message);

/* Write s as the inside of a JSON string; fresh memory or NULL. */
char *sync_escape(const char *s);

#endif
