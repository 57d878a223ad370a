/* Errors as values: {errno, stage, words}. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

/* Names in it come from files and images: none may start a new line or speak to the terminal. */
static void make_printable(char *text)
{
        for (; *text != '\0'; text++)
                if ((unsigned char) *text < ' ' || *text == 0x7f)
                        *text = '?';
}

int spawn_err(spawn_error *e, int code, const char *stage, const char *fmt, ...)
{
        va_list ap;

        if (e != NULL) {
                e->code = code;
                (void) snprintf(e->stage, sizeof(e->stage), "%s", stage);
                va_start(ap, fmt);
                (void) vsnprintf(e->text, sizeof(e->text), fmt, ap);
                va_end(ap);
                make_printable(e->text);
        }
        return code > 0 ? -code : -EIO;
}
