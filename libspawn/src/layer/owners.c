/* Ids that are written down otherwise than the file system has them. */
#include <errno.h>
#include <stdlib.h>

#include "owners.h"

/* A number that ends with one of the characters of end, or with the text; *at is put behind it. */
static bool parse_number(const char **at, char end, uint32_t *ret)
{
        char *stop;
        unsigned long long value;

        if (**at < '0' || **at > '9')
                return false;
        errno = 0;
        value = strtoull(*at, &stop, 10);
        if (errno != 0 || value > UINT32_MAX || (*stop != end && *stop != '\0'))
                return false;
        if (end == ':' && *stop == '\0')
                return false;
        *ret = (uint32_t) value;
        *at = *stop == '\0' ? stop : stop + 1;
        return true;
}

bool layer_ids_parse(const char *arg, struct layer_ids *ret)
{
        ret->n = 0;
        while (*arg != '\0') {
                struct layer_id_range *r = &ret->range[ret->n];

                if (ret->n == LAYER_MAX_ID_RANGES || !parse_number(&arg, ':', &r->from) ||
                    !parse_number(&arg, ':', &r->to) || !parse_number(&arg, ',', &r->count))
                        return false;
                ret->n++;
        }
        return ret->n > 0;
}

bool layer_owners_parse(const char *arg, struct layer_owners *ret)
{
        ret->forced = true;
        return parse_number(&arg, ':', &ret->uid) && parse_number(&arg, '\0', &ret->gid) && *arg == '\0';
}

static bool map_id(const struct layer_ids *ids, uint32_t id, uint32_t *ret)
{
        for (size_t i = 0; i < ids->n; i++) {
                const struct layer_id_range *r = &ids->range[i];

                if (id >= r->from && id - r->from < r->count) {
                        *ret = r->to + (id - r->from);
                        return true;
                }
        }
        *ret = id;
        return ids->n == 0;
}

bool layer_owners_map(const struct layer_owners *o, uint32_t uid, uint32_t gid, uint32_t *ret_uid, uint32_t *ret_gid)
{
        if (o->forced) {
                *ret_uid = o->uid;
                *ret_gid = o->gid;
                return true;
        }
        return map_id(&o->uids, uid, ret_uid) && map_id(&o->gids, gid, ret_gid);
}
