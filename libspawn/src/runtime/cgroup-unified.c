/* linux.resources.unified: a map of files and their texts, which goes over everything else. */
#include <stdio.h>
#include <string.h>

#include "cgroup.h"

static int check_unified_key(const struct jv *v, const char *key, spawn_error *e)
{
        const char *dot = strchr(key, '.');

        if (strchr(key, '/') != NULL || strlen(key) >= 64)
                return jv_err(v, e, "is not the name of a cgroup file");
        /* These words are an interface: crun's tests look for them. */
        if (dot == NULL || dot == key || dot[1] == '\0')
                return jv_err(v, e, "the specified key has not the form CONTROLLER.VALUE `%s`", key);
        /* cgroup.procs, cgroup.kill, cgroup.type and the like are how the runtime itself works. */
        if (strncmp(key, "cgroup.", 7) == 0 && strcmp(key, "cgroup.max.depth") != 0 &&
            strcmp(key, "cgroup.max.descendants") != 0 && strcmp(key, "cgroup.pressure") != 0)
                return jv_err(v, e, "is the runtime's own, only limits can be set");
        return 0;
}

/* Each line of a text is a write of its own. */
int cgroup_unified_settings(const struct jv *res, struct cgroup_settings *s, spawn_error *e)
{
        struct jv m;
        int r = jv_obj(res, "unified", &m, e);

        if (r <= 0)
                return r;
        json_object_object_foreach(m.obj, key, val)
        {
                struct jv v = {.up = &m, .key = key, .obj = val};
                const char *text = "";
                char controller[64];

                if ((r = jv_as_str(&v, &text, e)) < 0 || (r = check_unified_key(&v, key, e)) < 0)
                        return r;
                (void) snprintf(controller, sizeof(controller), "%.*s", (int) strcspn(key, "."), key);
                while (*text != '\0') {
                        size_t len = strcspn(text, "\n");

                        if (len > 0 && (r = cgroup_settings_add(s, &v, controller, key, e, "%.*s",
                                                                len > 300 ? 300 : (int) len, text)) < 0)
                                return r;
                        text += len + (text[len] == '\n');
                }
        }
        return 0;
}
