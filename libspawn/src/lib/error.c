/* Errors as values: {errno, stage, words}. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

int spawn_err(spawn_error *e, int code, const char *stage, const char *fmt, ...)
{
        va_list ap;

        if (e != NULL) {
                e->code = code;
                (void) snprintf(e->stage, sizeof(e->stage), "%s", stage);
                va_start(ap, fmt);
                (void) vsnprintf(e->text, sizeof(e->text), fmt, ap);
                va_end(ap);
        }
        return code > 0 ? -code : -EIO;
}
