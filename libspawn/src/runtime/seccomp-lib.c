/* Loading libseccomp, and telling whether it has changed since. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fail.h"
#include "seccomp-lib.h"
#include "util.h"

int seccomp_lib_load(const struct seccomp_lib **ret, spawn_error *e)
{
        static struct seccomp_lib lib;
        const struct {
                const char *name;
                void *to;
        } symbols[] = {
                {"seccomp_init", &lib.init},
                {"seccomp_release", &lib.release},
                {"seccomp_attr_set", &lib.attr_set},
                {"seccomp_arch_add", &lib.arch_add},
                {"seccomp_arch_resolve_name", &lib.arch_resolve_name},
                {"seccomp_syscall_resolve_name", &lib.syscall_resolve_name},
                {"seccomp_rule_add_array", &lib.rule_add_array},
                {"seccomp_export_bpf", &lib.export_bpf},
                {"seccomp_version", &lib.version},
        };

        *ret = &lib;
        if (lib.handle != NULL)
                return 0;
        void *handle = dlopen("libseccomp.so.2", RTLD_LAZY | RTLD_LOCAL);
        if (handle == NULL)
                return spawn_err(
                        e, ENOENT, "seccomp",
                        "linux.seccomp needs libseccomp, which cannot be loaded (%s): install it (libseccomp2)",
                        dlerror());
        for (size_t i = 0; i < ELEMENTSOF(symbols); i++) {
                void *found = dlsym(handle, symbols[i].name);

                if (found == NULL) {
                        (void) dlclose(handle);
                        return spawn_err(e, ENOENT, "seccomp",
                                         "linux.seccomp: libseccomp.so.2 has no %s: it is too old", symbols[i].name);
                }
                memcpy(symbols[i].to, &found, sizeof(found));
        }
        lib.handle = handle;
        return 0;
}

static int fill(struct seccomp_compiler *c)
{
        struct stat st;

        if (stat(c->path, &st) < 0)
                return -errno;
        c->device = st.st_dev;
        c->inode = st.st_ino;
        c->size = (uint64_t) st.st_size;
        c->mtime_ns = (int64_t) st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        return 0;
}

int seccomp_lib_file(const struct seccomp_lib *lib, struct seccomp_compiler *ret)
{
        void *symbol;
        Dl_info info;

        memset(ret, 0, sizeof(*ret));
        memcpy(&symbol, &lib->init, sizeof(symbol));
        if (dladdr(symbol, &info) == 0 || info.dli_fname == NULL || strlen(info.dli_fname) >= sizeof(ret->path))
                return -ENOENT;
        (void) snprintf(ret->path, sizeof(ret->path), "%s", info.dli_fname);
        return fill(ret);
}

bool seccomp_compiler_is_current(const struct seccomp_compiler *c)
{
        struct seccomp_compiler now;

        memset(&now, 0, sizeof(now));
        memcpy(now.path, c->path, sizeof(now.path));
        return memchr(c->path, '\0', sizeof(c->path)) != NULL && fill(&now) == 0 && memcmp(&now, c, sizeof(now)) == 0;
}
