/* The events log as a file: one JSON line an event, bounded by giving up its older half.
 *
 * podlike/engine/eventfile.py writes to the same file; its table says who locks what, and why.
 */
#ifndef CONMON_EVENTFILE_H
#define CONMON_EVENTFILE_H

#include <stddef.h>
#include <stdint.h>

struct event_file {
        const char *path;
        const char *name; /* the path as a JSON string, with its quotes */
        int64_t max_size; /* bytes; 0: no limit */
};

/* Append a line that ends with a newline, in one piece; 0 or -errno. */
int eventfile_append(const struct event_file *file, const char *line, size_t len);

#endif
