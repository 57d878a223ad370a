/* Cutting output into lines, and lines that are too long into pieces. */
#ifndef CONMON_LOG_LINES_H
#define CONMON_LOG_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "util.h"

struct piece {
        char *text;
        size_t len; /* without the newline */
        bool whole; /* a newline ended it */
        bool last; /* nothing follows: all of it has to be taken */
};

/* Take the next piece off the len bytes at buf: up to a newline, or max bytes, or all that is there. false: none left. */
static inline bool piece_next(struct piece *ret, char **buf, size_t *len, size_t max)
{
        size_t window = MIN_OF(*len, max + 1), taken;
        const char *newline;

        if (*len == 0)
                return false;
        newline = memchr(*buf, '\n', window);
        *ret = (struct piece){.text = *buf, .whole = newline != NULL};
        ret->len = newline ? (size_t) (newline - *buf) : MIN_OF(window, max);
        taken = ret->len + ret->whole;
        *buf += taken;
        *len -= taken;
        return true;
}

/* The start of a line whose end has not come yet, for logs that have one entry for a line, not one for a read. */
struct held_line {
        char *buf; /* `max` bytes of held_feed, made when first needed */
        size_t len;
};

/* Called for each whole line, and for each piece of max bytes. How many bytes of a piece were taken (a whole line always is):
 * what is left at its end goes before what comes next. */
typedef size_t (*piece_taker)(void *data, const struct piece *piece);

void held_feed(struct held_line *held, char *buf, size_t len, size_t max, piece_taker take, void *data);

/* No more will come: what is held is a piece. */
void held_flush(struct held_line *held, piece_taker take, void *data);

void held_free(struct held_line *held);

#endif
