/* Tar members to a descriptor, hashed on the way. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "tarout.h"
#include "util.h"

#define BLOCK 512u
#define BUFFER_SIZE ((size_t) 1 << 18)
#define MAX_OCTAL_7 07777777ull
#define MAX_OCTAL_11 077777777777ull

/* POSIX.1-1988 (ustar) archive(5). */
struct header {
        char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6],
                version[2], uname[32], gname[32], devmajor[8], devminor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

struct tarout {
        int fd;
        uint64_t total;
        EVP_MD_CTX *hash;
        size_t len;
        char buffer[BUFFER_SIZE];
};

int tar_open(int fd, bool hash, struct tarout **ret, spawn_error *reterr)
{
        struct tarout *t = calloc(1, sizeof(*t));

        if (t == NULL)
                return spawn_err(reterr, ENOMEM, "pack layer", "out of memory");
        t->fd = fd;
        if (hash)
                t->hash = EVP_MD_CTX_new();
        if (hash && (t->hash == NULL || EVP_DigestInit_ex(t->hash, EVP_sha256(), NULL) != 1)) {
                tar_close(t);
                return spawn_err(reterr, EIO, "hash layer", "libcrypto has no sha256");
        }
        *ret = t;
        return 0;
}

void tar_close(struct tarout *t)
{
        if (t == NULL)
                return;
        EVP_MD_CTX_free(t->hash);
        free(t);
}

int bytes_add(struct bytes *b, const void *data, size_t len, spawn_error *reterr)
{
        if (b->max - b->len < len) {
                size_t max = (b->len + len) * 2;
                char *buf = realloc(b->buf, max);

                if (buf == NULL)
                        return spawn_err(reterr, ENOMEM, "pack layer", "out of memory");
                b->buf = buf;
                b->max = max;
        }
        if (len > 0)
                memcpy(b->buf + b->len, data, len);
        b->len += len;
        return 0;
}

int pax_record(struct bytes *b, const char *key, const void *value, size_t len, spawn_error *reterr)
{
        size_t body = strlen(key) + len + 3, total = body; /* a blank, "=", and the end of the line */
        char head[32];
        int n, r;

        do
                n = snprintf(head, sizeof(head), "%zu ", total);
        while (total != body - 1 + (size_t) n && (total = body - 1 + (size_t) n));
        r = bytes_add(b, head, (size_t) n, reterr);
        if (r == 0)
                r = bytes_add(b, key, strlen(key), reterr);
        if (r == 0)
                r = bytes_add(b, "=", 1, reterr);
        if (r == 0)
                r = bytes_add(b, value, len, reterr);
        return r == 0 ? bytes_add(b, "\n", 1, reterr) : r;
}

static int pax_number(struct bytes *b, const char *key, uint64_t value, spawn_error *reterr)
{
        char text[32];
        int n = snprintf(text, sizeof(text), "%llu", (unsigned long long) value);

        return pax_record(b, key, text, (size_t) n, reterr);
}

