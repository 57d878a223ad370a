/* spec and features: what a configuration looks like, and what of it is understood. */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "caps.h"
#include "cmd.h"
#include "config.h"
#include "fail.h"
#include "io.h"
#include "lsm.h"
#include "util.h"

static struct json_object *strings(const char *const *v, size_t n)
{
        struct json_object *a = json_object_new_array();

        for (size_t i = 0; i < n; i++)
                json_object_array_add(a, json_object_new_string(v[i]));
        return a;
}

static const char spec_text[] =
        "{\"ociVersion\":\"" OCI_VERSION "\","
        "\"process\":{\"terminal\":true,\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"],"
        "\"env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\"TERM=xterm\"],\"cwd\":\"/\","
        "\"capabilities\":{\"bounding\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
        "\"effective\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
        "\"permitted\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]},"
        "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}],\"noNewPrivileges\":true},"
        "\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"podlike\","
        "\"mounts\":["
        "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
        "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]},"
        "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\"%s]},"
        "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]},"
        "{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\",\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"
        "{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]},"
        "{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"ro\"]}],"
        "\"linux\":{%s\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"cgroup\"},{\"type\":\"mount\"}%s],"
        "\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/kcore\",\"/proc/keys\",\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\",\"/proc/sched_debug\",\"/sys/firmware\",\"/proc/scsi\"],"
        "\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]}}";

CMD(cmd_spec)
{
        bool rootless = false;
        const char *bundle = ".";
        const struct option_def table[] = {
                {"rootless", 0, OPT_FLAG, &rootless, "for an ordinary user: with a user namespace"},
                {"bundle", 'b', OPT_STRING, &bundle, "directory to write config.json to (default: here)"},
                {NULL},
        };
        _cleanup_json_ struct json_object *doc = NULL;
        char text[sizeof(spec_text) + 512], maps[256] = "", path[PATH_MAX];
        const char *json;
        int n, r = cmd_parse(cmd, table, argc, argv, false, 0, 0, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        if (rootless)
                (void) snprintf(
                        maps, sizeof(maps),
                        "\"uidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":1}],\"gidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":1}],",
                        (unsigned int) geteuid(), (unsigned int) getegid());
        (void) snprintf(text, sizeof(text), spec_text, rootless ? "" : ",\"gid=5\"", maps,
                        rootless ? ",{\"type\":\"user\"}" : "");
        r = jv_parse("spec", text, strlen(text), &doc, e);
        if (r < 0)
                return r;
        json = json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                           JSON_C_TO_STRING_NOSLASHESCAPE);
        (void) snprintf(path, sizeof(path), "%s/config.json", bundle);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
                return fail_errno(e, "spec", "create `%s`", path);
        r = write_all(fd, json, strlen(json));
        if (r == 0)
                r = write_all(fd, "\n", 1);
        return r < 0 ? fail_code(e, r, "spec", "write `%s`", path) : 0;
}

static struct json_object *enabled(bool on)
{
        struct json_object *o = json_object_new_object();

        json_object_object_add(o, "enabled", json_object_new_boolean(on));
        return o;
}

static struct json_object *features_seccomp(void)
{
        static const char *const actions[] = {"SCMP_ACT_ALLOW",        "SCMP_ACT_ERRNO",       "SCMP_ACT_KILL",
                                              "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
                                              "SCMP_ACT_NOTIFY",       "SCMP_ACT_TRACE",       "SCMP_ACT_TRAP"};
        static const char *const ops[] = {"SCMP_CMP_EQ", "SCMP_CMP_GE",        "SCMP_CMP_GT", "SCMP_CMP_LE",
                                          "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"};
        struct json_object *o = enabled(true);

        json_object_object_add(o, "actions", strings(actions, ELEMENTSOF(actions)));
        json_object_object_add(o, "operators", strings(ops, ELEMENTSOF(ops)));
        return o;
}

static struct json_object *features_cgroup(void)
{
        struct json_object *o = json_object_new_object();

        json_object_object_add(o, "v1", json_object_new_boolean(false));
        json_object_object_add(o, "v2", json_object_new_boolean(true));
        json_object_object_add(o, "systemd", json_object_new_boolean(false));
        json_object_object_add(o, "systemdUser", json_object_new_boolean(false));
        json_object_object_add(o, "rdma", json_object_new_boolean(false));
        return o;
}

static struct json_object *features_linux(void)
{
        static const char *const namespaces[] = {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"};
        struct json_object *o = json_object_new_object(), *caps = json_object_new_array(),
                           *idmap = json_object_new_object(), *ext = json_object_new_object();

        for (int cap = 0; cap_name(cap) != NULL; cap++)
                json_object_array_add(caps, json_object_new_string(cap_name(cap)));
        json_object_object_add(o, "namespaces", strings(namespaces, ELEMENTSOF(namespaces)));
        json_object_object_add(o, "capabilities", caps);
        json_object_object_add(o, "cgroup", features_cgroup());
        json_object_object_add(o, "seccomp", features_seccomp());
        json_object_object_add(o, "apparmor", enabled(true));
        json_object_object_add(o, "selinux", enabled(true));
        json_object_object_add(o, "intelRdt", enabled(false));
        json_object_object_add(idmap, "idmap", enabled(true));
        json_object_object_add(ext, "idmap", json_object_get(json_object_object_get(idmap, "idmap")));
        json_object_put(idmap);
        json_object_object_add(o, "mountExtensions", ext);
        return o;
}

CMD(cmd_features)
{
        const struct option_def table[] = {{NULL}};
        _cleanup_json_ struct json_object *doc = json_object_new_object();
        struct json_object *options = json_object_new_array();
        int n, r = cmd_parse(cmd, table, argc, argv, false, 0, 0, &n, e);

        if (r == 0) {
                for (size_t i = 0; mount_option_name(i) != NULL; i++)
                        json_object_array_add(options, json_object_new_string(mount_option_name(i)));
                json_object_object_add(doc, "ociVersionMin", json_object_new_string("1.0.0"));
                json_object_object_add(doc, "ociVersionMax", json_object_new_string(OCI_VERSION));
                json_object_object_add(doc, "hooks", strings(hook_names, HOOK_KINDS));
                json_object_object_add(doc, "mountOptions", json_object_get(options));
                json_object_object_add(doc, "linux", features_linux());
                (void) puts(json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                                        JSON_C_TO_STRING_NOSLASHESCAPE));
        }
        json_object_put(options);
        return r > 0 ? 0 : r;
}
