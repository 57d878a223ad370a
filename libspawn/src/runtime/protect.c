/* CVE-2019-5736: a container that gets this program to be executed inside of it (#!/proc/self/exe) holds a descriptor
 * of its file and, once it has ended, may write to it.
 *
 * Choices: a sealed copy in a memfd for every start costs a copy of the file and a second execve (1 ms), a read-only
 * bind mount of the file the second execve alone. Both are waste where the file cannot be written from inside: a file
 * of the distribution belongs to the real root, who has no id in an ordinary user's namespaces, and no capability
 * there reaches the file. So that is looked at first. Where it does not hold (root's containers; a program in the
 * user's own home directory; a caller with capabilities), the program runs again from a detached read-only clone of
 * its mount: whoever reopens /proc/self/exe gets the clone's file, and the mount, which is in no namespace that a
 * container has, says EROFS.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "caps.h"
#include "fail.h"
#include "io.h"
#include "protect.h"
#include "rootfs.h"
#include "util.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* The id that stands for those without a mapping here. */
static uid_t overflow_uid(void)
{
        _cleanup_free_ char *text = NULL;

        return read_file_at(AT_FDCWD, "/proc/sys/kernel/overflowuid", 64, &text) > 0 ? (uid_t) strtoul(text, NULL, 10)
                                                                                     : 65534;
}

static bool is_safe(int exe)
{
        struct statvfs fs;
        struct stat st;
        int seals = fcntl(exe, F_GET_SEALS);

        if (seals >= 0 && (seals & F_SEAL_WRITE))
                return true;
        if (fstatvfs(exe, &fs) == 0 && (fs.f_flag & ST_RDONLY))
                return true;
        if (fstat(exe, &st) < 0 || (st.st_mode & 0022) != 0 || geteuid() == st.st_uid)
                return false;
        /* Owner without an id here and nobody else may write: out of reach of every process in this namespace. */
        if (in_user_namespace())
                return st.st_uid == overflow_uid();
        /* An ordinary user's containers have the ids that /etc/subuid gives the user; root's is not one of them. */
        return st.st_uid == 0 && !caps_any();
}

static int readonly_mount(int exe)
{
        _cleanup_close_ int tree = tree_clone(exe, "", false);
        int r = tree < 0 ? tree : tree_setattr(tree, false, MOUNT_ATTR_RDONLY, 0, 0);

        return r < 0 ? r : steal_fd(&tree);
}

/* Where no mount can be made: an ordinary user outside of a user namespace. */
static int sealed_copy(int exe)
{
        _cleanup_close_ int fd = memfd_create("podlike-spawn", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        ssize_t n;

        if (fd < 0)
                return -errno;
        do
                n = sendfile(fd, exe, NULL, 1 << 30);
        while (n > 0);
        if (n < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
                return -errno;
        return steal_fd(&fd);
}

int protect_self(char **argv, spawn_error *e)
{
        _cleanup_close_ int exe = -1, proc = open("/proc/self", O_PATH | O_CLOEXEC);
        struct statfs fs;

        /* Where /proc is something else, all that is read there is made up. */
        if (proc < 0 || fstatfs(proc, &fs) < 0)
                return fail_errno(e, "protect", "open `/proc/self`");
        if (fs.f_type != PROC_SUPER_MAGIC)
                return spawn_err(e, EXDEV, "protect", "/proc is not procfs here");
        exe = openat(proc, "exe", O_RDONLY | O_CLOEXEC);
        if (exe < 0)
                return fail_errno(e, "protect", "open `/proc/self/exe`");
        if (is_safe(exe))
                return 0;
        _cleanup_close_ int safe = readonly_mount(exe);
        if (safe < 0)
                safe = sealed_copy(exe);
        if (safe < 0)
                return fail_code(e, safe, "protect", "protect this program from containers");
        (void) syscall(SYS_execveat, safe, "", argv, environ, AT_EMPTY_PATH);
        return fail_errno(e, "protect", "run this program from a protected place");
}
