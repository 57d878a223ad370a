/* Command lines as tables. */
#ifndef PODLIKE_ARGS_H
#define PODLIKE_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "libspawn.h"

struct list {
        const char **v;
        size_t n;
};

enum option_kind { OPT_FLAG, OPT_STRING, OPT_LIST, OPT_NUMBER };

struct option_def {
        const char *name; /* without dashes; NULL ends the table */
        char letter; /* 0: none */
        enum option_kind kind;
        void *to; /* bool, const char *, struct list, int; NULL: accepted and ignored */
        const char *help; /* NULL: not listed */
        const char *arg; /* what the value is called in help; NULL: VALUE */
};

/* Reads options out of argv[1..]; --opt=v, --opt v, -ov, -o v, joined letters, "--". What remains is moved to the
 * front: argv[1..*ret_n]. in_order: stop at the first that is not an option. Returns 1 at
 * --help or -h where the table has no such option. */
int args_parse(const struct option_def *table, int argc, char **argv, bool in_order, int *ret_n, spawn_error *e);
/* The candidate is so near to the mistyped word that it may have been meant, and nearer than *best, which is set. */
bool args_nearer(const char *word, const char *candidate, unsigned int *best);
void args_help(const struct option_def *table);

#endif
