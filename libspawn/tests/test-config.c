/* Reading config.json: what is taken, and the words for what is not. */
#include <sched.h>
#include <sys/mount.h>

#include "caps.h"
#include "config.h"
#include "harness.h"
#include "plan.h"

#define MINIMAL "\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\"}"
#define NAMESPACES "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"uts\"}]"

/* Parse; on failure the words must be these. */
static void expect_error(const char *text, const char *words)
{
        struct config c;
        spawn_error e = {0};
        int r = config_parse(text, strlen(text), &c, &e);

        if (r >= 0) {
                fprintf(stderr, "accepted: %s\n", text);
                abort();
        }
        CHECK_STR(e.text, words);
        CHECK(r == -e.code);
        config_free(&c);
}

static void expect_ok(const char *text, struct config *c)
{
        spawn_error e = {0};

        if (config_parse(text, strlen(text), c, &e) < 0) {
                fprintf(stderr, "refused: %s: %s\n", text, e.text);
                abort();
        }
}

#define PROCESS(p) "{" MINIMAL ",\"process\":{\"cwd\":\"/\"," p "},\"linux\":{" NAMESPACES "}}"
#define LINUX(l) "{" MINIMAL ",\"linux\":{" NAMESPACES "," l "}}"
#define MOUNT(m) "{" MINIMAL ",\"mounts\":[" m "],\"linux\":{" NAMESPACES "}}"

TEST(config_not_json)
{
        expect_error("{\"ociVersion\":", "parse `config.json`: document ends too early at byte 14");
        expect_error("[]", "parse `config.json`: the document is not an object");
        expect_error("{\"a\":}", "parse `config.json`: unexpected character at byte 5");
}

TEST(config_top_level)
{
        expect_error("{}", "ociVersion: missing");
        expect_error("{\"ociVersion\":1}", "ociVersion: expected a string, found int");
        expect_error("{\"ociVersion\":\"2.0\"}", "ociVersion: version \"2.0\" is not supported, 1.x is");
        expect_error("{\"ociVersion\":\"1.0.2\"}", "root: missing");
        expect_error("{\"ociVersion\":\"1.0.2\",\"root\":{}}", "root.path: missing");
        expect_error("{" MINIMAL "}",
                     "linux.namespaces: a \"mount\" namespace is missing: a root file system needs one");
        expect_error("{" MINIMAL ",\"hostname\":\"h\",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}",
                     "hostname: needs a \"uts\" namespace in linux.namespaces");
}

TEST(config_capabilities)
{
        struct config c;

        expect_error(PROCESS("\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_CHOWN\",\"CAP_FOWNER\",\"CAP_FOO\"]}"),
                     "process.capabilities.bounding[3]: unknown capability \"CAP_FOO\"");
        expect_error(PROCESS("\"capabilities\":{\"ambient\":[7]}"),
                     "process.capabilities.ambient[0]: expected a string, found int");
        expect_error(PROCESS("\"capabilities\":[]"), "process.capabilities: expected an object, found array");
        expect_ok(PROCESS("\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_BPF\"],\"ambient\":[\"CAP_KILL\"]}"),
                  &c);
        CHECK(c.process.has_caps);
        CHECK(c.process.caps[CAPS_BOUNDING] == (1ULL << 0 | 1ULL << 39));
        CHECK(c.process.caps[CAPS_AMBIENT] == 1ULL << 5);
        CHECK(c.process.caps[CAPS_EFFECTIVE] == 0);
        config_free(&c);
}

TEST(config_process)
{
        struct config c;

        expect_error(PROCESS("\"cwd\":\"tmp\""), "process.cwd: \"tmp\" is not an absolute path");
        expect_error(PROCESS("\"args\":[\"a\",null]"), "process.args[1]: expected a string, found null");
        expect_error(PROCESS("\"args\":[\"a\\u0000b\"]"), "process.args[0]: a string must not contain a zero byte");
        expect_error(PROCESS("\"env\":[\"A=1\",\"B\"]"), "process.env[1]: \"B\" is not NAME=VALUE");
        expect_error(PROCESS("\"user\":{\"uid\":-1}"), "process.user.uid: must be between 0 and 4294967294");
        expect_error(PROCESS("\"user\":{\"additionalGids\":[1,-2]}"),
                     "process.user.additionalGids[1]: must not be negative");
        expect_error(PROCESS("\"oomScoreAdj\":1001"), "process.oomScoreAdj: must be between -1000 and 1000");
        expect_error(PROCESS("\"terminal\":1"), "process.terminal: expected true or false, found int");
        expect_error(PROCESS("\"ioPriority\":{\"class\":\"X\"}"), "process.ioPriority.class: unknown class \"X\"");
        expect_ok(
                PROCESS("\"args\":[\"sh\",\"-c\"],\"user\":{\"uid\":5,\"gid\":6,\"umask\":18,\"additionalGids\":[7]},\"cwd\":\"/a\""),
                &c);
        CHECK(c.process.args.n == 2);
        CHECK_STR(c.process.args.v[1], "-c");
        CHECK(c.process.args.v[2] == NULL);
        CHECK(c.process.uid == 5 && c.process.gid == 6 && c.process.umask == 022 && c.process.has_umask);
        CHECK(c.process.n_groups == 1 && c.process.groups[0] == 7);
        config_free(&c);
}

