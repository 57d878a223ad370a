/* Paths inside a container's root, resolved by the kernel so that no symbolic link leads out of it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "util.h"

int spawn_open_in_root(int root_fd, const char *path, int flags, unsigned int mode, spawn_error *reterr)
{
        struct open_how how = {
                .flags = (unsigned) (flags | O_CLOEXEC),
                .mode = (flags & O_CREAT) ? mode : 0,
                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
        };
        int fd = (int) syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

        if (fd < 0)
                return spawn_err(reterr, errno, "open in container", "%s: %s", path, strerror(errno));
        return fd;
}
