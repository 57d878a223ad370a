/* linux.resources.blockIO as files of cgroup v2. */
#include <inttypes.h>
#include <stdio.h>

#include "cgroup.h"
#include "util.h"

static int device_number(const struct jv *item, int64_t *ret_major, int64_t *ret_minor, spawn_error *e)
{
        struct jv major = jv_key(item, "major"), minor = jv_key(item, "minor");
        int r = jv_need_obj(item, e);

        if (r < 0 || (r = jv_int(item, "major", 0, 4095, ret_major, e)) < 0)
                return r;
        if (r == 0)
                return jv_err(&major, e, "missing");
        r = jv_int(item, "minor", 0, 1048575, ret_minor, e);
        return r == 0 ? jv_err(&minor, e, "missing") : r;
}

/* 10..1000 of the BFQ scale; 0 is "not set" to engines. Returns 1 with a weight, 0 without. */
static int weight_of(const struct jv *up, int64_t *ret, spawn_error *e)
{
        struct jv at = jv_key(up, "weight");
        int r = jv_int(up, "weight", INT64_MIN, INT64_MAX, ret, e);

        if (r <= 0 || *ret == 0)
                return r < 0 ? r : 0;
        return *ret < 10 || *ret > 1000 ? jv_err(&at, e, "must be between 10 and 1000") : 1;
}

static int weights(const struct jv *io, struct cgroup_settings *s, spawn_error *e)
{
        struct jv list, at = jv_key(io, "weight"), leaf = jv_key(io, "leafWeight");
        int64_t weight = 0, major = 0, minor = 0, unused = 0;
        size_t n = 0;
        int r = jv_int(io, "leafWeight", 0, 1000, &unused, e);

        if (r > 0 && unused != 0)
                return jv_err(&leaf, e, "cgroup v2 has no such setting, leave it out");
        if (r < 0 || (r = weight_of(io, &weight, e)) < 0)
                return r;
        /* cgroup_apply() makes io.weight of it where the kernel has no BFQ. */
        if (r > 0 && (r = cgroup_settings_add(s, &at, "io", "io.bfq.weight", e, "%" PRId64, weight)) < 0)
                return r;
        r = jv_array(io, "weightDevice", &list, &n, e);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                struct jv item = jv_idx(&list, i);

                if ((r = device_number(&item, &major, &minor, e)) < 0 || (r = weight_of(&item, &weight, e)) < 0)
                        return r;
                /* A device's leafWeight alone has no counterpart and no effect, as with crun. */
                if (r > 0)
                        r = cgroup_settings_add(s, &item, "io", "io.bfq.weight", e, "%" PRId64 ":%" PRId64 " %" PRId64,
                                                major, minor, weight);
        }
        return r;
}

static int throttle(const struct jv *io, const char *key, const char *name, struct cgroup_settings *s, spawn_error *e)
{
        struct jv list;
        size_t n = 0;
        int r = jv_array(io, key, &list, &n, e);

        for (size_t i = 0; r >= 0 && i < n; i++) {
                struct jv item = jv_idx(&list, i), at = jv_key(&item, "rate");
                int64_t major = 0, minor = 0;
                uint64_t rate = 0;

                if ((r = device_number(&item, &major, &minor, e)) < 0 || (r = jv_as_u64(&at, &rate, e)) < 0)
                        return r;
                if (r == 0)
                        return jv_err(&at, e, "missing");
                /* v1 took 0 for "no limit"; io.max has a word for it. */
                if (rate == 0)
                        r = cgroup_settings_add(s, &item, "io", "io.max", e, "%" PRId64 ":%" PRId64 " %s=max", major,
                                                minor, name);
                else
                        r = cgroup_settings_add(s, &item, "io", "io.max", e, "%" PRId64 ":%" PRId64 " %s=%" PRIu64,
                                                major, minor, name, rate);
        }
        return r;
}

int cgroup_io_settings(const struct jv *res, struct cgroup_settings *s, spawn_error *e)
{
        struct jv io;
        int r = jv_obj(res, "blockIO", &io, e);

        if (r <= 0 || (r = weights(&io, s, e)) < 0 || (r = throttle(&io, "throttleReadBpsDevice", "rbps", s, e)) < 0 ||
            (r = throttle(&io, "throttleWriteBpsDevice", "wbps", s, e)) < 0 ||
            (r = throttle(&io, "throttleReadIOPSDevice", "riops", s, e)) < 0)
                return r;
        return throttle(&io, "throttleWriteIOPSDevice", "wiops", s, e);
}
