/* A log that cannot be written: said once, counted, and left where the container's owner can find it. */
#ifndef CONMON_LOG_TROUBLE_H
#define CONMON_LOG_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

struct log_trouble {
        const struct options *opt;
        const char *where; /* the log's path, or what it is called */
        int error; /* errno of the first failure; 0: all is well */
        int64_t lost; /* lines, or pieces of lines, since then */
};

/* An entry, or several, could not be written. The first time it is told, and written to PERSIST-DIR/log-error. */
void log_trouble(struct log_trouble *trouble, int error, int64_t lost);

/* What has been lost, as a sentence. */
void log_trouble_describe(const struct log_trouble *trouble, char *buf, size_t size);

/* It can be written again: leave the sentence in the file and forget about it. */
void log_trouble_over(struct log_trouble *trouble);

#endif
