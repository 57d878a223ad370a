/* linux.resources.devices: rules, and the eBPF program that the kernel asks for each open and mknod in the cgroup.
 *
 * cgroup v1 kept a list that rules were added to and taken from, per access (r, w, m). The program gives the same
 * answers: it goes through the rules from the last to the first, and the first that speaks of an access decides it.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "cgroup.h"
#include "fail.h"
#include "io.h"
#include "util.h"

#define ACCESS_ALL (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)
#define PROGRAM_NAME "podlike_dev" /* at most 15 characters */
#define RULES_MAX 1024

/* What every container may use whatever the rules say: the devices that runtime-spec ("Default Devices") puts into
 * each, terminals, making nodes, and /dev/net/tun, as in crun and runc. */
static const struct cgroup_device always[] = {
        {'c', -1, -1, BPF_DEVCG_ACC_MKNOD, true},
        {'b', -1, -1, BPF_DEVCG_ACC_MKNOD, true},
        {'c', 1, 3, ACCESS_ALL, true}, /* null */
        {'c', 1, 5, ACCESS_ALL, true}, /* zero */
        {'c', 1, 7, ACCESS_ALL, true}, /* full */
        {'c', 1, 8, ACCESS_ALL, true}, /* random */
        {'c', 1, 9, ACCESS_ALL, true}, /* urandom */
        {'c', 5, 0, ACCESS_ALL, true}, /* tty */
        {'c', 5, 1, ACCESS_ALL, true}, /* console */
        {'c', 5, 2, ACCESS_ALL, true}, /* ptmx */
        {'c', 136, -1, ACCESS_ALL, true}, /* pts/N */
        {'c', 10, 200, ACCESS_ALL, true}, /* net/tun */
};

static int parse_access(const struct jv *rule, unsigned int *ret, spawn_error *e)
{
        struct jv at = jv_key(rule, "access");
        const char *text = "";
        int r = jv_as_str(&at, &text, e);

        if (r < 0)
                return r;
        *ret = 0;
        for (const char *p = text; *p != '\0'; p++) {
                if (*p == 'r')
                        *ret |= BPF_DEVCG_ACC_READ;
                else if (*p == 'w')
                        *ret |= BPF_DEVCG_ACC_WRITE;
                else if (*p == 'm')
                        *ret |= BPF_DEVCG_ACC_MKNOD;
                else
                        return jv_err(&at, e, "\"%.16s\" is not made of r, w and m", text);
        }
        if (*ret == 0)
                *ret = ACCESS_ALL; /* absent: all of them */
        return 0;
}

static int parse_rule(const struct jv *v, struct cgroup_device *d, spawn_error *e)
{
        struct jv allow = jv_key(v, "allow"), at = jv_key(v, "type");
        const char *type = "a";
        int r = jv_need_obj(v, e);

        *d = (struct cgroup_device){.type = 'a', .major = -1, .minor = -1};
        if (r < 0 || (r = jv_bool(v, "allow", &d->allow, e)) < 0)
                return r;
        if (r == 0)
                return jv_err(&allow, e, "missing");
        if ((r = jv_as_str(&at, &type, e)) < 0)
                return r;
        if (type[0] != '\0' && (type[1] != '\0' || strchr("abc", type[0]) == NULL))
                return jv_err(&at, e, "must be one of a, b, c");
        d->type = type[0] != '\0' ? type[0] : 'a';
        if ((r = jv_int(v, "major", -1, UINT32_MAX, &d->major, e)) < 0 ||
            (r = jv_int(v, "minor", -1, UINT32_MAX, &d->minor, e)) < 0)
                return r;
        return parse_access(v, &d->access, e);
}

int cgroup_device_rules(const struct jv *res, struct cgroup_settings *s, spawn_error *e)
{
        struct jv list;
        size_t n = 0;
        int r = jv_array(res, "devices", &list, &n, e);

        if (r <= 0 || n == 0)
                return r;
        if (n > RULES_MAX)
                return jv_err(&list, e, "%zu rules, at most %d are possible", n, RULES_MAX);
        s->devices = arena_alloc(&s->arena, n, sizeof(*s->devices));
        if (s->devices == NULL)
                return jv_no_memory(&list, e);
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i);

                if ((r = parse_rule(&item, &s->devices[i], e)) < 0)
                        return r;
        }
        s->n_devices = n;
        return 0;
}

/* Instructions; registers: r2 type, r3 accesses still to be decided, r4 major, r5 minor. */
#define INSN(c, d, s, o, i) ((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define LOAD(reg, field)                                                                                               \
        INSN(BPF_LDX | BPF_SIZE(BPF_W) | BPF_MEM, reg, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, field), 0)
#define ALU32(op, reg, imm) INSN(BPF_ALU | (op) | BPF_K, reg, 0, 0, imm)
#define JUMP32(op, reg, imm, off) INSN(BPF_JMP32 | (op) | BPF_K, reg, 0, off, imm)
#define ANSWER(yes) INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, yes)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* Returns the number of instructions put at p: at most 8. */
static size_t rule_code(const struct cgroup_device *d, struct bpf_insn *p)
{
        const int type = d->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
        const size_t checks = (size_t) (d->type != 'a') + (d->major >= 0) + (d->minor >= 0), end = checks + 4;
        size_t n = 0;

        /* Not this device: on to the next rule. An offset counts from the instruction after the jump. */
        if (d->type != 'a')
                p[n] = JUMP32(BPF_JNE, BPF_REG_2, type, (short) (end - n - 1)), n++;
        if (d->major >= 0)
                p[n] = JUMP32(BPF_JNE, BPF_REG_4, (int) (uint32_t) d->major, (short) (end - n - 1)), n++;
        if (d->minor >= 0)
                p[n] = JUMP32(BPF_JNE, BPF_REG_5, (int) (uint32_t) d->minor, (short) (end - n - 1)), n++;
        if (d->allow) {
                /* Granted; the others are asked for further. */
                p[n++] = ALU32(BPF_AND, BPF_REG_3, (int) (~d->access & ACCESS_ALL));
                p[n++] = JUMP32(BPF_JNE, BPF_REG_3, 0, 2);
        } else {
                p[n++] = JUMP32(BPF_JSET, BPF_REG_3, (int) d->access, 1);
                p[n++] = INSN(BPF_JMP | BPF_JA, 0, 0, 2, 0);
        }
        p[n++] = ANSWER(d->allow);
        p[n++] = EXIT;
        return n;
}

