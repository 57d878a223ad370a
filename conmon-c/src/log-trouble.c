#include "log-trouble.h"

#include <inttypes.h>
#include <string.h>

#include "message.h"

/* A container that goes on without its log is not worth failing for, and so neither is this file. */
static void leave_word(const struct log_trouble *trouble, const char *text)
{
        _cleanup_free_ char *path = NULL, *line = NULL;

        if (!trouble->opt->persist_dir)
                return;
        path = format("%s/log-error", trouble->opt->persist_dir);
        line = format("%s: %s\n", trouble->where, text);
        if (path && line)
                (void) write_file_atomic(path, line);
}

void log_trouble(struct log_trouble *trouble, int error, int64_t lost)
{
        if (trouble->error == 0) {
                _cleanup_free_ char *text = format("output is not being logged: %s", strerror(error));

                trouble->error = error;
                msg_warn("Failed to write to log %s: %s", trouble->where, strerror(error));
                if (text)
                        leave_word(trouble, text);
        }
        trouble->lost += lost;
}

void log_trouble_describe(const struct log_trouble *trouble, char *buf, size_t size)
{
        (void) snprintf(buf, size, "%" PRId64 " %s of output could not be logged: %s", trouble->lost,
                        trouble->lost == 1 ? "line" : "lines", strerror(trouble->error));
}

void log_trouble_over(struct log_trouble *trouble)
{
        char text[256];

        log_trouble_describe(trouble, text, sizeof(text));
        leave_word(trouble, text);
        trouble->error = 0;
        trouble->lost = 0;
}
