#include "log-lines.h"

#include <stdlib.h>

/* Append a piece; false when there is no memory for it. */
static bool hold(struct held_line *held, const struct piece *p, size_t max)
{
        if (!held->buf)
                held->buf = malloc(max);
        if (!held->buf)
                return false;
        memcpy(held->buf + held->len, p->text, p->len);
        held->len += p->len;
        return true;
}

/* Hand over what is held; what the taker leaves stays. */
static void hand_over(struct held_line *held, bool whole, piece_taker take, void *data)
{
        struct piece p = {.text = held->buf, .len = held->len, .whole = whole};
        size_t taken = take(data, &p);

        held->len = whole ? 0 : held->len - taken;
        if (held->len > 0)
                memmove(held->buf, held->buf + taken, held->len);
        else
                held_free(held);
}

void held_feed(struct held_line *held, char *buf, size_t len, size_t max, piece_taker take, void *data)
{
        struct piece p;

        while (piece_next(&p, &buf, &len, max - held->len)) {
                bool done = p.whole || p.len == max - held->len;

                if ((!done || held->len > 0) && hold(held, &p, max)) {
                        if (done)
                                hand_over(held, p.whole, take, data);
                } else {
                        size_t taken;

                        p.last = !done; /* there is no memory to keep it in */
                        taken = p.whole ? p.len + (take(data, &p), 0) : take(data, &p);

                        len += p.len - taken;
                        buf -= p.len - taken;
                }
        }
}

void held_flush(struct held_line *held, piece_taker take, void *data)
{
        struct piece p = {.text = held->buf, .len = held->len, .last = true};

        if (held->len > 0)
                (void) take(data, &p);
        held_free(held);
}

void held_free(struct held_line *held)
{
        free(held->buf);
        *held = (struct held_line){0};
}
