/* The byte side of podlike-layer: gzip, zstd or nothing, told by magic; sha256 of what comes out.
 *
 * A ring of SLOTS buffers between the decompressing thread and the one that writes files. All waiting is for
 * the pipe or for the ring; an error of the producer is handed over after the last good buffer.
 */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

#include "layer.h"
#include "util.h"

#define SLOTS 4
#define SLOT_SIZE ((size_t) 1 << 20) /* 256 KiB cost 5 % on a 160 MB layer, 4 MiB gained nothing */
#define INPUT_SIZE ((size_t) 1 << 18)
#define INPUT_START LAYER_INFLATER_BACK /* room for what an inflater gives back */

struct slot {
        unsigned char *data;
        size_t len;
};

struct layer_stream {
        int fd;
        uint64_t max_size, in_bytes, out_bytes;
        EVP_MD_CTX *hash;
        struct slot ring[SLOTS];
        unsigned head, tail; /* counts of slots published and released */
        bool holding; /* the consumer still reads slot tail */
        bool ended;
        int code; /* the producer's result once ended */
        spawn_error error;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        unsigned char input[INPUT_START + INPUT_SIZE];
        size_t in_pos, in_end;
        bool in_eof;
};

static int fill(struct layer_stream *s)
{
        ssize_t n;

        if (s->in_eof || s->in_pos < s->in_end)
                return 0;
        do
                n = read(s->fd, s->input + INPUT_START, INPUT_SIZE);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return spawn_err(&s->error, errno, "read layer", "%s", strerror(errno));
        s->in_eof = n == 0;
        s->in_pos = INPUT_START;
        s->in_end = INPUT_START + (size_t) n;
        s->in_bytes += (uint64_t) n;
        return 0;
}

/* Enough bytes to see a magic number, however the pipe cuts them. */
static int fill_magic(struct layer_stream *s)
{
        while (s->in_end < INPUT_START + 4) {
                ssize_t n = read(s->fd, s->input + s->in_end, INPUT_START + 4 - s->in_end);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return spawn_err(&s->error, errno, "read layer", "%s", strerror(errno));
                if (n == 0)
                        break;
                s->in_end += (size_t) n;
        }
        s->in_bytes = s->in_end - INPUT_START;
        return 0;
}

/* Wait for a free slot; its buffer. */
static struct slot *begin_slot(struct layer_stream *s)
{
        struct slot *slot;

        (void) pthread_mutex_lock(&s->lock);
        while (s->head - s->tail == SLOTS)
                (void) pthread_cond_wait(&s->changed, &s->lock);
        slot = &s->ring[s->head % SLOTS];
        (void) pthread_mutex_unlock(&s->lock);
        slot->len = 0;
        return slot;
}

static int publish_slot(struct layer_stream *s, struct slot *slot)
{
        if (slot->len == 0)
                return 0;
        s->out_bytes += slot->len;
        if (s->out_bytes > s->max_size)
                return spawn_err(&s->error, EFBIG, "unpack layer", "it is larger than %llu bytes",
                                 (unsigned long long) s->max_size);
        if (s->out_bytes > LAYER_RATIO_FREE && s->out_bytes / LAYER_MAX_RATIO > s->in_bytes)
                return spawn_err(&s->error, EFBIG, "unpack layer",
                                 "it expands more than %u times: a decompression bomb", LAYER_MAX_RATIO);
        if (s->hash != NULL && EVP_DigestUpdate(s->hash, slot->data, slot->len) != 1)
                return spawn_err(&s->error, EIO, "hash layer", "libcrypto refused");
        (void) pthread_mutex_lock(&s->lock);
        s->head++;
        (void) pthread_cond_signal(&s->changed);
        (void) pthread_mutex_unlock(&s->lock);
        return 0;
}

static int produce_plain(struct layer_stream *s)
{
        int r;

        for (;;) {
                struct slot *slot = begin_slot(s);

                while (slot->len < SLOT_SIZE) {
                        size_t n;

                        r = fill(s);
                        if (r < 0)
                                return r;
                        if (s->in_eof)
                                return publish_slot(s, slot);
                        n = s->in_end - s->in_pos;
                        if (n > SLOT_SIZE - slot->len)
                                n = SLOT_SIZE - slot->len;
                        memcpy(slot->data + slot->len, s->input + s->in_pos, n);
                        slot->len += n;
                        s->in_pos += n;
                }
                r = publish_slot(s, slot);
                if (r < 0)
                        return r;
        }
}

