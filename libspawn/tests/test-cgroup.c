/* linux.resources as settings and device programs, paths and slices, systemd's values. */
#include <errno.h>
#include <linux/bpf.h>
#include <math.h>
#include <string.h>

#include "cgroup.h"
#include "cgroup-systemd.h"
#include "harness.h"
#include "util.h"

static void check(const char *text, const char *want)
{
        struct json_object *o = json_tokener_parse(text);
        struct cgroup_settings s;
        spawn_error e = {0};
        char got[2048] = "";
        size_t n = 0;
        int r;

        CHECK(o != NULL);
        r = cgroup_settings(o, &s, &e);
        for (size_t i = 0; r == 0 && i < s.n; i++)
                n += (size_t) snprintf(got + n, sizeof(got) - n, "%s=%s;", s.v[i].file, s.v[i].value);
        CHECK_STR(r == 0 ? got : e.text, want);
        cgroup_settings_free(&s);
        json_object_put(o);
}

TEST(cgroup_memory)
{
        check("{}", "");
        check("{\"memory\":{\"limit\":1000,\"swap\":3000,\"reservation\":500}}",
              "memory.max=1000;memory.swap.max=2000;memory.low=500;");
        check("{\"memory\":{\"limit\":1000,\"swap\":1000}}", "memory.max=1000;memory.swap.max=0;");
        check("{\"memory\":{\"limit\":1000,\"swap\":-1}}", "memory.max=1000;memory.swap.max=max;");
        check("{\"memory\":{\"limit\":-1,\"swap\":-1,\"reservation\":-1}}",
              "memory.max=max;memory.swap.max=max;memory.low=max;");
        check("{\"memory\":{\"swap\":0}}", "memory.swap.max=0;");
        check("{\"memory\":{\"limit\":0}}", "");
        check("{\"memory\":{\"swap\":1000}}", "linux.resources.memory.swap: cannot be set without a memory limit");
        check("{\"memory\":{\"limit\":-1,\"swap\":1000}}",
              "linux.resources.memory.swap: cannot be set without a memory limit");
        check("{\"memory\":{\"limit\":2000,\"swap\":1000}}",
              "linux.resources.memory.swap: is memory and swap together, so it must not be below the memory limit");
        check("{\"memory\":{\"limit\":-2}}",
              "linux.resources.memory.limit: must be between -1 and 9223372036854775807");
        check("{\"memory\":{\"limit\":1.5}}", "linux.resources.memory.limit: expected a whole number, found double");
        check("{\"memory\":{\"kernel\":5}}",
              "linux.resources.memory.kernel: cgroup v2 has no such setting, leave it out");
        check("{\"memory\":{\"limit\":0,\"reservation\":0,\"kernel\":0,\"kernelTCP\":0}}", "");
        check("{\"memory\":{\"swappiness\":0}}",
              "linux.resources.memory.swappiness: cgroup v2 has no such setting, leave it out");
        check("{\"memory\":{\"disableOOMKiller\":true}}",
              "linux.resources.memory.disableOOMKiller: cgroup v2 has no such setting, leave it out");
        check("{\"memory\":{\"disableOOMKiller\":false,\"limit\":1}}", "memory.max=1;");
        check("{\"memory\":[]}", "linux.resources.memory: expected an object, found array");
}

TEST(cgroup_cpu)
{
        check("{\"cpu\":{\"shares\":1024,\"quota\":50000,\"period\":100000,\"cpus\":\"0-1\",\"mems\":\"0\"}}",
              "cpu.weight=100;cpu.max=50000 100000;cpuset.cpus=0-1;cpuset.mems=0;");
        check("{\"cpu\":{\"quota\":-1}}", "cpu.max=max -;");
        check("{\"cpu\":{\"quota\":50000}}", "cpu.max=50000 -;");
        check("{\"cpu\":{\"period\":50000}}", "cpu.max=- 50000;");
        check("{\"cpu\":{\"quota\":0,\"period\":0,\"shares\":0,\"cpus\":\"\",\"realtimePeriod\":0}}", "");
        check("{\"cpu\":{\"burst\":1000,\"idle\":1}}", "cpu.idle=1;cpu.max.burst=1000;");
        check("{\"cpu\":{\"idle\":2}}", "linux.resources.cpu.idle: must be between 0 and 1");
        check("{\"cpu\":{\"period\":999}}",
              "linux.resources.cpu.period: must be between 1000 and 1000000 (microseconds)");
        check("{\"cpu\":{\"quota\":5}}", "linux.resources.cpu.quota: must be at least 1000 (microseconds)");
        check("{\"cpu\":{\"cpus\":\"a\"}}", "linux.resources.cpu.cpus: \"a\" is not a list such as 0-3,7");
        check("{\"cpu\":{\"realtimeRuntime\":5}}",
              "linux.resources.cpu.realtimeRuntime: cgroup v2 has no such setting, leave it out");
        check("{\"cpu\":{\"shares\":-5}}", "linux.resources.cpu.shares: must not be negative");
}