int cgroup_device_program(const struct cgroup_device *rules, size_t n, struct bpf_insn **ret)
{
        struct bpf_insn *p = calloc((n + ELEMENTSOF(always)) * 8 + 8, sizeof(*p));
        size_t len = 0;

        if (p == NULL)
                return -ENOMEM;
        p[len++] = LOAD(BPF_REG_2, access_type);
        p[len++] = ALU32(BPF_AND, BPF_REG_2, 0xFFFF);
        p[len++] = LOAD(BPF_REG_3, access_type);
        p[len++] = ALU32(BPF_RSH, BPF_REG_3, 16);
        p[len++] = LOAD(BPF_REG_4, major);
        p[len++] = LOAD(BPF_REG_5, minor);
        for (size_t i = 0; i < ELEMENTSOF(always); i++)
                len += rule_code(&always[i], p + len);
        for (size_t i = n; i-- > 0;)
                len += rule_code(&rules[i], p + len);
        p[len++] = ANSWER(0);
        p[len++] = EXIT;
        *ret = p;
        return (int) len;
}

static int bpf(int command, union bpf_attr *attr)
{
        return (int) syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int load(const struct bpf_insn *program, size_t n)
{
        union bpf_attr a = {
                .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
                .insns = (uint64_t) (uintptr_t) program,
                .insn_cnt = (uint32_t) n,
                .license = (uint64_t) (uintptr_t) "Apache-2.0", /* only helpers ask for the GPL, it calls none */
                .prog_name = PROGRAM_NAME,
        };
        int fd = bpf(BPF_PROG_LOAD, &a);

        return fd < 0 ? -errno : fd;
}

/* The program that an earlier call has attached to this cgroup; -ENOENT. */
static int find_ours(int cgroup_fd)
{
        uint32_t ids[64] = {0};
        union bpf_attr query = {.query = {.target_fd = (uint32_t) cgroup_fd,
                                          .attach_type = BPF_CGROUP_DEVICE,
                                          .prog_ids = (uint64_t) (uintptr_t) ids,
                                          .prog_cnt = ELEMENTSOF(ids)}};

        if (bpf(BPF_PROG_QUERY, &query) < 0)
                return -errno;
        for (uint32_t i = 0; i < query.query.prog_cnt && i < ELEMENTSOF(ids); i++) {
                struct bpf_prog_info info = {0};
                union bpf_attr by_id = {.prog_id = ids[i]}, about = {0};

                _cleanup_close_ int fd = bpf(BPF_PROG_GET_FD_BY_ID, &by_id);
                if (fd < 0)
                        continue;
                about.info.bpf_fd = (uint32_t) fd;
                about.info.info_len = sizeof(info);
                about.info.info = (uint64_t) (uintptr_t) &info;
                if (bpf(BPF_OBJ_GET_INFO_BY_FD, &about) == 0 && strcmp(info.name, PROGRAM_NAME) == 0)
                        return steal_fd(&fd);
        }
        return -ENOENT;
}

static int attach(int cgroup_fd, int program)
{
        union bpf_attr a = {.target_fd = (uint32_t) cgroup_fd,
                            .attach_bpf_fd = (uint32_t) program,
                            .attach_type = BPF_CGROUP_DEVICE,
                            /* Beside those of systemd and of the cgroups above: all must agree. */
                            .attach_flags = BPF_F_ALLOW_MULTI};

        _cleanup_close_ int old = find_ours(cgroup_fd);
        if (old >= 0) {
                /* At once, so that there is no moment with both or neither. */
                a.attach_flags |= BPF_F_REPLACE;
                a.replace_bpf_fd = (uint32_t) old;
        }
        return bpf(BPF_PROG_ATTACH, &a) < 0 ? -errno : 0;
}

int cgroup_devices_apply(int fd, const char *path, const struct cgroup_settings *s, spawn_error *e)
{
        struct bpf_insn *program = NULL;
        int n, r;

        if (s->n_devices == 0)
                return 0;
        n = cgroup_device_program(s->devices, s->n_devices, &program);
        if (n < 0)
                return spawn_err(e, ENOMEM, "cgroup", "out of memory");
        _cleanup_close_ int prog = load(program, (size_t) n);
        free(program);
        r = prog < 0 ? prog : attach(fd, prog);
        if (r == 0)
                return 0;
        /* Without a rule that forbids, all that is lost is that nothing else is forbidden either: as crun. */
        for (size_t i = 0; i < s->n_devices; i++)
                if (!s->devices[i].allow)
                        return fail_code(e, r, "cgroup",
                                         "linux.resources.devices: %s the device program of cgroup `%s`",
                                         prog < 0 ? "load" : "attach", path);
        return 0;
}