static int gzip_error(struct layer_stream *s, const char *why)
{
        return spawn_err(&s->error, EBADMSG, "decompress layer", "gzip: %s", why);
}

/* Decompress once from the input to the slot. 1: a member ended there (RFC 1952, 2.2: members follow each other). */
static int inflate_some(struct layer_stream *s, struct layer_inflater *z, struct slot *slot)
{
        struct layer_inflation x = {
                .in = s->input + s->in_pos,
                .n_in = s->in_end - s->in_pos,
                .out = slot->data + slot->len,
                .n_out = SLOT_SIZE - slot->len,
        };
        int r = layer_inflater_run(z, &x);

        if (r < 0)
                return gzip_error(s, x.why);
        if (r == 0 && s->in_eof && x.n_out == SLOT_SIZE - slot->len)
                return gzip_error(s, "the data ends too early");
        slot->len = SLOT_SIZE - x.n_out;
        s->in_pos = s->in_end - x.n_in;
        if (x.n_back > 0) { /* read ahead of the member's end, maybe from the buffer before this one */
                s->in_pos -= x.n_back;
                memcpy(s->input + s->in_pos, x.back, x.n_back);
        }
        return r;
}

static int inflate_all(struct layer_stream *s, struct layer_inflater *z)
{
        bool member_open = false;
        int r;

        for (;;) {
                struct slot *slot = begin_slot(s);

                while (slot->len < SLOT_SIZE) {
                        r = fill(s);
                        if (r < 0)
                                return r;
                        if (!member_open) {
                                if (s->in_pos == s->in_end)
                                        return publish_slot(s, slot);
                                /* Writers may pad with zeros after the last member (gzip(1)). */
                                if (s->input[s->in_pos] == 0) {
                                        s->in_pos++;
                                        continue;
                                }
                                layer_inflater_reset(z);
                        }
                        r = inflate_some(s, z, slot);
                        if (r < 0)
                                return r;
                        member_open = r == 0;
                }
                r = publish_slot(s, slot);
                if (r < 0)
                        return r;
        }
}

static int produce_gzip(struct layer_stream *s)
{
        struct layer_inflater *z = layer_inflater_new();
        int r;

        if (z == NULL)
                return gzip_error(s, "out of memory");
        r = inflate_all(s, z);
        layer_inflater_free(z);
        return r;
}

static int unzstd_all(struct layer_stream *s, ZSTD_DCtx *ctx)
{
        size_t pending = 0; /* 0: at a frame's end */
        int r;

        for (;;) {
                struct slot *slot = begin_slot(s);

                while (slot->len < SLOT_SIZE) {
                        ZSTD_outBuffer out = {.dst = slot->data, .size = SLOT_SIZE, .pos = slot->len};
                        ZSTD_inBuffer in;

                        r = fill(s);
                        if (r < 0)
                                return r;
                        if (s->in_eof && pending == 0)
                                return publish_slot(s, slot);
                        in = (ZSTD_inBuffer){.src = s->input, .size = s->in_end, .pos = s->in_pos};
                        pending = ZSTD_decompressStream(ctx, &out, &in);
                        if (ZSTD_isError(pending))
                                return spawn_err(&s->error, EBADMSG, "decompress layer", "zstd: %s",
                                                 ZSTD_getErrorName(pending));
                        /* At the end of input the decoder may still hold output; none left means a cut frame. */
                        if (s->in_eof && pending != 0 && out.pos == slot->len)
                                return spawn_err(&s->error, EBADMSG, "decompress layer",
                                                 "zstd: the data ends too early");
                        s->in_pos = in.pos;
                        slot->len = out.pos;
                }
                r = publish_slot(s, slot);
                if (r < 0)
                        return r;
        }
}

