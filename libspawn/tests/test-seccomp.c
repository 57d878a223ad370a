/* What a compiled filter says, instruction by instruction, and when a cached one is no longer believed. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"
#include "io.h"
#include "seccomp-filter.h"
#include "util.h"

#define ALLOW SECCOMP_RET_ALLOW
#define ERROR(n) (SECCOMP_RET_ERRNO | (n))

/* seccomp(2): the filter as the kernel would run it. */
static uint32_t ask(const struct seccomp_filter *f, const struct seccomp_data *d)
{
        const struct sock_filter *prog = f->bpf;
        uint32_t a = 0, m[16] = {0};

        for (size_t pc = 0; pc < f->len / sizeof(*prog); pc++) {
                const struct sock_filter *i = &prog[pc];

                switch (i->code) {
                case BPF_LD | BPF_W | BPF_ABS:
                        CHECK(i->k + 4 <= sizeof(*d));
                        memcpy(&a, (const char *) d + i->k, 4);
                        break;
                case BPF_ALU | BPF_AND | BPF_K:
                        a &= i->k;
                        break;
                case BPF_LD | BPF_MEM:
                        a = m[i->k];
                        break;
                case BPF_ST:
                        m[i->k] = a;
                        break;
                case BPF_JMP | BPF_JA:
                        pc += i->k;
                        break;
                case BPF_JMP | BPF_JEQ | BPF_K:
                        pc += a == i->k ? i->jt : i->jf;
                        break;
                case BPF_JMP | BPF_JGT | BPF_K:
                        pc += a > i->k ? i->jt : i->jf;
                        break;
                case BPF_JMP | BPF_JGE | BPF_K:
                        pc += a >= i->k ? i->jt : i->jf;
                        break;
                case BPF_JMP | BPF_JSET | BPF_K:
                        pc += (a & i->k) != 0 ? i->jt : i->jf;
                        break;
                case BPF_RET | BPF_K:
                        return i->k;
                default:
                        fprintf(stderr, "instruction %zu has code %#x\n", pc, i->code);
                        abort();
                }
        }
        abort(); /* ran off the end */
}

static void compile(const char *text, int cache, struct seccomp_filter *ret)
{
        struct json_object *o = json_tokener_parse(text);
        spawn_error e = {0};

        CHECK(o != NULL);
        if (seccomp_prepare(o, false, cache, ret, &e) < 0) {
                fprintf(stderr, "%s\n", e.text);
                abort();
        }
        json_object_put(o);
}

#ifdef __x86_64__

/* A third of these allowed, a third refused, a third not mentioned. */
static const struct {
        int nr;
        const char *name;
} some[] = {
        {SYS_read, "read"},       {SYS_write, "write"},   {SYS_close, "close"},
        {SYS_mmap, "mmap"},       {SYS_ioctl, "ioctl"},   {SYS_getpid, "getpid"},
        {SYS_socket, "socket"},   {SYS_clone, "clone"},   {SYS_execve, "execve"},
        {SYS_kill, "kill"},       {SYS_fcntl, "fcntl"},   {SYS_getcwd, "getcwd"},
        {SYS_mkdir, "mkdir"},     {SYS_ptrace, "ptrace"}, {SYS_personality, "personality"},
        {SYS_prctl, "prctl"},     {SYS_mount, "mount"},   {SYS_reboot, "reboot"},
        {SYS_gettid, "gettid"},   {SYS_futex, "futex"},   {SYS_openat, "openat"},
        {SYS_unshare, "unshare"}, {SYS_setns, "setns"},   {SYS_getrandom, "getrandom"},
        {SYS_bpf, "bpf"},         {SYS_statx, "statx"},   {SYS_clone3, "clone3"},
        {SYS_openat2, "openat2"},
};

static uint32_t wanted(size_t i)
{
        return i % 3 == 0 ? ALLOW : i % 3 == 1 ? ERROR(i + 1) : ERROR(38);
}

static const char *profile(void)
{
        static char text[8192];
        size_t n = 0;

        n += (size_t) snprintf(
                text, sizeof(text),
                "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
                "\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"],\"syscalls\":["
                "{\"names\":[\"accept\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
                "{\"index\":0,\"value\":7,\"op\":\"SCMP_CMP_EQ\"},{\"index\":1,\"value\":4294967296,\"op\":\"SCMP_CMP_GE\"}]}");
        for (size_t i = 0; i < ELEMENTSOF(some); i++) {
                if (i % 3 == 2)
                        continue;
                n += (size_t) snprintf(text + n, sizeof(text) - n, ",{\"names\":[\"%s\"],\"action\":\"%s\"",
                                       some[i].name, i % 3 == 0 ? "SCMP_ACT_ALLOW" : "SCMP_ACT_ERRNO");
                if (i % 3 == 1)
                        n += (size_t) snprintf(text + n, sizeof(text) - n, ",\"errnoRet\":%zu", i + 1);
                n += (size_t) snprintf(text + n, sizeof(text) - n, "}");
        }
        (void) snprintf(text + n, sizeof(text) - n, "]}");
        return text;
}

