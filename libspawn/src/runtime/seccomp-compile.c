/* A seccomp profile of config.json compiled by libseccomp. */
#include <ctype.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "fail.h"
#include "seccomp-filter.h"
#include "seccomp-lib.h"
#include "util.h"

static const struct {
        const char *name;
        uint32_t action;
        bool has_errno;
} actions[] = {
        {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, false},
        {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true},
        {"SCMP_ACT_KILL", SCMP_ACT_KILL, false},
        {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, false},
        {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, false},
        {"SCMP_ACT_LOG", SCMP_ACT_LOG, false},
        {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY, false},
        {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), true},
        {"SCMP_ACT_TRAP", SCMP_ACT_TRAP, false},
};

static const struct {
        const char *name;
        enum scmp_compare op;
} compares[] = {
        {"SCMP_CMP_NE", SCMP_CMP_NE},
        {"SCMP_CMP_LT", SCMP_CMP_LT},
        {"SCMP_CMP_LE", SCMP_CMP_LE},
        {"SCMP_CMP_EQ", SCMP_CMP_EQ},
        {"SCMP_CMP_GE", SCMP_CMP_GE},
        {"SCMP_CMP_GT", SCMP_CMP_GT},
        {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

#define FLAG_WAIT_KILLABLE (1U << 5) /* SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19 */

static const struct {
        const char *name;
        uint32_t flag;
} flags[] = {
        {"SECCOMP_FILTER_FLAG_TSYNC", 0}, /* one thread: nothing to synchronise */
        {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
        {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
        {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", FLAG_WAIT_KILLABLE},
};

/* A filter in the making, with the library that makes it. */
struct making {
        const struct seccomp_lib *lib;
        scmp_filter_ctx ctx;
};

static inline void cleanup_makingp(struct making *m)
{
        if (m->ctx != NULL)
                m->lib->release(m->ctx);
}

static int get_action(const struct jv *up, const char *key, const char *errno_key, uint32_t default_errno,
                      uint32_t *ret, spawn_error *e)
{
        struct jv v = jv_key(up, key);
        const char *name = "";
        int64_t code = default_errno;
        int r = jv_as_str(&v, &name, e);

        if (r < 0)
                return r;
        if (r == 0)
                return jv_err(&v, e, "missing");
        r = jv_int(up, errno_key, 0, 4095, &code, e);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(actions); i++) {
                if (strcmp(actions[i].name, name) != 0)
                        continue;
                if (r > 0 && !actions[i].has_errno) {
                        struct jv c = jv_key(up, errno_key);

                        return jv_err(&c, e, "%s takes none", name);
                }
                *ret = actions[i].action | (actions[i].has_errno ? (uint32_t) code : 0);
                return 0;
        }
        return jv_err(&v, e, "unknown action \"%s\"", name);
}

/* The library has them in small letters without the prefix; 0: it does not know it. */
static uint32_t resolve_arch(const struct seccomp_lib *lib, const char *name)
{
        char lower[32];
        size_t k = 0;

        if (strncmp(name, "SCMP_ARCH_", 10) != 0)
                return 0;
        for (; name[10 + k] != '\0' && k + 1 < sizeof(lower); k++)
                lower[k] = (char) tolower((unsigned char) name[10 + k]);
        lower[k] = '\0';
        return lib->arch_resolve_name(lower);
}

const char *seccomp_action_name(size_t i)
{
        return i < ELEMENTSOF(actions) ? actions[i].name : NULL;
}

const char *seccomp_operator_name(size_t i)
{
        return i < ELEMENTSOF(compares) ? compares[i].name : NULL;
}

const char *seccomp_flag_name(size_t i)
{
        return i < ELEMENTSOF(flags) ? flags[i].name : NULL;
}

/* Architectures of the runtime specification; the library decides which of them there are. */
const char *seccomp_arch_name(size_t i)
{
        static const char *const names[] = {
                "SCMP_ARCH_X86",     "SCMP_ARCH_X86_64",   "SCMP_ARCH_X32",         "SCMP_ARCH_ARM",
                "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",      "SCMP_ARCH_MIPS64N32",
                "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",
                "SCMP_ARCH_PPC64",   "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_S390",        "SCMP_ARCH_S390X",
                "SCMP_ARCH_PARISC",  "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",     "SCMP_ARCH_LOONGARCH64",
                "SCMP_ARCH_M68K",    "SCMP_ARCH_SH",       "SCMP_ARCH_SHEB",
        };

        const struct seccomp_lib *lib;

        if (seccomp_lib_load(&lib, NULL) < 0)
                return NULL;
        for (size_t k = 0; k < ELEMENTSOF(names); k++)
                if (resolve_arch(lib, names[k]) != 0 && i-- == 0)
                        return names[k];
        return NULL;
}

bool seccomp_library_version(char *buf, size_t size)
{
        const struct scmp_version *v;
        const struct seccomp_lib *lib;

        if (seccomp_lib_load(&lib, NULL) < 0)
                return false;
        v = lib->version();
        (void) snprintf(buf, size, "%u.%u.%u", v->major, v->minor, v->micro);
        return true;
}

static int add_architectures(const struct making *m, const struct jv *profile, spawn_error *e)
{
        struct jv list;
        size_t n;
        int r = jv_array(profile, "architectures", &list, &n, e);

        for (size_t i = 0; r >= 0 && i < n; i++) {
                struct jv item = jv_idx(&list, i);
                const char *name = "";
                uint32_t token;

                r = jv_as_str(&item, &name, e);
                if (r < 0)
                        return r;
                token = resolve_arch(m->lib, name);
                if (token == 0)
                        return jv_err(&item, e, "unknown architecture \"%s\"", name);
                r = m->lib->arch_add(m->ctx, token);
                if (r < 0 && r != -EEXIST)
                        return jv_err(&item, e, "libseccomp refuses it: %s", strerror(-r));
                r = 0;
        }
        return r;
}

static int get_arg(const struct jv *v, struct scmp_arg_cmp *ret, spawn_error *e)
{
        struct jv op = jv_key(v, "op"), index = jv_key(v, "index"), number = jv_key(v, "value");
        const char *name = "";
        uint64_t value = 0, value_two = 0, n = 0;
        int r = jv_need_obj(v, e);

        if (r < 0 || (r = jv_as_u64(&index, &n, e)) < 0)
                return r;
        if (r == 0 || n > 5)
                return jv_err(&index, e, r == 0 ? "missing" : "system calls have arguments 0 to 5");
        if ((r = jv_as_u64(&number, &value, e)) < 0)
                return r;
        if (r == 0)
                return jv_err(&number, e, "missing");
        if ((r = jv_u64(v, "valueTwo", &value_two, e)) < 0 || (r = jv_as_str(&op, &name, e)) < 0)
                return r;
        if (r == 0)
                return jv_err(&op, e, "missing");
        for (size_t i = 0; i < ELEMENTSOF(compares); i++) {
                if (strcmp(compares[i].name, name) != 0)
                        continue;
                *ret = (struct scmp_arg_cmp){
                        .arg = (unsigned int) n, .op = compares[i].op, .datum_a = value, .datum_b = value_two};
                return 0;
        }
        return jv_err(&op, e, "unknown comparison \"%s\"", name);
}

/* Conditions on one call are joined by and; libseccomp takes one per argument, and where a profile has several for
 * the same argument, they mean or (as runc and crun read it). */
static int add_rules(const struct making *m, uint32_t action, int nr, const struct scmp_arg_cmp *args, unsigned int n)
{
        bool seen[6] = {false}, twice = false;
        int r = 0;

        for (unsigned int i = 0; i < n; i++) {
                twice = twice || seen[args[i].arg];
                seen[args[i].arg] = true;
        }
        if (!twice)
                return m->lib->rule_add_array(m->ctx, action, nr, n, args);
        for (unsigned int i = 0; i < n && r >= 0; i++)
                r = m->lib->rule_add_array(m->ctx, action, nr, 1, &args[i]);
        return r;
}

/* The filter is loaded before its listener can be handed over, and this is the call that hands it over. */
static int check_notify(const struct jv *names, size_t n, spawn_error *e)
{
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(names, i);

                if (json_object_is_type(item.obj, json_type_string) &&
                    strcmp(json_object_get_string(item.obj), "sendmsg") == 0)
                        return jv_err(&item, e,
                                      "SCMP_ACT_NOTIFY cannot be had for \"sendmsg\", which sends the listener");
        }
        return 0;
}

static int add_syscall(const struct making *m, uint32_t default_action, const struct jv *v, bool strict, spawn_error *e)
{
        struct scmp_arg_cmp args[32];
        struct jv names, list;
        size_t n_names, n_args;
        uint32_t action = 0;
        int r = jv_need_obj(v, e);

        if (r < 0 || (r = get_action(v, "action", "errnoRet", EPERM, &action, e)) < 0)
                return r;
        if ((r = jv_array(v, "names", &names, &n_names, e)) < 0 || (r = jv_array(v, "args", &list, &n_args, e)) < 0)
                return r;
        if (n_names == 0)
                return jv_err(&names, e, "missing or empty");
        if (action == SCMP_ACT_NOTIFY && (r = check_notify(&names, n_names, e)) < 0)
                return r;
        if (n_args > ELEMENTSOF(args))
                return jv_err(&list, e, "more than %zu conditions", ELEMENTSOF(args));
        for (size_t i = 0; i < n_args; i++) {
                struct jv item = jv_idx(&list, i);

                r = get_arg(&item, &args[i], e);
                if (r < 0)
                        return r;
        }
        /* libseccomp refuses a rule that says what happens anyway. */
        if (action == default_action)
                return 0;
        for (size_t i = 0; i < n_names; i++) {
                struct jv item = jv_idx(&names, i);
                const char *name = "";
                int nr;

                r = jv_as_str(&item, &name, e);
                if (r <= 0)
                        return r < 0 ? r : jv_err(&item, e, "expected a string, found null");
                nr = m->lib->syscall_resolve_name(name);
                /* Profiles name calls of all architectures and kernels: one that is unknown here cannot be made. */
                if (nr == __NR_SCMP_ERROR && strict)
                        return jv_err(&item, e, "unknown system call \"%s\"", name);
                if (nr == __NR_SCMP_ERROR)
                        continue;
                r = add_rules(m, action, nr, args, (unsigned int) n_args);
                if (r < 0)
                        return jv_err(&item, e, "libseccomp refuses the rule for \"%s\": %s", name, strerror(-r));
        }
        return 0;
}

/* seccomp(2) looks at the flags before it reads the program: EFAULT for those that it knows. A listener goes along
 * with the flag that is about one. */
static bool kernel_knows(uint32_t flag)
{
        unsigned int with = flag == FLAG_WAIT_KILLABLE ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;

        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flag | with, NULL) >= 0 || errno != EINVAL;
}

static int get_flags(const struct jv *profile, uint32_t *ret, spawn_error *e)
{
        struct jv list;
        size_t n;
        int r = jv_array(profile, "flags", &list, &n, e);

        for (size_t i = 0; r >= 0 && i < n; i++) {
                struct jv item = jv_idx(&list, i);
                const char *name = "";
                size_t k;

                r = jv_as_str(&item, &name, e);
                for (k = 0; r >= 0 && k < ELEMENTSOF(flags); k++)
                        if (strcmp(flags[k].name, name) == 0)
                                break;
                if (r >= 0 && k == ELEMENTSOF(flags))
                        return jv_err(&item, e, "unknown flag \"%s\"", name);
                if (r >= 0 && !kernel_knows(flags[k].flag))
                        return jv_err(&item, e, "this kernel does not know %s", name);
                if (r >= 0)
                        *ret |= flags[k].flag;
        }
        return r;
}

/* A search tree over the system calls, not a list: the kernel, which runs a new filter for each call once to know what
 * it always allows, loads podman's profile in 0.25 ms rather than 0.65. Where that makes too long a filter, the list. */
static int generate(const struct making *m, int fd, off_t *ret_size)
{
        for (uint32_t optimize = 2; optimize > 0; optimize--) {
                int r = m->lib->attr_set(m->ctx, SCMP_FLTATR_CTL_OPTIMIZE, optimize);

                if (r == 0)
                        r = m->lib->export_bpf(m->ctx, fd);
                *ret_size = lseek(fd, 0, SEEK_END);
                if (r == 0 && (*ret_size <= SECCOMP_FILTER_MAX || optimize == 1))
                        return 0;
                if (optimize == 1)
                        return r;
                if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
                        return -errno;
        }
        return -EINVAL;
}

static int export_bpf(const struct making *m, struct seccomp_filter *ret, spawn_error *e)
{
        _cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);
        off_t size = 0;
        int r = fd < 0 ? -errno : generate(m, fd, &size);

        if (r < 0)
                return fail_code(e, r, "seccomp", "compile the seccomp profile");
        if (size > SECCOMP_FILTER_MAX)
                return spawn_err(e, E2BIG, "seccomp",
                                 "linux.seccomp: it makes a filter of %lld instructions, the kernel takes %d",
                                 (long long) size / 8, SECCOMP_FILTER_MAX / 8);
        ret->bpf = malloc((size_t) size);
        if (ret->bpf == NULL || pread(fd, ret->bpf, (size_t) size, 0) != (ssize_t) size)
                return fail_code(e, ret->bpf == NULL ? ENOMEM : EIO, "seccomp", "compile the seccomp profile");
        ret->len = (size_t) size;
        return 0;
}

int seccomp_compile(struct json_object *profile, bool strict, struct seccomp_filter *ret, spawn_error *e)
{
        struct jv root = jv_root(NULL), lin = {.up = &root, .key = "linux"};
        struct jv v = {.up = &lin, .key = "seccomp", .obj = profile}, list;
        __attribute__((cleanup(cleanup_makingp))) struct making m = {NULL};
        uint32_t action = 0;
        size_t n;
        int r = get_action(&v, "defaultAction", "defaultErrnoRet", EPERM, &action, e);

        if (r < 0)
                return r;
        if (action == SCMP_ACT_NOTIFY) {
                list = jv_key(&v, "defaultAction");
                return jv_err(&list, e, "SCMP_ACT_NOTIFY cannot be the default: the listener could not be handed over");
        }
        r = seccomp_lib_load(&m.lib, e);
        if (r < 0)
                return r;
        if (seccomp_lib_file(m.lib, &ret->compiler) < 0)
                ret->compiler.path[0] = '\0'; /* then no entry of the cache will do */
        m.ctx = m.lib->init(action);
        if (m.ctx == NULL)
                return fail_text(e, "seccomp", "libseccomp refuses the default action of the profile");
        if ((r = get_flags(&v, &ret->flags, e)) < 0 || (r = add_architectures(&m, &v, e)) < 0)
                return r;
        if ((r = jv_array(&v, "syscalls", &list, &n, e)) < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i);

                r = add_syscall(&m, action, &item, strict, e);
                if (r < 0)
                        return r;
        }
        return export_bpf(&m, ret, e);
}
