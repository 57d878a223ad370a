/* spec: a configuration to start from. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "config.h"
#include "fail.h"
#include "io.h"
#include "util.h"

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
        const char *bundle = ".", *file = NULL;
        const struct option_def table[] = {
                {"bundle", 'b', OPT_STRING, &bundle, "directory to write config.json to (default: here)", "DIR"},
                {"file", 'f', OPT_STRING, &file, "write or replace this file of the directory instead", "FILE"},
                {"rootless", 0, OPT_FLAG, &rootless, "for an ordinary user: with a user namespace"},
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
        if (file != NULL && file[0] == '/')
                (void) snprintf(path, sizeof(path), "%s", file);
        else
                (void) snprintf(path, sizeof(path), "%s/%s", bundle, file != NULL ? file : "config.json");
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (file != NULL ? O_TRUNC : O_EXCL), 0644);
        if (fd < 0)
                return fail_errno(e, "spec", "create `%s`", path);
        r = write_all(fd, json, strlen(json));
        if (r == 0)
                r = write_all(fd, "\n", 1);
        return r < 0 ? fail_code(e, r, "spec", "write `%s`", path) : 0;
}
