/* Putting an empty file in a log's place, the old one kept under a number or not. */
#ifndef CONMON_LOGROTATE_H
#define CONMON_LOGROTATE_H

#include "options.h"

#define LOG_FLAGS (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC)
#define LOG_MODE 0640

/* Why the file that is open as fd must not be rotated, or NULL. Names in the log's directory may be another user's doing. */
const char *logrotate_refusal(const char *path, int fd, const struct options *opt);

/* Make an empty file under a temporary name and rename it to path; readers that follow see the change of inode. With
 * --log-rotate the old one is PATH.1 then, the one before it PATH.2 ... up to --log-max-files; at no moment is path missing.
 * The new file's descriptor, or -errno, and then the old file is still in its place. */
int logrotate(const char *path, const struct options *opt);

#endif