static int flush(struct tarout *t, spawn_error *reterr)
{
        const char *p = t->buffer;

        if (t->hash != NULL && EVP_DigestUpdate(t->hash, t->buffer, t->len) != 1)
                return spawn_err(reterr, EIO, "hash layer", "libcrypto refused");
        while (t->len > 0) {
                ssize_t n = write(t->fd, p, t->len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return spawn_err(reterr, errno, "write layer", "%s", strerror(errno));
                p += n;
                t->len -= (size_t) n;
        }
        return 0;
}

int tar_data(struct tarout *t, const void *data, size_t len, spawn_error *reterr)
{
        const char *p = data;

        t->total += len;
        while (len > 0) {
                size_t n = BUFFER_SIZE - t->len;

                if (n > len)
                        n = len;
                memcpy(t->buffer + t->len, p, n);
                t->len += n;
                p += n;
                len -= n;
                if (t->len == BUFFER_SIZE) {
                        int r = flush(t, reterr);

                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

int tar_pad(struct tarout *t, spawn_error *reterr)
{
        static const char zeros[BLOCK];
        size_t over = t->total % BLOCK;

        return over ? tar_data(t, zeros, BLOCK - over, reterr) : 0;
}

static void octal(char *field, size_t size, uint64_t value)
{
        for (size_t i = size - 1; i-- > 0; value >>= 3)
                field[i] = (char) ('0' + (value & 7));
        field[size - 1] = '\0';
}

static char type_of(const struct tar_member *m)
{
        if (m->hardlink)
                return '1';
        switch (m->st.st_mode & S_IFMT) {
        case S_IFLNK:
                return '2';
        case S_IFCHR:
                return '3';
        case S_IFBLK:
                return '4';
        case S_IFDIR:
                return '5';
        case S_IFIFO:
                return '6';
        default:
                return '0';
        }
}

/* Fixed fields may be filled to their last byte: no terminator then. */
static void put(char *field, size_t size, const char *text, size_t len)
{
        memcpy(field, text, len < size ? len : size);
}

/* Name, or prefix and name; false: neither holds it. */
static bool put_name(struct header *h, const char *path, size_t len)
{
        if (len <= sizeof(h->name)) {
                put(h->name, sizeof(h->name), path, len);
                return true;
        }
        for (size_t i = len - sizeof(h->name) - 1; i < len - 1 && i <= sizeof(h->prefix); i++) {
                if (i == 0 || path[i] != '/')
                        continue;
                put(h->prefix, sizeof(h->prefix), path, i);
                put(h->name, sizeof(h->name), path + i + 1, len - i - 1);
                return true;
        }
        put(h->name, sizeof(h->name), path, len);
        return false;
}

static int write_header(struct tarout *t, struct header *h, spawn_error *reterr)
{
        unsigned sum = 0;

        memcpy(h->magic, "ustar", sizeof(h->magic));
        memcpy(h->version, "00", sizeof(h->version));
        memset(h->checksum, ' ', sizeof(h->checksum));
        for (size_t i = 0; i < sizeof(*h); i++)
                sum += ((const unsigned char *) h)[i];
        octal(h->checksum, sizeof(h->checksum) - 1, sum);
        h->checksum[7] = ' ';
        return tar_data(t, h, sizeof(*h), reterr);
}

static int write_pax(struct tarout *t, const struct bytes *records, spawn_error *reterr)
{
        struct header h = {.type = 'x'};
        int r;

        (void) put_name(&h, "PaxHeader", 9);
        octal(h.mode, sizeof(h.mode), 0644);
        octal(h.uid, sizeof(h.uid), 0);
        octal(h.gid, sizeof(h.gid), 0);
        octal(h.size, sizeof(h.size), records->len);
        octal(h.mtime, sizeof(h.mtime), 0);
        r = write_header(t, &h, reterr);
        if (r == 0)
                r = tar_data(t, records->buf, records->len, reterr);
        return r == 0 ? tar_pad(t, reterr) : r;
}

/* Seconds with a fraction, without zeros at its end; before 1970 the fraction counts backwards too. */
static int pax_time(struct bytes *b, const struct timespec *at, spawn_error *reterr)
{
        bool before = at->tv_sec < 0;
        long nsec = before && at->tv_nsec ? 1000000000L - at->tv_nsec : at->tv_nsec;
        /* Unsigned: the earliest time of all has no positive counterpart. */
        unsigned long long stored = (unsigned long long) at->tv_sec;
        unsigned long long sec = before ? 0 - (stored + (at->tv_nsec != 0)) : stored;
        char text[64];
        int n = snprintf(text, sizeof(text), "%s%llu.%09ld", before ? "-" : "", sec, nsec);

        while (text[n - 1] == '0')
                n--;
        if (text[n - 1] == '.')
                n--;
        return pax_record(b, "mtime", text, (size_t) n, reterr);
}

static int pax_sparse(struct bytes *b, const struct tar_member *m, spawn_error *reterr)
{
        int r = pax_record(b, "GNU.sparse.major", "1", 1, reterr);

        if (r == 0)
                r = pax_record(b, "GNU.sparse.minor", "0", 1, reterr);
        if (r == 0)
                r = pax_record(b, "GNU.sparse.name", m->path, strlen(m->path), reterr);
        return r == 0 ? pax_number(b, "GNU.sparse.realsize", (uint64_t) m->st.st_size, reterr) : r;
}

static uint64_t size_in_tar(const struct tar_member *m)
{
        if (m->sparse_map != NULL)
                return m->sparse_len + m->sparse_bytes;
        return S_ISREG(m->st.st_mode) && !m->hardlink ? (uint64_t) m->st.st_size : 0;
}

/* What the header cannot hold goes into records; the header gets what fits. */
static int fill(struct header *h, const struct tar_member *m, const char *name, struct bytes *records,
                spawn_error *reterr)
{
        uint64_t size = size_in_tar(m), uid = m->st.st_uid, gid = m->st.st_gid;
        time_t seconds = m->st.st_mtim.tv_sec;
        size_t link_len = m->link ? strlen(m->link) : 0;
        int r = 0;

        if (!put_name(h, name, strlen(name)) && m->sparse_map == NULL)
                r = pax_record(records, "path", name, strlen(name), reterr);
        put(h->link, sizeof(h->link), m->link ? m->link : "", link_len);
        if (r == 0 && link_len > sizeof(h->link))
                r = pax_record(records, "linkpath", m->link, link_len, reterr);
        if (r == 0 && uid > MAX_OCTAL_7)
                r = pax_number(records, "uid", uid, reterr);
        if (r == 0 && gid > MAX_OCTAL_7)
                r = pax_number(records, "gid", gid, reterr);
        if (r == 0 && size > MAX_OCTAL_11)
                r = pax_number(records, "size", size, reterr);
        if (r == 0 && (m->st.st_mtim.tv_nsec != 0 || seconds < 0 || (uint64_t) seconds > MAX_OCTAL_11))
                r = pax_time(records, &m->st.st_mtim, reterr);
        if (r == 0 && m->sparse_map != NULL)
                r = pax_sparse(records, m, reterr);
        if (r == 0)
                r = bytes_add(records, m->extra, m->extra_len, reterr);
        h->type = type_of(m);
        octal(h->mode, sizeof(h->mode), m->st.st_mode & 07777);
        octal(h->uid, sizeof(h->uid), uid > MAX_OCTAL_7 ? 0 : uid);
        octal(h->gid, sizeof(h->gid), gid > MAX_OCTAL_7 ? 0 : gid);
        octal(h->size, sizeof(h->size), size > MAX_OCTAL_11 ? 0 : size);
        octal(h->mtime, sizeof(h->mtime), seconds < 0 || (uint64_t) seconds > MAX_OCTAL_11 ? 0 : (uint64_t) seconds);
        octal(h->devmajor, sizeof(h->devmajor), h->type == '3' || h->type == '4' ? major(m->st.st_rdev) : 0);
        octal(h->devminor, sizeof(h->devminor), h->type == '3' || h->type == '4' ? minor(m->st.st_rdev) : 0);
        return r;
}

int tar_header(struct tarout *t, const struct tar_member *m, spawn_error *reterr)
{
        size_t len = strlen(m->path);
        _cleanup_free_ char *name = malloc(len + 2); /* a directory's ends with a slash */
        struct bytes records = {NULL, 0, 0};
        struct header h = {.type = '0'};
        int r;

        if (name == NULL)
                return spawn_err(reterr, ENOMEM, "pack layer", "out of memory");
        memcpy(name, m->path, len + 1);
        if (S_ISDIR(m->st.st_mode)) {
                name[len] = '/';
                name[len + 1] = '\0';
        }
        r = fill(&h, m, name, &records, reterr);
        if (r == 0 && records.len > 0)
                r = write_pax(t, &records, reterr);
        free(records.buf);
        if (r == 0)
                r = write_header(t, &h, reterr);
        return r == 0 && m->sparse_map != NULL ? tar_data(t, m->sparse_map, m->sparse_len, reterr) : r;
}

int tar_finish(struct tarout *t, char ret_hex[65], spawn_error *reterr)
{
        static const char end[2 * BLOCK];
        unsigned char md[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        int r = tar_data(t, end, sizeof(end), reterr);

        if (r == 0)
                r = flush(t, reterr);
        ret_hex[0] = '\0';
        if (r < 0 || t->hash == NULL)
                return r;
        if (EVP_DigestFinal_ex(t->hash, md, &len) != 1 || len != 32)
                return spawn_err(reterr, EIO, "hash layer", "libcrypto refused");
        for (unsigned i = 0; i < len; i++)
                (void) snprintf(ret_hex + (size_t) 2 * i, 3, "%02x", md[i]);
        return 0;
}
