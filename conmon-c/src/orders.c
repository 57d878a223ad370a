#include "orders.h"

#include <string.h>

#define ORDERS_MAX 16384

enum kind { NUMBER, TEXT, POLICY, BACK_OFF, ACTION, NOTIFY };

struct order_row {
        const char *key;
        enum kind kind;
        size_t offset; /* in struct orders */
};

#define AT(member) offsetof(struct orders, member)

static const struct order_row rows[] = {
        {"back-off", BACK_OFF, 0},
        {"health", TEXT, AT(regular.process)},
        {"health-interval", NUMBER, AT(regular.interval)},
        {"health-log", TEXT, AT(health_log)},
        {"health-log-count", NUMBER, AT(health_log_count)},
        {"health-log-size", NUMBER, AT(health_log_size)},
        {"health-on-failure", ACTION, AT(on_failure)},
        {"health-retries", NUMBER, AT(regular.retries)},
        {"health-start-interval", NUMBER, AT(start_interval)},
        {"health-start-period", NUMBER, AT(start_period)},
        {"health-timeout", NUMBER, AT(regular.timeout)},
        {"notify-mode", NOTIFY, AT(notify_mode)},
        {"notify-socket", TEXT, AT(notify_socket)},
        {"restart", POLICY, 0},
        {"startup", TEXT, AT(startup.process)},
        {"startup-interval", NUMBER, AT(startup.interval)},
        {"startup-retries", NUMBER, AT(startup.retries)},
        {"startup-success", NUMBER, AT(startup.successes)},
        {"startup-timeout", NUMBER, AT(startup.timeout)},
        {"stop-signal", NUMBER, AT(stop_signal)},
        {"stop-timeout", NUMBER, AT(stop_timeout)},
};

#undef AT

static const char *const policies[] = {"no", "on-failure", "always", "unless-stopped"};
static const char *const actions[] = {"none", "kill", "restart", "stop"};
static const char *const modes[] = {"container", "conmon", "healthy"};

/* The place of a word in a list, or -EINVAL. */
static int index_of(const char *word, size_t len, const char *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (strncmp(list[i], word, len) == 0 && list[i][len] == '\0')
                        return (int) i;
        return -EINVAL;
}

static int parse_number(const char *text, char end, const char **ret_rest, int64_t *ret)
{
        char *rest = NULL;

        errno = 0;
        *ret = strtoll(text, &rest, 10);
        if (errno || rest == text || *rest != end)
                return -EINVAL;
        *ret_rest = rest;
        return 0;
}

/* "always", "on-failure:3" */
static int parse_policy(struct orders *o, const char *value)
{
        const char *colon = strchr(value, ':'), *rest;
        int i = index_of(value, colon ? (size_t) (colon - value) : strlen(value), policies, ARRAY_LEN(policies));

        if (i < 0 || (colon && i != RESTART_ON_FAILURE))
                return -EINVAL;
        o->policy = (enum restart_policy) i;
        return colon ? parse_number(colon + 1, '\0', &rest, &o->policy_retries) : 0;
}

/* "FIRST LONGEST RESET", ms */
static int parse_back_off(struct orders *o, const char *value)
{
        const char *rest = value;

        if (parse_number(rest, ' ', &rest, &o->first_wait) < 0 ||
            parse_number(rest, ' ', &rest, &o->longest_wait) < 0 ||
            parse_number(rest, '\0', &rest, &o->reset_after) < 0)
                return -EINVAL;
        return o->first_wait > 0 && o->longest_wait >= o->first_wait ? 0 : -EINVAL;
}

static int store(struct orders *o, const struct order_row *row, const char *value)
{
        void *field = (char *) o + row->offset;
        const char *rest;
        char *copy;
        int i;

        switch (row->kind) {
        case NUMBER:
                return parse_number(value, '\0', &rest, field);
        case TEXT:
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
                free(*(char **) field);
                *(char **) field = copy;
                return 0;
        case POLICY:
                return parse_policy(o, value);
        case BACK_OFF:
                return parse_back_off(o, value);
        case ACTION:
                i = index_of(value, strlen(value), actions, ARRAY_LEN(actions));
                if (i >= 0)
                        o->on_failure = (enum health_action) i;
                return MIN_OF(i, 0);
        case NOTIFY:
                i = index_of(value, strlen(value), modes, ARRAY_LEN(modes));
                if (i >= 0)
                        o->notify_mode = (enum notify_mode) i;
                return MIN_OF(i, 0);
        }
        return -EINVAL;
}

static int parse_line(struct orders *o, char *line, char *reterr, size_t size)
{
        char *value = strchr(line, ' ');
        int r;

        if (value)
                *value++ = '\0';
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                if (strcmp(rows[i].key, line) != 0)
                        continue;
                r = value ? store(o, &rows[i], value) : -EINVAL;
                if (r < 0)
                        (void) snprintf(reterr, size, "order \"%s\": bad value \"%s\"", line, value ? value : "");
                return r;
        }
        (void) snprintf(reterr, size, "unknown order \"%s\"", line);
        return -EINVAL;
}

int orders_parse(struct orders *orders, const char *text, char *reterr, size_t size)
{
        _cleanup_free_ char *copy = strdup(text);
        char *save = NULL;

        /* Docker's back-off. */
        *orders = (struct orders){.given = true,
                                  .first_wait = 100,
                                  .longest_wait = 60000,
                                  .reset_after = 10000,
                                  .stop_signal = 15,
                                  .stop_timeout = 10,
                                  .regular.retries = 3};
        for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
                int r = parse_line(orders, line, reterr, size);

                if (r < 0)
                        return r;
        }
        if (!copy)
                (void) snprintf(reterr, size, "out of memory");
        return copy ? 0 : -ENOMEM;
}

int orders_read(struct orders *orders, const char *path, char *reterr, size_t size)
{
        _cleanup_free_ char *text = malloc(ORDERS_MAX);
        ssize_t n = text ? read_file(path, text, ORDERS_MAX) : -ENOMEM;

        if (n < 0) {
                (void) snprintf(reterr, size, "read %s: %s", path, strerror((int) -n));
                return (int) n;
        }
        return orders_parse(orders, text, reterr, size);
}

void orders_done(struct orders *orders)
{
        free(orders->regular.process);
        free(orders->startup.process);
        free(orders->health_log);
        free(orders->notify_socket);
        *orders = (struct orders){0};
}
