/* Attributes, holes and hard links of a file that goes into a layer. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "layer.h"
#include "packfile.h"
#include "util.h"

#define COPY_SIZE ((size_t) 1 << 16)
#define BLOCK 512u
/* Less than this is not worth a format that few programs write. */
#define HOLES_WORTH ((uint64_t) 1 << 16)
#define MAX_EXTENTS ((size_t) 1 << 16)

struct pack_link {
        dev_t dev;
        ino_t ino;
        char *path; /* NULL: free */
};

static struct pack_link *link_slot(struct pack_link *table, size_t max, dev_t dev, ino_t ino)
{
        /* Knuth's multiplicative hash: inode numbers of one directory follow each other. */
        size_t i = (size_t) ((ino ^ (dev << 32)) * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (max - 1);

        while (table[i].path != NULL && (table[i].ino != ino || table[i].dev != dev))
                i = (i + 1) & (max - 1);
        return &table[i];
}

static int links_grow(struct pack_links *links)
{
        size_t max = links->max ? links->max * 2 : 1024;
        struct pack_link *table = calloc(max, sizeof(*table));

        if (table == NULL)
                return -ENOMEM;
        for (size_t i = 0; i < links->max; i++)
                if (links->table[i].path != NULL)
                        *link_slot(table, max, links->table[i].dev, links->table[i].ino) = links->table[i];
        free(links->table);
        links->table = table;
        links->max = max;
        return 0;
}

int pack_links_find(struct pack_links *links, const struct stat *st, const char *path, const char **ret)
{
        struct pack_link *slot;

        if (links->n * 2 >= links->max && links_grow(links) < 0)
                return -ENOMEM;
        slot = link_slot(links->table, links->max, st->st_dev, st->st_ino);
        *ret = slot->path;
        if (slot->path != NULL)
                return 0;
        slot->path = strdup(path);
        if (slot->path == NULL)
                return -ENOMEM;
        slot->dev = st->st_dev;
        slot->ino = st->st_ino;
        links->n++;
        return 0;
}

void pack_links_free(struct pack_links *links)
{
        for (size_t i = 0; i < links->max; i++)
                free(links->table[i].path);
        free(links->table);
}

/* overlayfs keeps its own books in attributes; labels and measurements are the host's to give. */
static bool xattr_is_left_out(const char *name)
{
        static const char *const refused[] = {"user.overlay.",    "trusted.overlay.", "user.fuseoverlayfs.",
                                              "user.containers.", "security.selinux", "security.ima",
                                              "security.evm"};

        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (strncmp(name, refused[i], strlen(refused[i])) == 0)
                        return true;
        return false;
}

static int add_xattr(int fd, const char *path, const char *name, struct bytes *ret, spawn_error *reterr)
{
        char key[sizeof("SCHILY.xattr.") + XATTR_NAME_MAX], *value = malloc(LAYER_MAX_XATTR_BYTES);
        ssize_t n = value ? fgetxattr(fd, name, value, LAYER_MAX_XATTR_BYTES) : -1;
        int r;

        (void) snprintf(key, sizeof(key), "SCHILY.xattr.%s", name);
        if (value == NULL)
                r = spawn_err(reterr, ENOMEM, "pack layer", "out of memory");
        else if (n < 0) /* gone meanwhile, or not ours to see */
                r = errno == ENODATA || errno == EPERM || errno == EACCES
                            ? 0
                            : spawn_err(reterr, errno, "read attribute of", "%.300s: %s: %s", path, name,
                                        strerror(errno));
        else if (strchr(name, '=') != NULL)
                r = spawn_err(reterr, EINVAL, "pack layer", "%.300s: the name of its attribute %s has a \"=\"", path,
                              name);
        else
                r = pax_record(ret, key, value, (size_t) n, reterr);
        free(value);
        return r;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

int pack_xattrs(int fd, const char *path, struct bytes *ret, spawn_error *reterr)
{
        const char *names[1024];
        _cleanup_free_ char *list = NULL;
        ssize_t len = flistxattr(fd, NULL, 0);
        size_t n = 0;
        int r = 0;

        if (len == 0 || (len < 0 && errno == ENOTSUP))
                return 0;
        list = len < 0 ? NULL : malloc((size_t) len + 1);
        len = list ? flistxattr(fd, list, (size_t) len) : -1;
        if (len < 0)
                return spawn_err(reterr, errno, "list attributes of", "%.400s: %s", path, strerror(errno));
        list[len] = '\0';
        for (char *p = list; p < list + len && n < ELEMENTSOF(names); p += strlen(p) + 1)
                if (!xattr_is_left_out(p))
                        names[n++] = p;
        qsort(names, n, sizeof(*names), compare_names);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = add_xattr(fd, path, names[i], ret, reterr);
        return r;
}

char pack_opaque(int fd)
{
        static const char *const names[] = {"user.overlay.opaque", "trusted.overlay.opaque",
                                            "user.fuseoverlayfs.opaque"};
        char value;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (fgetxattr(fd, names[i], &value, 1) == 1)
                        return value;
        return '\0';
}

bool pack_is_xwhiteout(int at, const char *name, const struct stat *st)
{
        char path[64 + NAME_MAX];

        if (!S_ISREG(st->st_mode) || st->st_size != 0)
                return false;
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", at, name);
        return lgetxattr(path, "user.overlay.whiteout", NULL, 0) >= 0 ||
               lgetxattr(path, "trusted.overlay.whiteout", NULL, 0) >= 0;
}

/* The extents of data; false: too many, or the file system cannot tell. */
static bool list_extents(struct pack_file *file)
{
        off_t at = 0, end = (off_t) file->size;

        while (at < end) {
                off_t data = lseek(file->fd, at, SEEK_DATA), hole;

                if (data < 0)
                        return errno == ENXIO; /* nothing but a hole */
                hole = lseek(file->fd, data, SEEK_HOLE);
                if (hole < 0 || hole <= data || file->n == MAX_EXTENTS)
                        return false;
                if (hole > end)
                        hole = end;
                if (data < end) {
                        file->data[file->n++] = (struct pack_extent){(uint64_t) data, (uint64_t) (hole - data)};
                        file->bytes += (uint64_t) (hole - data);
                }
                at = hole;
        }
        return true;
}

static int add_number(struct bytes *b, uint64_t value, spawn_error *reterr)
{
        char text[32];
        int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long) value);

