/* Command lines as tables. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "fail.h"
#include "util.h"

static const struct option_def *find_long(const struct option_def *t, const char *name, size_t len)
{
        for (; t->name != NULL; t++)
                if (strncmp(t->name, name, len) == 0 && t->name[len] == '\0')
                        return t;
        return NULL;
}

static const struct option_def *find_letter(const struct option_def *t, char letter)
{
        for (; t->name != NULL; t++)
                if (t->letter == letter)
                        return t;
        return NULL;
}

static int set_flag(const struct option_def *o, const char *value, spawn_error *e)
{
        static const char *const words[] = {"false", "true", "0", "1", "no", "yes"};

        for (size_t i = 0; value != NULL && i < ELEMENTSOF(words); i++) {
                if (strcmp(value, words[i]) == 0) {
                        if (o->to != NULL)
                                *(bool *) o->to = i % 2 != 0;
                        return 0;
                }
        }
        if (value != NULL)
                return fail_text(e, "usage", "option --%s is true or false, not `%s`", o->name, value);
        if (o->to != NULL)
                *(bool *) o->to = true;
        return 0;
}

static int set_value(const struct option_def *o, const char *value, spawn_error *e)
{
        struct list *l = o->to;
        char *end;
        long n;

        if (o->to == NULL)
                return 0;
        switch (o->kind) {
        case OPT_STRING:
                *(const char **) o->to = value;
                return 0;
        case OPT_LIST:
                l->v = reallocarray(l->v, l->n + 1, sizeof(*l->v)); /* a few words, until the process ends */
                if (l->v == NULL)
                        return spawn_err(e, ENOMEM, "usage", "out of memory");
                l->v[l->n++] = value;
                return 0;
        default:
                n = strtol(value, &end, 10);
                if (value[0] == '\0' || *end != '\0' || n < 0 || n > 1000000)
                        return fail_text(e, "usage", "option --%s needs a number, not `%s`", o->name, value);
                *(int *) o->to = (int) n;
                return 0;
        }
}

struct cursor {
        const struct option_def *table;
        int argc, i;
        char **argv;
};

static int need_value(struct cursor *c, const struct option_def *o, const char **ret, spawn_error *e)
{
        if (*ret != NULL)
                return 0;
        if (c->i + 1 >= c->argc)
                return fail_text(e, "usage", "option --%s requires an argument", o->name);
        *ret = c->argv[++c->i];
        return 0;
}

/* How many letters must be put in, left out or changed to make b of a; more than 16 letters are not compared. */
static unsigned int distance(const char *a, const char *b)
{
        unsigned int row[17];
        size_t n = strlen(b);

        if (n > 16)
                return UINT_MAX;
        for (unsigned int i = 0; i <= n; i++)
                row[i] = i;
        for (unsigned int k = 1; a[k - 1] != '\0'; k++) {
                unsigned int corner = row[0];

                row[0] = k;
                for (size_t i = 1; i <= n; i++) {
                        unsigned int best = corner + (a[k - 1] != b[i - 1]);

                        corner = row[i];
                        if (row[i] + 1 < best)
                                best = row[i] + 1;
                        if (row[i - 1] + 1 < best)
                                best = row[i - 1] + 1;
                        row[i] = best;
                }
        }
        return row[n];
}

bool args_nearer(const char *word, const char *candidate, unsigned int *best)
{
        size_t len = strlen(word);
        unsigned int d = len >= 2 && strncmp(word, candidate, len) == 0 ? 0 : distance(word, candidate);

        /* One letter in three may be wrong. */
        if (d >= *best || d > (len + 2) / 3)
                return false;
        *best = d;
        return true;
}

static int unknown_option(const struct option_def *table, const char *arg, size_t len, spawn_error *e)
{
        unsigned int best = UINT_MAX;
        const char *nearest = NULL;
        char word[64];

        (void) snprintf(word, sizeof(word), "%.*s", (int) len, arg);
        for (const struct option_def *o = table; o->name != NULL; o++)
                if (o->name[0] != '\0' && args_nearer(word, o->name, &best))
                        nearest = o->name;
        return nearest != NULL ? fail_text(e, "usage", "unknown option --%s, did you mean --%s?", word, nearest)
                               : fail_text(e, "usage", "unknown option --%s", word);
}

static int parse_long(struct cursor *c, const char *arg, spawn_error *e)
{
        size_t len = strcspn(arg, "=");
        const char *value = arg[len] == '=' ? arg + len + 1 : NULL;
        const struct option_def *o = find_long(c->table, arg, len);
        int r;

        if (o == NULL && strcmp(arg, "help") == 0)
                return 1;
        if (o == NULL)
                return unknown_option(c->table, arg, len, e);
        if (o->kind == OPT_FLAG)
                return set_flag(o, value, e);
        r = need_value(c, o, &value, e);
        return r < 0 ? r : set_value(o, value, e);
}

static int parse_letters(struct cursor *c, const char *arg, spawn_error *e)
{
        for (; *arg != '\0'; arg++) {
                const struct option_def *o = find_letter(c->table, *arg);
                const char *value = arg[1] != '\0' ? arg + 1 : NULL;
                int r;

                if (o == NULL && *arg == 'h')
                        return 1;
                if (o == NULL)
                        return fail_text(e, "usage", "unknown option -%c", *arg);
                if (o->kind == OPT_FLAG) {
                        r = set_flag(o, NULL, e);
                        if (r < 0)
                                return r;
                        continue;
                }
                r = need_value(c, o, &value, e);
                return r < 0 ? r : set_value(o, value, e);
        }
        return 0;
}

int args_parse(const struct option_def *table, int argc, char **argv, bool in_order, int *ret_n, spawn_error *e)
{
        struct cursor c = {.table = table, .argc = argc, .argv = argv};
        bool only_words = false;
        int n = 0;

        for (c.i = 1; c.i < argc; c.i++) {
                char *arg = argv[c.i];
                int r = 0;

                if (only_words || arg[0] != '-' || arg[1] == '\0') {
                        argv[++n] = arg;
                        only_words = only_words || in_order;
                } else if (strcmp(arg, "--") == 0) {
                        only_words = true;
                } else {
                        r = arg[1] == '-' ? parse_long(&c, arg + 2, e) : parse_letters(&c, arg + 1, e);
                }
                if (r != 0)
                        return r;
        }
        *ret_n = n;
        return 0;
}

void args_help(const struct option_def *table)
{
        for (const struct option_def *o = table; o->name != NULL; o++) {
                char left[64], letter[8] = "    ";

                if (o->help == NULL)
                        continue;
                if (o->letter != 0)
                        (void) snprintf(letter, sizeof(letter), "-%c, ", o->letter);
                (void) snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->kind == OPT_FLAG ? "" : " ",
                                o->kind == OPT_FLAG ? ""
                                : o->arg != NULL    ? o->arg
                                                    : "VALUE");
                printf("  %-32s %s\n", left, o->help);
        }
}