TEST(config_rlimits)
{
        struct config c;

        expect_error(PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_FOO\"}]"),
                     "process.rlimits[0].type: unknown limit \"RLIMIT_FOO\"");
        expect_error(PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":2,\"hard\":1}]"),
                     "process.rlimits[0].soft: is above \"hard\"");
        expect_error(
                PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":1},{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":1}]"),
                "process.rlimits[1]: RLIMIT_CORE is given twice");
        expect_ok(PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":18446744073709551615}]"), &c);
        CHECK(c.process.rlimits[0].limit.rlim_max == RLIM_INFINITY);
        config_free(&c);
}

TEST(config_namespaces)
{
        struct config c;

        expect_error("{" MINIMAL ",\"linux\":{\"namespaces\":[{\"type\":\"foo\"}]}}",
                     "linux.namespaces[0].type: unknown namespace \"foo\"");
        expect_error("{" MINIMAL ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}}",
                     "linux.namespaces[1].type: \"pid\" is given twice");
        expect_error("{" MINIMAL ",\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]}}",
                     "linux.namespaces[0].path: \"x\" is not an absolute path");
        expect_error(LINUX("\"uidMappings\":[{\"containerID\":0,\"hostID\":1}]"), "linux.uidMappings[0].size: missing");
        expect_error(LINUX("\"timeOffsets\":{\"boottime\":{\"secs\":1}}"),
                     "linux.timeOffsets: needs a \"time\" namespace in linux.namespaces");
        expect_ok("{" MINIMAL
                  ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"user\"}],"
                  "\"gidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}],"
                  "\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":4294967295}]}}",
                  &c);
        CHECK(config_namespace(&c, CLONE_NEWUTS) != NULL && config_namespace(&c, CLONE_NEWNET) == NULL);
        CHECK(c.uids.v[0].count == UINT32_MAX);
        config_free(&c);
}

TEST(config_linux)
{
        struct config c;

        expect_error(LINUX("\"devices\":[{\"path\":\"/dev/a\",\"type\":\"z\"}]"),
                     "linux.devices[0].type: must be one of c, u, b, p");
        expect_error(LINUX("\"devices\":[{\"path\":\"dev\",\"type\":\"c\"}]"),
                     "linux.devices[0].path: not an absolute path");
        expect_error(LINUX("\"rootfsPropagation\":\"ro\""), "linux.rootfsPropagation: unknown propagation \"ro\"");
        expect_error(LINUX("\"maskedPaths\":{}"), "linux.maskedPaths: expected a list, found object");
        expect_error(LINUX("\"sysctl\":{\"net.a\":1}"), "linux.sysctl.net.a: expected a string, found int");
        expect_error(
                LINUX("\"sysctl\":{\"net/ipv4/a\":\"1\"}"),
                "linux.sysctl.net/ipv4/a: needs a namespace of its own in linux.namespaces, it would change the host's");
        expect_error(LINUX("\"sysctl\":{\"vm.swappiness\":\"1\"}"),
                     "linux.sysctl.vm.swappiness: is not of any namespace, it would change the host's");
        expect_error(LINUX("\"intelRdt\":{\"closID\":\"x\"}"), "linux.intelRdt: not supported");
        expect_error(LINUX("\"seccomp\":7"), "linux.seccomp: expected an object, found int");
        expect_ok(LINUX("\"rootfsPropagation\":\"rslave\",\"sysctl\":{\"kernel.domainname\":\"1\"},\"unknown\":[1]"),
                  &c);
        CHECK(c.rootfs_propagation == MS_SLAVE);
        CHECK(c.sysctl.n == 1);
        CHECK_STR(c.sysctl.v[0].key, "kernel.domainname");
        config_free(&c);
}

TEST(config_mounts)
{
        struct config c;

        expect_error(MOUNT("{}"), "mounts[0].destination: missing");
        expect_error(MOUNT("{\"destination\":\"/a\"}"),
                     "mounts[0].type: missing, and the options do not make it a bind mount");
        expect_error(MOUNT("{\"destination\":\"/a\",\"type\":\"bind\"}"), "mounts[0].source: missing");
        expect_error(MOUNT("7"), "mounts[0]: expected an object, found int");
        expect_error(MOUNT("{\"destination\":\"/a\",\"type\":\"tmpfs\",\"options\":[1]}"),
                     "mounts[0].options[0]: expected a string, found int");
        expect_ok(
                MOUNT("{\"destination\":\"/a\",\"type\":\"bind\",\"source\":\"/b\"},{\"destination\":\"/c\",\"options\":[\"bind\"],\"source\":\"/b\"}"),
                &c);
        CHECK(c.mounts[0].options.bind && c.mounts[0].options.recursive);
        CHECK(c.mounts[1].options.bind && !c.mounts[1].options.recursive);
        config_free(&c);
}