TEST(cgroup_others)
{
        check("{\"pids\":{\"limit\":-1}}", "pids.max=max;");
        check("{\"pids\":{\"limit\":0}}", "pids.max=max;");
        check("{\"pids\":{\"limit\":20}}", "pids.max=20;");
        check("{\"pids\":{\"limit\":\"x\"}}", "linux.resources.pids.limit: expected a whole number, found string");
        check("{\"blockIO\":{\"weight\":500,\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":99}],"
              "\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":10}]}}",
              "io.bfq.weight=500;io.bfq.weight=8:1 10;io.max=8:0 rbps=99;");
        check("{\"blockIO\":{\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":0}]}}",
              "io.max=8:0 wiops=max;");
        check("{\"blockIO\":{\"weight\":9}}", "linux.resources.blockIO.weight: must be between 10 and 1000");
        check("{\"blockIO\":{\"leafWeight\":9}}",
              "linux.resources.blockIO.leafWeight: cgroup v2 has no such setting, leave it out");
        check("{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"rate\":9}]}}",
              "linux.resources.blockIO.throttleReadBpsDevice[0].minor: missing");
        check("{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":0}]}", "hugetlb.2MB.max=0;");
        check("{\"hugepageLimits\":[{\"pageSize\":\"a/b\",\"limit\":0}]}",
              "linux.resources.hugepageLimits[0].pageSize: \"a/b\" is not a page size such as 2MB");
        check("{\"hugepageLimits\":[{\"pageSize\":\"2MB\"}]}", "linux.resources.hugepageLimits[0].limit: missing");
        check("{\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":100}}}",
              "rdma.max=mlx5_1 hca_handle=3 hca_object=100;");
        check("{\"rdma\":{\"a b\":{\"hcaHandles\":3}}}", "linux.resources.rdma.a b: is not the name of a device");
        check("{\"network\":{\"classID\":5}}",
              "linux.resources.network: cgroup v2 has no network limits, leave it out");
        check("{\"network\":{}}", "");
}

TEST(cgroup_unified)
{
        check("{\"unified\":{\"memory.high\":\"5\",\"memory.oom.group\":\"1\"}}", "memory.high=5;memory.oom.group=1;");
        check("{\"unified\":{\"io.max\":\"8:0 rbps=1\\n8:16 rbps=2\\n\"}}", "io.max=8:0 rbps=1;io.max=8:16 rbps=2;");
        check("{\"unified\":{\"memory.high\":\"\"}}", "");
        check("{\"memory\":{\"limit\":5},\"unified\":{\"memory.max\":\"7\"}}", "memory.max=5;memory.max=7;");
        check("{\"unified\":{\"../x.y\":\"5\"}}", "linux.resources.unified.../x.y: is not the name of a cgroup file");
        check("{\"unified\":{\"NAME\":\"5\"}}",
              "linux.resources.unified.NAME: the specified key has not the form CONTROLLER.VALUE `NAME`");
        check("{\"unified\":{\"cgroup.procs\":\"1\"}}",
              "linux.resources.unified.cgroup.procs: is the runtime's own, only limits can be set");
        check("{\"unified\":{\"memory.high\":5}}", "linux.resources.unified.memory.high: expected a string, found int");
}

/* Against the formula in double precision, for every value there is. */
TEST(cgroup_weights)
{
        CHECK(cgroup_weight_of_shares(0) == 1 && cgroup_weight_of_shares(2) == 1 && cgroup_weight_of_shares(3) == 2);
        CHECK(cgroup_weight_of_shares(1024) == 100 && cgroup_weight_of_shares(260000) == 9929);
        CHECK(cgroup_weight_of_shares(262144) == 10000 && cgroup_weight_of_shares(UINT64_MAX) == 10000);
        for (unsigned int shares = 3; shares < 262144; shares++) {
                double l = log2(shares), w = pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0);

                CHECK(cgroup_weight_of_shares(shares) == (unsigned int) ceil(w - 1e-9));
        }
        CHECK(cgroup_io_weight(10) == 1 && cgroup_io_weight(1000) == 10000 && cgroup_io_weight(500) == 4950);
}

