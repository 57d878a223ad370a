/* Unix sockets at paths that may be longer than a socket address. */
#ifndef CONMON_ATTACH_SOCKET_H
#define CONMON_ATTACH_SOCKET_H

#include <sys/stat.h>

#include "options.h"

/* Bind a socket of this type to DIR/name, replacing what is there; the fd (CLOEXEC, non-blocking) or -errno. */
int bind_in_dir(const char *dir, const char *name, int type, mode_t mode);

/* The attach socket, listening. ret_path: its path; ret_symlink: the symlink made for it or NULL. The fd, or -errno
 * after a message. */
int attach_socket_make(const struct options *opt, char **ret_path, char **ret_symlink);

#endif
