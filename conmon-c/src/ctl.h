/* The fifos BUNDLE/ctl (resize, reopen logs) and BUNDLE/winsz (the sizes themselves). */
#ifndef CONMON_CTL_H
#define CONMON_CTL_H

#include <stdbool.h>
#include <stddef.h>

#include "log.h"
#include "loop.h"
#include "options.h"

#define CTL_LINE_MAX 200

enum ctl_kind { CTL_INVALID, CTL_RESIZE, CTL_REOPEN };

struct ctl_message {
        enum ctl_kind kind;
        int height, width;
};

/* "TYPE HEIGHT WIDTH ..." and "HEIGHT WIDTH ..."; CTL_INVALID for anything else, after a warning. */
struct ctl_message ctl_parse(const char *line);
struct ctl_message ctl_parse_size(const char *line);

/* Lines out of pieces; one that is too long is dropped whole. */
struct ctl_lines {
        size_t len;
        bool skip;
        char buf[CTL_LINE_MAX];
};

void ctl_feed(struct ctl_lines *lines, const char *buf, size_t len, void (*line)(void *data, const char *line),
              void *data);

struct ctl {
        struct loop *loop;
        struct log *log;
        struct source control, winsz;
        int control_writer, winsz_writer; /* held open, so that there is never a hang-up */
        struct ctl_lines control_lines, winsz_lines;
        int tty; /* borrowed; -1 until it comes */
        bool pending;
        struct ctl_message size; /* the last one asked for before there was a terminal */
};

void ctl_init(struct ctl *ctl, struct loop *loop, struct log *log);

/* Make both fifos; 0, or -errno after a message. */
int ctl_open(struct ctl *ctl, const char *bundle);

/* The terminal has come: sizes asked for before now take effect. */
void ctl_set_terminal(struct ctl *ctl, int tty);

/* The terminal is gone; one that comes later gets the same size. */
void ctl_lose_terminal(struct ctl *ctl);

void ctl_done(struct ctl *ctl);

#endif
