/* config.json: devices, and network devices that move into the container. */
#include <net/if.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "util.h"

#define DEVICES_MAX 4096 /* of either kind; a list that is compared pair by pair must end */

static int parse_device(const struct jv *v, struct oci_device *d, spawn_error *e)
{
        struct jv path = jv_key(v, "path"), type = jv_key(v, "type"), major = jv_key(v, "major"),
                  minor = jv_key(v, "minor");
        const char *t = "";
        int64_t mode = 0666;
        int r = jv_need_obj(v, e);

        if (r < 0 || (r = jv_as_str(&path, &d->path, e)) < 0)
                return r;
        if (r == 0 || d->path[0] != '/')
                return jv_err(&path, e, r == 0 ? "missing" : "not an absolute path");
        if ((r = jv_as_str(&type, &t, e)) < 0)
                return r;
        if (strcmp(t, "c") == 0 || strcmp(t, "u") == 0)
                d->type = S_IFCHR;
        else if (strcmp(t, "b") == 0)
                d->type = S_IFBLK;
        else if (strcmp(t, "p") == 0)
                d->type = S_IFIFO;
        else
                return jv_err(&type, e, "must be one of c, u, b, p");
        /* Twelve and twenty bits: linux/kdev_t.h. */
        if ((r = jv_int(v, "major", 0, 4095, &d->major, e)) < 0 ||
            (r = jv_int(v, "minor", 0, 1048575, &d->minor, e)) < 0)
                return r;
        if (d->type != S_IFIFO && (major.obj == NULL || minor.obj == NULL))
                return jv_err(major.obj == NULL ? &major : &minor, e, "missing");
        if ((r = jv_int(v, "fileMode", 0, 07777 | S_IFMT, &mode, e)) < 0)
                return r;
        d->mode = (mode_t) mode & 07777;
        if ((r = jv_id(v, "uid", &d->uid, e)) < 0 || (r = jv_id(v, "gid", &d->gid, e)) < 0)
                return r;
        return 0;
}

int config_devices(const struct jv *lin, struct config *c, spawn_error *e)
{
        struct jv list;
        size_t n;
        int r = jv_array(lin, "devices", &list, &n, e);

        if (r <= 0)
                return r;
        if (n > DEVICES_MAX)
                return jv_err(&list, e, "more than %d devices", DEVICES_MAX);
        c->devices = arena_alloc(&c->arena, n + 1, sizeof(*c->devices));
        if (c->devices == NULL)
                return jv_no_memory(&list, e);
        for (size_t i = 0; i < n; i++) {
                struct jv item = jv_idx(&list, i), path = jv_key(&item, "path");

                r = parse_device(&item, &c->devices[i], e);
                if (r < 0)
                        return r;
                for (size_t k = 0; k < i; k++)
                        if (strcmp(c->devices[k].path, c->devices[i].path) == 0)
                                return jv_err(&path, e, "\"%s\" is given twice", c->devices[i].path);
        }
        c->n_devices = n;
        return 0;
}

/* What the kernel takes as an interface's name: dev_valid_name(); "%d" stands for the first free number. */
static bool valid_interface(const char *name, bool template)
{
        size_t len = strlen(name);
        const char *percent = strchr(name, '%');

        if (len == 0 || len >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return false;
        if (percent != NULL && (!template || percent[1] != 'd' || strchr(percent + 1, '%') != NULL))
                return false;
        return strpbrk(name, "/: \t\n\v\f\r") == NULL;
}

int config_net_devices(const struct jv *lin, struct config *c, spawn_error *e)
{
        struct jv map;
        int r = jv_obj(lin, "netDevices", &map, e);

        if (r <= 0)
                return r;
        if (json_object_object_length(map.obj) > DEVICES_MAX)
                return jv_err(&map, e, "more than %d devices", DEVICES_MAX);
        c->net_devices =
                arena_alloc(&c->arena, (size_t) json_object_object_length(map.obj) + 1, sizeof(*c->net_devices));
        if (c->net_devices == NULL)
                return jv_no_memory(&map, e);
        json_object_object_foreach(map.obj, key, value)
        {
                struct jv v = {.up = &map, .key = key, .obj = value}, name = jv_key(&v, "name");
                struct oci_net_device *d = &c->net_devices[c->n_net_devices];

                if (!valid_interface(key, false))
                        return jv_err(&v, e, "not the name of a network interface");
                d->name = d->inside = key;
                if ((r = jv_need_obj(&v, e)) < 0 || (r = jv_as_str(&name, &d->inside, e)) < 0)
                        return r;
                if (!valid_interface(d->inside, true))
                        return jv_err(&name, e, "\"%s\" is not the name of a network interface", d->inside);
                for (size_t k = 0; k < c->n_net_devices; k++)
                        if (strcmp(c->net_devices[k].inside, d->inside) == 0 && strchr(d->inside, '%') == NULL)
                                return jv_err(&v, e, "two interfaces would be called \"%s\"", d->inside);
                c->n_net_devices++;
        }
        return 0;
}
