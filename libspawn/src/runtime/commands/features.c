/* features: what is implemented, from the tables that the parsers use (runtime-spec, "Features Structure"). */
#include <limits.h>
#include <stdio.h>

#include "caps.h"
#include "cmd.h"
#include "config.h"
#include "criu.h"
#include "lsm.h"
#include "seccomp-filter.h"
#include "util.h"

static void add_bool(struct json_object *o, const char *key, bool value)
{
        json_object_object_add(o, key, json_object_new_boolean(value));
}

static void add_string(struct json_object *o, const char *key, const char *value)
{
        json_object_object_add(o, key, json_object_new_string(value));
}

/* A list of the names that name(0), name(1) ... give, until NULL. */
static void add_names(struct json_object *o, const char *key, const char *(*name)(size_t i))
{
        struct json_object *list = json_object_new_array();

        for (size_t i = 0; name(i) != NULL; i++)
                json_object_array_add(list, json_object_new_string(name(i)));
        json_object_object_add(o, key, list);
}

static struct json_object *add_object(struct json_object *o, const char *key)
{
        struct json_object *inner = json_object_new_object();

        json_object_object_add(o, key, inner);
        return inner;
}

static const char *hook_name(size_t i)
{
        return i < HOOK_KINDS ? hook_names[i] : NULL;
}

static const char *capability_name(size_t i)
{
        return cap_name((int) i);
}

static void add_mount_options(struct json_object *doc)
{
        struct json_object *list = json_object_new_array();

        for (size_t i = 0; mount_option_name(i) != NULL; i++) {
                json_object_array_add(list, json_object_new_string(mount_option_name(i)));
                if (mount_option_recursive(i)) {
                        char name[40];

                        (void) snprintf(name, sizeof(name), "r%s", mount_option_name(i));
                        json_object_array_add(list, json_object_new_string(name));
                }
        }
        json_object_object_add(doc, "mountOptions", list);
}

static void add_linux(struct json_object *doc)
{
        struct json_object *lin = add_object(doc, "linux"), *o;

        add_names(lin, "namespaces", namespace_name);
        add_names(lin, "capabilities", capability_name);
        o = add_object(lin, "cgroup");
        add_bool(o, "v1", false);
        add_bool(o, "v2", true);
        add_bool(o, "systemd", true);
        add_bool(o, "systemdUser", true);
        add_bool(o, "rdma", true);
        o = add_object(lin, "seccomp");
        add_bool(o, "enabled", seccomp_arch_name(0) != NULL);
        add_names(o, "actions", seccomp_action_name);
        add_names(o, "operators", seccomp_operator_name);
        add_names(o, "archs", seccomp_arch_name);
        add_names(o, "knownFlags", seccomp_flag_name);
        add_names(o, "supportedFlags", seccomp_flag_name);
        add_bool(add_object(lin, "apparmor"), "enabled", true);
        add_bool(add_object(lin, "selinux"), "enabled", true);
        add_bool(add_object(lin, "intelRdt"), "enabled", false);
        add_bool(add_object(lin, "netDevices"), "enabled", true);
        o = add_object(lin, "memoryPolicy");
        add_names(o, "modes", memory_mode_name);
        add_names(o, "flags", memory_flag_name);
        add_bool(add_object(add_object(lin, "mountExtensions"), "idmap"), "enabled", true);
}

CMD(cmd_features)
{
        const struct option_def table[] = {{NULL}};
        _cleanup_json_ struct json_object *doc = json_object_new_object();
        struct json_object *notes;
        char compiler[32], program[PATH_MAX];
        int n, r = cmd_parse(cmd, table, argc, argv, false, 0, 0, &n, e);

        if (r != 0)
                return r > 0 ? 0 : r;
        add_string(doc, "ociVersionMin", "1.0.0");
        add_string(doc, "ociVersionMax", OCI_VERSION);
        add_names(doc, "hooks", hook_name);
        add_mount_options(doc);
        add_linux(doc);
        notes = add_object(doc, "annotations");
        if (seccomp_library_version(compiler, sizeof(compiler)))
                add_string(notes, "io.github.seccomp.libseccomp.version", compiler);
        add_string(notes, "org.opencontainers.runc.checkpoint.enabled",
                   criu_find(rt, program, NULL) == 0 ? "true" : "false");
        add_string(notes, "io.podlike.spawn.version", PODLIKE_VERSION);
        add_names(doc, "potentiallyUnsafeConfigAnnotations", config_known_annotation);
        (void) puts(json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                                JSON_C_TO_STRING_NOSLASHESCAPE));
        return 0;
}
