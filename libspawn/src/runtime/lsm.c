/* AppArmor and SELinux: labels of processes and mounts. A process's label is refused where its module is not enabled:
 * the container would run with less protection than was asked for. */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "fail.h"
#include "io.h"
#include "lsm.h"
#include "util.h"

bool lsm_selinux_enabled(void)
{
        return access("/sys/fs/selinux/enforce", F_OK) == 0;
}

bool lsm_apparmor_enabled(void)
{
        char c = 'N';
        _cleanup_close_ int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);

        return fd >= 0 && read(fd, &c, 1) == 1 && c == 'Y';
}

const char *lsm_mount_data(const char *kind, const char *label, const char *data, char *buf, size_t size)
{
        int n;

        if (label == NULL || label[0] == '\0' || !lsm_selinux_enabled())
                return data;
        n = snprintf(buf, size, "%s%s%s=\"%s\"", data != NULL ? data : "", data != NULL ? "," : "",
                     kind != NULL ? kind : "context", label);
        return n < 0 || (size_t) n >= size ? data : buf;
}

int lsm_prepare(const char *apparmor, const char *selinux, struct lsm_label *ret, spawn_error *e)
{
        bool label = selinux != NULL && selinux[0] != '\0', profile = apparmor != NULL && apparmor[0] != '\0';
        int n = 0;

        ret->attr[0] = '\0';
        if (label && !lsm_selinux_enabled())
                return spawn_err(e, EOPNOTSUPP, "label", "process.selinuxLabel: SELinux is not enabled on this system");
        if (profile && strcmp(apparmor, "unconfined") == 0 && !lsm_apparmor_enabled())
                profile = false;
        if (profile && !lsm_apparmor_enabled())
                return spawn_err(e, EOPNOTSUPP, "label",
                                 "process.apparmorProfile: AppArmor is not enabled on this system");
        if (label) {
                (void) snprintf(ret->attr, sizeof(ret->attr), "thread-self/attr/exec");
                n = snprintf(ret->text, sizeof(ret->text), "%s", selinux);
        } else if (profile) {
                /* The module's own directory since Linux 5.8; the shared one belongs to the first module. */
                bool own = access("/proc/thread-self/attr/apparmor/exec", F_OK) == 0;

                (void) snprintf(ret->attr, sizeof(ret->attr), "thread-self/attr/%sexec", own ? "apparmor/" : "");
                n = snprintf(ret->text, sizeof(ret->text), "exec %s", apparmor);
        }
        if (n < 0 || (size_t) n >= sizeof(ret->text))
                return spawn_err(e, ENAMETOOLONG, "label", "process.%s: the label is too long",
                                 label ? "selinuxLabel" : "apparmorProfile");
        return 0;
}

int lsm_apply(int proc_fd, const struct lsm_label *l, spawn_error *e)
{
        struct statfs fs;

        if (l->attr[0] == '\0')
                return 0;
        _cleanup_close_ int fd = openat(proc_fd, l->attr, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(e, "label", "open `/proc/%s`", l->attr);
        if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
                return spawn_err(e, EXDEV, "label", "open `/proc/%s`: it is not a file of procfs", l->attr);
        if (write(fd, l->text, strlen(l->text)) < 0)
                return fail_errno(e, "label", "set the label `%s` of the process", l->text);
        return 0;
}
