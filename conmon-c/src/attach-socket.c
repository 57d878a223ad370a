#include "attach-socket.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "message.h"

int bind_in_dir(const char *dir, const char *name, int type, mode_t mode)
{
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        _cleanup_close_ int dir_fd = -1, fd = -1;
        mode_t old;
        int r, n;

        dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        fd = dir_fd < 0 ? -1 : socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        n = snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
        if (n < 0 || (size_t) n >= sizeof(addr.sun_path))
                return -ENAMETOOLONG;
        if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
                return -errno;
        old = umask(0777 & ~mode);
        r = bind(fd, (struct sockaddr *) &addr, sizeof(addr)) < 0 ? -errno : 0;
        (void) umask(old);
        return r < 0 ? r : steal_fd(&fd);
}

/* SOCKET-DIR/CUUID -> bundle, so that clients need no long path. */
static char *make_symlink(const struct options *opt)
{
        char *path = format("%s/%s", opt->socket_dir, opt->cuuid);

        if (!path)
                return NULL;
        /* Callers cut a path that would fill a socket address to the last byte by one; so it has to be cut here. */
        if (strlen(path) == sizeof(((struct sockaddr_un *) 0)->sun_path) - 1)
                path[strlen(path) - 1] = '\0';
        if (unlink(path) < 0 && errno != ENOENT)
                msg_error("Failed to remove existing symlink for socket directory %s: %s", path, strerror(errno));
        else if (symlink(opt->bundle, path) < 0)
                msg_error("Failed to create symlink %s for the attach socket: %s", path, strerror(errno));
        else
                return path;
        free(path);
        return NULL;
}

int attach_socket_make(const struct options *opt, char **ret_path, char **ret_symlink)
{
        _cleanup_close_ int fd = -1;

        *ret_symlink = NULL;
        *ret_path = format("%s/attach", opt->bundle);
        if (!*ret_path)
                return -ENOMEM;
        if (!opt->full_attach) {
                *ret_symlink = make_symlink(opt);
                if (!*ret_symlink)
                        return -EIO;
        }
        fd = bind_in_dir(opt->bundle, "attach", SOCK_SEQPACKET, 0700);
        if (fd < 0) {
                msg_error("Failed to bind attach socket %s: %s", *ret_path, strerror(-fd));
                return fd;
        }
        if (listen(fd, 128) < 0) {
                msg_error("Failed to listen on attach socket: %s/attach", opt->bundle);
                return -errno;
        }
        return steal_fd(&fd);
}
