/* The container's stdin: a pipe, or the terminal's master side. */
#ifndef CONMON_INPUT_H
#define CONMON_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "loop.h"

enum input_state {
        INPUT_NONE, /* the container has /dev/null, or has closed its stdin: what comes is dropped */
        INPUT_WAITING, /* the terminal has not come yet */
        INPUT_OPEN,
};

struct input {
        struct loop *loop;
        struct source source;
        enum input_state state;
        bool tty;
        bool keep_open; /* a client's end of file is not the container's */
        void (*writable)(void *data); /* there is room again after input_write took less than all */
        void *data;
};

/* fd: non-blocking, owned from here on; -1 with INPUT_NONE or INPUT_WAITING. */
void input_init(struct input *input, struct loop *loop, int fd, enum input_state state);

/* The terminal's master side has come. */
void input_set_terminal(struct input *input, int fd);

/* How many bytes were taken; less than len: input->writable will be called. Never fails: with nobody to read
 * it, input is dropped. */
size_t input_write(struct input *input, const char *buf, size_t len);

/* A client will send nothing more and all it sent has been written. */
void input_end(struct input *input);

void input_close(struct input *input);

/* The container, which has a stdin, has ended and will be made anew: until then input waits. */
void input_await(struct input *input);

#endif