static int produce_zstd(struct layer_stream *s)
{
        ZSTD_DCtx *ctx = ZSTD_createDCtx();
        int r;

        if (ctx == NULL)
                return spawn_err(&s->error, ENOMEM, "decompress layer", "zstd: out of memory");
        r = unzstd_all(s, ctx);
        (void) ZSTD_freeDCtx(ctx);
        return r;
}

/* zstd frames 0xFD2FB528, skippable frames 0x184D2A5? (RFC 8878, 3.1). */
static bool is_zstd(const unsigned char *p)
{
        return memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0 ||
               ((p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0);
}

static int produce(struct layer_stream *s)
{
        int r = fill_magic(s);

        if (r < 0)
                return r;
        const unsigned char *head = s->input + INPUT_START;
        size_t n = s->in_end - INPUT_START;

        if (n >= 2 && head[0] == 0x1f && head[1] == 0x8b)
                return produce_gzip(s);
        if (n >= 4 && is_zstd(head))
                return produce_zstd(s);
        return produce_plain(s);
}

static void *producer(void *arg)
{
        struct layer_stream *s = arg;
        int r = produce(s);

        (void) pthread_mutex_lock(&s->lock);
        s->code = r;
        s->ended = true;
        (void) pthread_cond_signal(&s->changed);
        (void) pthread_mutex_unlock(&s->lock);
        return NULL;
}

static int start(struct layer_stream *s, bool hash, spawn_error *reterr)
{
        pthread_t thread;
        int r;

        for (size_t i = 0; i < SLOTS; i++) {
                s->ring[i].data = malloc(SLOT_SIZE);
                if (s->ring[i].data == NULL)
                        return spawn_err(reterr, ENOMEM, "unpack layer", "out of memory");
        }
        if (hash)
                s->hash = EVP_MD_CTX_new();
        if (hash && (s->hash == NULL || EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL) != 1))
                return spawn_err(reterr, EIO, "hash layer", "libcrypto has no sha256");
        (void) pthread_mutex_init(&s->lock, NULL);
        (void) pthread_cond_init(&s->changed, NULL);
        r = pthread_create(&thread, NULL, producer, s);
        if (r != 0)
                return spawn_err(reterr, r, "start thread", "%s", strerror(r));
        (void) pthread_detach(thread);
        return 0;
}

int layer_stream_open(int fd, uint64_t max_size, bool hash, struct layer_stream **ret, spawn_error *reterr)
{
        struct layer_stream *s = calloc(1, sizeof(*s));

        if (s == NULL)
                return spawn_err(reterr, ENOMEM, "unpack layer", "out of memory");
        s->fd = fd;
        s->in_pos = s->in_end = INPUT_START;
        s->max_size = max_size;
        *ret = s;
        return start(s, hash, reterr);
}

ssize_t layer_stream_next(struct layer_stream *s, const void **ret, spawn_error *reterr)
{
        ssize_t n = 0;

        (void) pthread_mutex_lock(&s->lock);
        if (s->holding) {
                s->tail++;
                s->holding = false;
                (void) pthread_cond_signal(&s->changed);
        }
        while (s->head == s->tail && !s->ended)
                (void) pthread_cond_wait(&s->changed, &s->lock);
        if (s->head != s->tail) {
                s->holding = true;
                *ret = s->ring[s->tail % SLOTS].data;
                n = (ssize_t) s->ring[s->tail % SLOTS].len;
        } else if (s->code < 0) {
                n = s->code;
                *reterr = s->error;
        }
        (void) pthread_mutex_unlock(&s->lock);
        return n;
}

int layer_stream_finish(struct layer_stream *s, char ret_hex[65], spawn_error *reterr)
{
        unsigned char md[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        const void *data;
        ssize_t n;

        do
                n = layer_stream_next(s, &data, reterr);
        while (n > 0);
        ret_hex[0] = '\0';
        if (n < 0 || s->hash == NULL)
                return (int) n;
        if (EVP_DigestFinal_ex(s->hash, md, &len) != 1 || len != 32)
                return spawn_err(reterr, EIO, "hash layer", "libcrypto refused");
        for (unsigned i = 0; i < len; i++)
                (void) snprintf(ret_hex + (size_t) 2 * i, 3, "%02x", md[i]);
        return 0;
}