static void check_slice(const char *slice, const char *want)
{
        char path[256] = "?";

        CHECK(cgroup_slice_path(slice, path, sizeof(path)) == (want != NULL ? 0 : -EINVAL));
        if (want != NULL)
                CHECK_STR(path, want);
}

TEST(cgroup_slices)
{
        check_slice("user.slice", "/user.slice");
        check_slice("a-b.slice", "/a.slice/a-b.slice");
        check_slice("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice");
        check_slice("-.slice", "");
        check_slice("a--b.slice", NULL);
        check_slice("-a.slice", NULL);
        check_slice("a-.slice", NULL);
        check_slice("a/b.slice", NULL);
        check_slice("a", NULL);
        check_slice(".slice", NULL);
}

static void check_split(const char *path, const char *slice, const char *scope)
{
        char a[256], b[256];

        CHECK(cgroup_split_systemd(path, a, b) == (slice != NULL));
        if (slice != NULL) {
                CHECK_STR(a, slice);
                CHECK_STR(b, scope);
        }
}

TEST(cgroup_systemd_paths)
{
        check_split("user.slice:libpod:abc", "user.slice", "libpod-abc.scope");
        check_split(":x:abc", "", "x-abc.scope");
        check_split("a.slice::abc", "a.slice", "abc.scope");
        check_split("a.slice:abc.scope", "a.slice", "abc.scope");
        check_split("a.slice:x:", NULL, NULL);
        check_split("/a:b:c", NULL, NULL);
        check_split("abc", NULL, NULL);
}

static void check_path(bool rootless, const char *wish, const char *want)
{
        struct runtime rt = {.rootless = rootless};
        spawn_error e = {0};
        char path[PATH_MAX];

        CHECK_STR(cgroup_choose_path(&rt, "id", wish, path, &e) < 0 ? e.text : path, want);
}

TEST(cgroup_paths)
{
        check_path(false, "/", "linux.cgroupsPath: \"/\" is the root of the tree: name a cgroup below it");
        check_path(false, "//.//", "linux.cgroupsPath: \"//.//\" is the root of the tree: name a cgroup below it");
        check_path(true, ".", "linux.cgroupsPath: \".\" is the root of the tree: name a cgroup below it");
        check_path(false, "/.a", CGROUP_ROOT "/.a");
        check_path(false, NULL, CGROUP_ROOT "/id");
        check_path(true, NULL, "");
        check_path(true, "/a/b/", CGROUP_ROOT "/a/b");
        check_path(true, "a", CGROUP_ROOT "/a");
        check_path(false, "m-n.slice:p:c", CGROUP_ROOT "/m.slice/m-n.slice/p-c.scope");
        check_path(false, ":p:c", CGROUP_ROOT "/system.slice/p-c.scope");
        check_path(true, ":p:c", CGROUP_ROOT "/user.slice/p-c.scope");
        check_path(true, "/a/../b", "linux.cgroupsPath: \"/a/../b\": `..` is not allowed");
        check_path(true, "/a/..", "linux.cgroupsPath: \"/a/..\": `..` is not allowed");
        check_path(true, "x:p:c", "linux.cgroupsPath: \"x\" is not the name of a slice");
}

TEST(cgroup_cpu_masks)
{
        unsigned char m[16];

        CHECK(systemd_cpu_mask("0", m, sizeof(m)) == 1 && m[0] == 1);
        CHECK(systemd_cpu_mask("0-3,7", m, sizeof(m)) == 1 && m[0] == 0x8f);
        CHECK(systemd_cpu_mask("9,1", m, sizeof(m)) == 2 && m[0] == 2 && m[1] == 2);
        CHECK(systemd_cpu_mask("127", m, sizeof(m)) == 16 && m[15] == 0x80);
        CHECK(systemd_cpu_mask("128", m, sizeof(m)) == -EINVAL);
        CHECK(systemd_cpu_mask("3-1", m, sizeof(m)) == -EINVAL);
        CHECK(systemd_cpu_mask("1-", m, sizeof(m)) == -EINVAL);
        CHECK(systemd_cpu_mask("x", m, sizeof(m)) == -EINVAL);
        CHECK(systemd_cpu_mask("1 ,2", m, sizeof(m)) == -EINVAL);
}