        return bytes_add(b, text, (size_t) n, reterr);
}

/* GNU tar's manual, "PAX Format, Version 1.0": count, then offset and length of each, in lines, padded to a block. An empty
 * extent at the end says how long the file is. */
static int write_map(struct pack_file *file, spawn_error *reterr)
{
        static const char zeros[BLOCK];
        int r;

        file->data[file->n++] = (struct pack_extent){file->size, 0};
        r = add_number(&file->map, file->n, reterr);
        for (size_t i = 0; r == 0 && i < file->n; i++) {
                r = add_number(&file->map, file->data[i].offset, reterr);
                if (r == 0)
                        r = add_number(&file->map, file->data[i].len, reterr);
        }
        return r == 0 ? bytes_add(&file->map, zeros, (BLOCK - file->map.len % BLOCK) % BLOCK, reterr) : r;
}

int pack_find_holes(struct pack_file *file, const struct stat *st, const char *path, spawn_error *reterr)
{
        if ((uint64_t) st->st_blocks * BLOCK + HOLES_WORTH > file->size)
                return 0;
        file->data = calloc(MAX_EXTENTS + 1, sizeof(*file->data));
        if (file->data == NULL)
                return spawn_err(reterr, ENOMEM, "pack layer", "%.400s: out of memory", path);
        if (list_extents(file) && file->bytes + HOLES_WORTH <= file->size)
                return write_map(file, reterr);
        free(file->data);
        file->data = NULL;
        file->n = 0;
        file->bytes = 0;
        return 0;
}

static int write_extent(struct tarout *tar, const struct pack_file *file, struct pack_extent e, const char *path,
                        spawn_error *reterr)
{
        char buf[COPY_SIZE];

        while (e.len > 0) {
                ssize_t n = pread(file->fd, buf, e.len < sizeof(buf) ? (size_t) e.len : sizeof(buf), (off_t) e.offset);
                int r;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return spawn_err(reterr, errno, "read", "%.400s: %s", path, strerror(errno));
                if (n == 0 && file->may_shrink) {
                        n = e.len < sizeof(buf) ? (ssize_t) e.len : (ssize_t) sizeof(buf);
                        memset(buf, 0, (size_t) n);
                }
                if (n == 0)
                        return spawn_err(reterr, ESTALE, "read", "%.400s: it became shorter while it was read", path);
                r = tar_data(tar, buf, (size_t) n, reterr);
                if (r < 0)
                        return r;
                e.offset += (uint64_t) n;
                e.len -= (uint64_t) n;
        }
        return 0;
}

int pack_write_file(struct tarout *tar, const struct pack_file *file, const char *path, spawn_error *reterr)
{
        int r = 0;

        if (file->data == NULL)
                r = write_extent(tar, file, (struct pack_extent){0, file->size}, path, reterr);
        for (size_t i = 0; r == 0 && file->data != NULL && i < file->n; i++)
                r = write_extent(tar, file, file->data[i], path, reterr);
        return r == 0 ? tar_pad(tar, reterr) : r;
}
