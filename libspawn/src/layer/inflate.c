/* gzip members, decompressed by ISA-L or zlib.
 *
 * ISA-L (libisal.so.2) is loaded when it is there: it is three times as fast as zlib on x86-64 and needs the processor
 * to be asked at run time what it can do, which its own library does. PODLIKE_LAYER_INFLATE=zlib leaves it out.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "layer.h"

#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>

struct isal {
        void (*init)(struct inflate_state *state);
        int (*run)(struct inflate_state *state);
        struct inflate_state state;
};
#endif

struct layer_inflater {
        z_stream zlib;
#ifdef HAVE_ISAL
        struct isal *isal; /* NULL: zlib does it */
#endif
};

#ifdef HAVE_ISAL

/* NULL: not installed, or out of memory; zlib does as well then. */
static struct isal *isal_open(void)
{
        const char *chosen = getenv("PODLIKE_LAYER_INFLATE");
        void *handle, *init, *run;
        struct isal *isal;

        if (chosen != NULL && strcmp(chosen, "zlib") == 0)
                return NULL;
        handle = dlopen("libisal.so.2", RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL)
                return NULL;
        init = dlsym(handle, "isal_inflate_init");
        run = dlsym(handle, "isal_inflate");
        isal = init != NULL && run != NULL ? malloc(sizeof(*isal)) : NULL;
        if (isal == NULL) {
                (void) dlclose(handle);
                return NULL;
        }
        memcpy(&isal->init, &init, sizeof(init));
        memcpy(&isal->run, &run, sizeof(run));
        return isal;
}

static const char *isal_words(int code)
{
        switch (code) {
        case ISAL_INVALID_BLOCK:
                return "invalid block";
        case ISAL_INVALID_SYMBOL:
                return "invalid symbol";
        case ISAL_INVALID_LOOKBACK:
                return "invalid distance too far back";
        case ISAL_INVALID_WRAPPER:
                return "incorrect header check";
        case ISAL_UNSUPPORTED_METHOD:
                return "unknown compression method";
        case ISAL_INCORRECT_CHECKSUM:
                return "incorrect data check";
        default:
                return "corrupt data";
        }
}

static int isal_run(struct isal *isal, struct layer_inflation *x)
{
        struct inflate_state *state = &isal->state;
        int code;

        state->next_in = (uint8_t *) x->in;
        state->avail_in = (uint32_t) x->n_in;
        state->next_out = x->out;
        state->avail_out = (uint32_t) x->n_out;
        code = isal->run(state);
        x->in = state->next_in;
        x->n_in = state->avail_in;
        x->out = state->next_out;
        x->n_out = state->avail_out;
        if (code < 0) {
                x->why = isal_words(code);
                return -EBADMSG;
        }
        if (state->block_state != ISAL_BLOCK_FINISH)
                return 0;
        /* Whole bytes that its bit buffer holds beyond the trailer, in the order of the input. */
        x->n_back = (size_t) state->read_in_length / 8;
        for (size_t i = 0; i < x->n_back && i < LAYER_INFLATER_BACK; i++)
                x->back[i] = (unsigned char) (state->read_in >> (state->read_in_length % 8 + 8 * (int) i));
        return 1;
}

#endif

struct layer_inflater *layer_inflater_new(void)
{
        struct layer_inflater *z = calloc(1, sizeof(*z));

        if (z == NULL)
                return NULL;
#ifdef HAVE_ISAL
        z->isal = isal_open();
        if (z->isal != NULL)
                return z;
#endif
        if (inflateInit2(&z->zlib, 15 + 16) != Z_OK) {
                free(z);
                return NULL;
        }
        return z;
}

void layer_inflater_free(struct layer_inflater *z)
{
#ifdef HAVE_ISAL
        free(z->isal);
#endif
        (void) inflateEnd(&z->zlib); /* refuses what was never begun */
        free(z);
}

void layer_inflater_reset(struct layer_inflater *z)
{
#ifdef HAVE_ISAL
        if (z->isal != NULL) {
                z->isal->init(&z->isal->state);
                z->isal->state.crc_flag = ISAL_GZIP;
                return;
        }
#endif
        (void) inflateReset(&z->zlib);
}

int layer_inflater_run(struct layer_inflater *z, struct layer_inflation *x)
{
        int code;

        x->n_back = 0;
#ifdef HAVE_ISAL
        if (z->isal != NULL)
                return isal_run(z->isal, x);
#endif
        z->zlib.next_in = (unsigned char *) x->in;
        z->zlib.avail_in = (uInt) x->n_in;
        z->zlib.next_out = x->out;
        z->zlib.avail_out = (uInt) x->n_out;
        code = inflate(&z->zlib, Z_NO_FLUSH);
        x->in = z->zlib.next_in;
        x->n_in = z->zlib.avail_in;
        x->out = z->zlib.next_out;
        x->n_out = z->zlib.avail_out;
        if (code == Z_STREAM_END)
                return 1;
        if (code == Z_OK || code == Z_BUF_ERROR)
                return 0;
        x->why = z->zlib.msg ? z->zlib.msg : code == Z_MEM_ERROR ? "out of memory" : "corrupt data";
        return -EBADMSG;
}