/* An interpreter of the few instructions that device programs are made of. */
static int run(const struct bpf_insn *p, int n, char type, unsigned int access, unsigned int major, unsigned int minor)
{
        const uint32_t ctx[3] = {access << 16 | (type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR), major, minor};
        uint32_t reg[11] = {0};

        for (int pc = 0; pc < n; pc++) {
                const struct bpf_insn *i = &p[pc];
                uint32_t imm = (uint32_t) i->imm;
                bool jump = false;

                switch (i->code) {
                case BPF_LDX | BPF_W | BPF_MEM:
                        reg[i->dst_reg] = ctx[i->off / 4];
                        break;
                case BPF_ALU | BPF_AND | BPF_K:
                        reg[i->dst_reg] &= imm;
                        break;
                case BPF_ALU | BPF_RSH | BPF_K:
                        reg[i->dst_reg] >>= imm;
                        break;
                case BPF_ALU64 | BPF_MOV | BPF_K:
                        reg[i->dst_reg] = imm;
                        break;
                case BPF_JMP32 | BPF_JNE | BPF_K:
                        jump = reg[i->dst_reg] != imm;
                        break;
                case BPF_JMP32 | BPF_JSET | BPF_K:
                        jump = (reg[i->dst_reg] & imm) != 0;
                        break;
                case BPF_JMP | BPF_JA:
                        jump = true;
                        break;
                case BPF_JMP | BPF_EXIT:
                        return (int) reg[0];
                default:
                        CHECK(!"known instruction");
                }
                if (jump)
                        pc += i->off;
        }
        CHECK(!"the program ends");
        return -1;
}

enum { M = BPF_DEVCG_ACC_MKNOD, R = BPF_DEVCG_ACC_READ, W = BPF_DEVCG_ACC_WRITE };

TEST(cgroup_device_programs)
{
        struct json_object *o = json_tokener_parse(
                "{\"devices\":[{\"allow\":false},{\"allow\":true,\"type\":\"c\",\"major\":10,\"minor\":229,\"access\":\"rw\"},"
                "{\"allow\":true,\"type\":\"b\",\"major\":8,\"access\":\"r\"},{\"allow\":true,\"type\":\"b\",\"major\":8,\"minor\":1,\"access\":\"w\"},"
                "{\"allow\":false,\"type\":\"b\",\"major\":8,\"minor\":2,\"access\":\"r\"},"
                "{\"allow\":true,\"type\":\"c\",\"major\":20,\"minor\":-1,\"access\":\"rwm\"},"
                "{\"allow\":false,\"type\":\"c\",\"major\":20,\"minor\":5,\"access\":\"w\"}]}");
        struct cgroup_settings s;
        struct bpf_insn *p = NULL;
        spawn_error e = {0};
        int n;

        CHECK(cgroup_settings(o, &s, &e) == 0 && s.n_devices == 7);
        n = cgroup_device_program(s.devices, s.n_devices, &p);
        CHECK(n > 0);
        /* Always there. */
        CHECK(run(p, n, 'c', R | W, 1, 3) == 1 && run(p, n, 'c', R | W, 136, 7) == 1 && run(p, n, 'b', M, 99, 9) == 1);
        CHECK(run(p, n, 'b', R, 1, 3) == 0 && run(p, n, 'c', R, 1, 4) == 0);
        /* Allowed by one rule, by two together, and no more than that. */
        CHECK(run(p, n, 'c', R | W, 10, 229) == 1 && run(p, n, 'c', R, 10, 228) == 0 &&
              run(p, n, 'b', R, 10, 229) == 0);
        CHECK(run(p, n, 'b', R, 8, 0) == 1 && run(p, n, 'b', R | W, 8, 0) == 0 && run(p, n, 'b', R | W, 8, 1) == 1);
        /* Forbidden again for one minor; what was asked with it is not had either. */
        CHECK(run(p, n, 'b', R, 8, 2) == 0 && run(p, n, 'b', R, 8, 3) == 1);
        CHECK(run(p, n, 'c', R, 20, 5) == 1 && run(p, n, 'c', R | W, 20, 5) == 0 && run(p, n, 'c', R | W, 20, 6) == 1);
        free(p);
        cgroup_settings_free(&s);
        json_object_put(o);
}

TEST(cgroup_device_rules)
{
        check("{\"devices\":[{\"access\":\"r\"}]}", "linux.resources.devices[0].allow: missing");
        check("{\"devices\":[{\"allow\":true,\"access\":\"rx\"}]}",
              "linux.resources.devices[0].access: \"rx\" is not made of r, w and m");
        check("{\"devices\":[{\"allow\":true,\"type\":\"q\"}]}",
              "linux.resources.devices[0].type: must be one of a, b, c");
        check("{\"devices\":[{\"allow\":true,\"major\":-7}]}",
              "linux.resources.devices[0].major: must be between -1 and 4294967295");
        check("{\"devices\":{}}", "linux.resources.devices: expected a list, found object");
}
