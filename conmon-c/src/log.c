#include "log.h"

#include <string.h>

#include "message.h"

static const struct log_driver *const drivers[] = {&log_driver_k8s, &log_driver_json, &log_driver_journald};

static const struct log_driver *driver_by_name(const char *name, size_t len)
{
        for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
                if (strlen(drivers[i]->name) == len && memcmp(drivers[i]->name, name, len) == 0)
                        return drivers[i];
        return NULL;
}

static bool is_word(const char *s, size_t len, const char *word)
{
        return strlen(word) == len && memcmp(s, word, len) == 0;
}

/* "DRIVER:PATH", "DRIVER", "PATH" or ":PATH"; words before a colon must be a driver, other words are paths. */
int log_parse_spec(const char *spec, enum log_kind *ret_kind, const struct log_driver **ret_driver,
                   const char **ret_path)
{
        const char *colon = strchr(spec, ':');
        size_t len = colon ? (size_t) (colon - spec) : strlen(spec);
        const char *path = colon ? colon + 1 : "";

        *ret_kind = LOG_DRIVER;
        *ret_driver = NULL;
        *ret_path = path;
        if (len == 0 && *path == '\0') {
                msg_error("log-path must not be empty");
                return -EINVAL;
        }
        if (len == 0) {
                *ret_driver = &log_driver_k8s;
                return 0;
        }
        if (is_word(spec, len, "none") || is_word(spec, len, "off") || is_word(spec, len, "null")) {
                *ret_kind = LOG_NOTHING;
                return 0;
        }
        if (is_word(spec, len, "passthrough")) {
                *ret_kind = LOG_PASSTHROUGH;
                return 0;
        }
        *ret_driver = driver_by_name(spec, len);
        if (!*ret_driver && !colon) {
                *ret_driver = &log_driver_k8s;
                *ret_path = spec;
        }
        if (!*ret_driver) {
                msg_error("No such log driver %.*s", (int) len, spec);
                return -EINVAL;
        }
        if (**ret_path == '\0' && *ret_driver != &log_driver_journald) {
                msg_error("%s requires a filename", (*ret_driver)->name);
                return -EINVAL;
        }
        return 0;
}

static int add_sink(struct log *log, const struct log_driver *driver, const char *path, const struct options *opt)
{
        struct log_sink *sink = calloc(1, sizeof(*sink)), **end = &log->sinks;
        int r;

        if (!sink)
                return -ENOMEM;
        sink->driver = driver;
        r = driver->open(&sink->state, path, opt);
        if (r < 0) {
                free(sink);
                return r;
        }
        while (*end)
                end = &(*end)->next;
        *end = sink;
        return 0;
}

/* Options that some drivers have no place for. */
static int check_options(const struct log *log, const struct options *opt)
{
        bool labels = !log->sinks, journal = false;

        for (const struct log_sink *s = log->sinks; s; s = s->next) {
                journal = journal || s->driver == &log_driver_journald;
                labels = labels || s->driver != &log_driver_k8s;
        }
        if (!labels && (opt->log_tag || opt->log_labels.n > 0)) {
                msg_error("%s doesn't support --log-%s", log->sinks->driver->name, opt->log_tag ? "tag" : "label");
                return -EINVAL;
        }
        if (opt->no_container_partial_message && !journal)
                msg_warn("--no-container-partial-message has no effect without journald log driver");
        return 0;
}

int log_open(struct log *log, const struct options *opt)
{
        *log = (struct log){0};
        if (opt->log_paths.n == 0) {
                msg_error("Log driver not provided. Use --log-path");
                return -EINVAL;
        }
        for (size_t i = 0; i < opt->log_paths.n; i++) {
                const struct log_driver *driver;
                const char *path;
                enum log_kind kind;
                int r = log_parse_spec(opt->log_paths.v[i], &kind, &driver, &path);

                if (r == 0 && kind == LOG_DRIVER)
                        r = add_sink(log, driver, path, opt);
                if (r < 0)
                        return r;
                log->passthrough = log->passthrough || kind == LOG_PASSTHROUGH;
        }
        return check_options(log, opt);
}

void log_write(struct log *log, enum stream_id stream, char *buf, size_t len)
{
        for (struct log_sink *s = log->sinks; s && len > 0; s = s->next)
                s->driver->write(s->state, stream, buf, len);
}

void log_flush(struct log *log)
{
        for (struct log_sink *s = log->sinks; s; s = s->next)
                s->driver->flush(s->state);
}

void log_reopen(struct log *log)
{
        for (struct log_sink *s = log->sinks; s; s = s->next)
                if (s->driver->reopen)
                        s->driver->reopen(s->state);
}

void log_trim(struct log *log)
{
        for (struct log_sink *s = log->sinks; s; s = s->next)
                if (s->driver->trim)
                        s->driver->trim(s->state);
}

void log_sync(struct log *log)
{
        for (struct log_sink *s = log->sinks; s; s = s->next)
                if (s->driver->sync && s->driver->sync(s->state) < 0)
                        msg_warn("Failed to sync the %s log before exit", s->driver->name);
}

void log_close(struct log *log)
{
        while (log->sinks) {
                struct log_sink *s = log->sinks;

                log->sinks = s->next;
                s->driver->close(s->state);
                free(s);
        }
}