TEST(config_hooks)
{
        struct config c;

        expect_error("{" MINIMAL ",\"hooks\":{\"prestart\":[{\"path\":\"x\"}]},\"linux\":{" NAMESPACES "}}",
                     "hooks.prestart[0].path: \"x\" is not an absolute path");
        expect_error("{" MINIMAL ",\"hooks\":{\"poststop\":[{\"path\":\"/x\",\"timeout\":0}]},\"linux\":{" NAMESPACES
                     "}}",
                     "hooks.poststop[0].timeout: must be between 1 and 2147483647");
        expect_ok(
                "{" MINIMAL
                ",\"hooks\":{\"poststop\":[{\"path\":\"/x\",\"timeout\":3,\"args\":[\"x\",\"y\"]}]},\"linux\":{" NAMESPACES
                "}}",
                &c);
        CHECK(c.hooks.n[HOOK_POSTSTOP] == 1 && c.hooks.v[HOOK_POSTSTOP][0].timeout == 3 &&
              c.hooks.v[HOOK_POSTSTOP][0].args.n == 2);
        config_free(&c);
}

/* The order of the specification: mounts as given, then devices and links, then read-only and masked paths. */
TEST(plan_order)
{
        struct config c;
        struct plan p = {0};
        spawn_error e = {0};
        char line[256];

        expect_ok(
                "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"h\","
                "\"mounts\":[{\"destination\":\"/p\",\"type\":\"proc\",\"source\":\"proc\"},{\"destination\":\"/dev/null\",\"type\":\"bind\",\"source\":\"/n\"}],"
                "\"linux\":{" NAMESPACES
                ",\"maskedPaths\":[\"/m\"],\"readonlyPaths\":[\"/r\"],\"sysctl\":{\"kernel/domainname\":\"1\"}}}",
                &c);
        CHECK(plan_make(&c, &p, &e) == 0);
        plan_describe(&p.ops[0], line, sizeof(line));
        CHECK_STR(line, "set sysctl kernel/domainname = 1");
        plan_describe(&p.ops[2], line, sizeof(line));
        CHECK_STR(line, "mount proc on /p");
        plan_describe(&p.ops[p.n - 1], line, sizeof(line));
        CHECK_STR(line, "make the root read-only ");
        CHECK(p.ops[p.n - 2].kind == OP_MASK && p.ops[p.n - 3].kind == OP_READONLY);
        /* The configuration has its own /dev/null. */
        for (size_t i = 0; i < p.n; i++)
                CHECK(p.ops[i].kind != OP_DEVICE || strcmp(p.ops[i].target, "/dev/null") != 0);
        config_free(&c);
}

static size_t count_kind(const struct plan *p, enum op_kind kind)
{
        size_t n = 0;

        for (size_t i = 0; i < p->n; i++)
                n += p->ops[i].kind == kind;
        return n;
}

/* A read-only tmpfs on /dev is filled before it is locked; the host's own /dev gets nothing of ours. */
TEST(plan_dev)
{
        struct config c;
        struct plan p = {0};
        spawn_error e = {0};

        expect_ok(MOUNT("{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"options\":[\"ro\"]},"
                        "{\"destination\":\"/t\",\"type\":\"tmpfs\",\"options\":[\"rw\"]}"),
                  &c);
        CHECK(plan_make(&c, &p, &e) == 0);
        CHECK(count_kind(&p, OP_LOCK) == 1 && count_kind(&p, OP_DEVICE) == n_default_devices);
        for (size_t i = 0, locked = 0; i < p.n; i++) {
                locked += p.ops[i].kind == OP_LOCK;
                CHECK(!locked ||
                      (p.ops[i].kind != OP_DEVICE && p.ops[i].kind != OP_SYMLINK && p.ops[i].kind != OP_FILESYSTEM));
        }
        config_free(&c);
        expect_ok(MOUNT("{\"destination\":\"/dev\",\"type\":\"bind\",\"source\":\"/dev\",\"options\":[\"ro\"]}"), &c);
        CHECK(plan_make(&c, &p, &e) == 0);
        CHECK(count_kind(&p, OP_LOCK) == 0 && count_kind(&p, OP_DEVICE) == 0 && count_kind(&p, OP_SYMLINK) == 0);
        config_free(&c);
}

TEST(caps_names)
{
        CHECK(cap_from_name("CAP_CHOWN") == 0);
        CHECK(cap_from_name("chown") == 0);
        CHECK(cap_from_name("Cap_Checkpoint_Restore") == 40);
        CHECK(cap_from_name("CAP_") < 0);
        CHECK(cap_from_name("") < 0);
        CHECK(cap_from_name("CAP_CHOWNX") < 0);
        CHECK_STR(cap_name(21), "CAP_SYS_ADMIN");
        CHECK(cap_name(41) == NULL && cap_name(-1) == NULL);
}
