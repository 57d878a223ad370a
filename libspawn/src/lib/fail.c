/* Errors of the runtime in words; error.c has the value itself. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "util.h"

int fail_code(spawn_error *e, int code, const char *stage, const char *fmt, ...)
{
        char words[sizeof(e->text)];
        va_list ap;

        if (code < 0)
                code = -code;
        va_start(ap, fmt);
        (void) vsnprintf(words, sizeof(words), fmt, ap);
        va_end(ap);
        return spawn_err(e, code, stage, "%s: %s", words, strerror(code));
}

int fail_wrap(spawn_error *e, int ret, const char *fmt, ...)
{
        char words[sizeof(e->text)], old[sizeof(e->text)];
        va_list ap;

        if (e == NULL)
                return ret;
        va_start(ap, fmt);
        (void) vsnprintf(words, sizeof(words), fmt, ap);
        va_end(ap);
        memcpy(old, e->text, sizeof(old));
        /* Cut the outer words first: the cause at the end is what the user needs. */
        (void) snprintf(e->text, sizeof(e->text), "%.*s: %.*s", 200, words, 300, old);
        return ret;
}