TEST(seccomp_filter_says_what_the_profile_says)
{
        struct seccomp_filter f = {0};

        compile(profile(), -1, &f);
        for (int nr = 0; nr < 512; nr++) {
                struct seccomp_data d = {.nr = nr, .arch = AUDIT_ARCH_X86_64};
                uint32_t want = ERROR(38);

                for (size_t i = 0; i < ELEMENTSOF(some); i++)
                        if (some[i].nr == nr)
                                want = wanted(i);
                if (ask(&f, &d) != want) {
                        fprintf(stderr, "call %d: %#x, not %#x\n", nr, ask(&f, &d), want);
                        abort();
                }
        }
        /* The other architectures: numbers of their own; x32 is the bit. */
        CHECK(ask(&f, &(struct seccomp_data){.nr = 3, .arch = AUDIT_ARCH_I386}) == wanted(0));
        CHECK(ask(&f, &(struct seccomp_data){.nr = 4, .arch = AUDIT_ARCH_I386}) == wanted(1));
        CHECK(ask(&f, &(struct seccomp_data){.nr = 6, .arch = AUDIT_ARCH_I386}) == wanted(2));
        CHECK(ask(&f, &(struct seccomp_data){.nr = 0x40000000, .arch = AUDIT_ARCH_X86_64}) == wanted(0));
        CHECK(ask(&f, &(struct seccomp_data){.nr = 0x40000001, .arch = AUDIT_ARCH_X86_64}) == wanted(1));
        /* An architecture that the profile does not name. */
        CHECK((ask(&f, &(struct seccomp_data){.nr = 0, .arch = AUDIT_ARCH_AARCH64}) & SECCOMP_RET_ACTION_FULL) ==
              SECCOMP_RET_KILL_THREAD);
        seccomp_filter_free(&f);
}

TEST(seccomp_filter_looks_at_arguments)
{
        struct seccomp_filter f = {0};
        struct seccomp_data d = {.nr = SYS_accept, .arch = AUDIT_ARCH_X86_64, .args = {7, UINT64_C(4294967296)}};

        compile(profile(), -1, &f);
        CHECK(ask(&f, &d) == ALLOW);
        d.args[1] = UINT64_C(4294967295);
        CHECK(ask(&f, &d) == ERROR(38));
        d.args[1] = UINT64_C(1) << 40;
        CHECK(ask(&f, &d) == ALLOW);
        d.args[0] = UINT64_C(7) << 32 | 7;
        CHECK(ask(&f, &d) == ERROR(38));
        seccomp_filter_free(&f);
}

#endif

/* Another libseccomp since: the entry's inode is not that of the file which is there now. */
TEST(seccomp_cache_of_another_library)
{
        const char *text =
                "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getcwd\"],\"action\":\"SCMP_ACT_KILL\"}]}";
        int dir = open(scratch_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct seccomp_filter a = {0}, b = {0};
        struct stat first, second;
        char *entry = NULL, *place;
        ssize_t n;

        compile(text, dir, &a);
        CHECK(a.compiler.path[0] == '/' && seccomp_compiler_is_current(&a.compiler));
        CHECK(fstatat(dir, a.digest, &first, 0) == 0);
        compile(text, dir, &b);
        CHECK(fstatat(dir, a.digest, &second, 0) == 0 && first.st_ino == second.st_ino); /* a hit writes nothing */
        seccomp_filter_free(&b);

        n = read_file_at(dir, a.digest, 1 << 20, &entry);
        place = n > 0 ? memmem(entry, (size_t) n, &a.compiler, sizeof(a.compiler)) : NULL;
        CHECK(place != NULL);
        place[offsetof(struct seccomp_compiler, inode)]++;
        CHECK(replace_file_at(dir, a.digest, entry, (size_t) n, 0600) == 0);
        CHECK(seccomp_from_cache(dir, a.digest, &b) == 0 && !seccomp_compiler_is_current(&b.compiler));
        seccomp_filter_free(&b);
        compile(text, dir, &b);
        CHECK(seccomp_compiler_is_current(&b.compiler) && b.len == a.len && memcmp(a.bpf, b.bpf, a.len) == 0);
        seccomp_filter_free(&b);
        CHECK(seccomp_from_cache(dir, a.digest, &b) == 0 && seccomp_compiler_is_current(&b.compiler));
        seccomp_filter_free(&a);
        seccomp_filter_free(&b);
        free(entry);
        (void) close(dir);
}
