/* Host name, domain name, sysctls. */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "fail.h"
#include "io.h"
#include "plan.h"
#include "rootfs.h"
#include "util.h"

int op_hostname(const struct op *op, struct builder *b, spawn_error *e)
{
        if (sethostname(op->text, strlen(op->text)) < 0)
                return fail_errno(e, "namespaces", "set hostname `%s`", op->text);
        return 0;
}

int op_domainname(const struct op *op, struct builder *b, spawn_error *e)
{
        if (setdomainname(op->text, strlen(op->text)) < 0)
                return fail_errno(e, "namespaces", "set domainname `%s`", op->text);
        return 0;
}

/* net.ipv4.ip_forward or net/ipv4/ip_forward: the first separator decides (sysctl.d(5)), so that
 * net/ipv4/conf/eth0.100/forwarding can be written. */
static void sysctl_path(const char *name, char *buf, size_t size)
{
        bool swap = strcspn(name, ".") < strcspn(name, "/");
        int n = snprintf(buf, size, "sys/%s", name);

        for (int i = 4; swap && i < n && (size_t) i < size; i++)
                buf[i] = buf[i] == '.' ? '/' : buf[i] == '/' ? '.' : buf[i];
}

int op_sysctl(const struct op *op, struct builder *b, spawn_error *e)
{
        char path[512];
        struct statfs fs;

        if (strlen(op->target) + 5 > sizeof(path))
                return spawn_err(e, ENAMETOOLONG, "sysctl", "linux.sysctl.%s: the name is too long", op->target);
        sysctl_path(op->target, path, sizeof(path));
        /* CVE-2025-52881: beneath the host's /proc, without links or other mounts; and really procfs. */
        _cleanup_close_ int fd = root_open_same_mount(b->proc_fd, path, O_WRONLY);
        if (fd < 0)
                return fail_code(e, fd, "sysctl", "linux.sysctl.%s: open `/proc/%s`", op->target, path);
        if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
                return spawn_err(e, EXDEV, "sysctl", "linux.sysctl.%s: /proc/%s is not a file of procfs", op->target,
                                 path);
        int r = write_all(fd, op->text, strlen(op->text));
        return r < 0 ? fail_code(e, r, "sysctl", "linux.sysctl.%s: write to `/proc/%s`", op->target, path) : 0;
}
