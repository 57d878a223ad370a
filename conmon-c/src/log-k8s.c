/* k8s-file: "2024-05-01T10:20:30.123456789+02:00 stdout F text". Source: the CRI's log format. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log-lines.h"
#include "log.h"
#include "logfile.h"

struct k8s_log {
        struct logfile file;
        time_t second; /* that stamp and zone belong to */
        char stamp[20]; /* YYYY-MM-DDTHH:MM:SS */
        char zone[8]; /* +HH:MM */
};

/* stamp (19) + . + 9 digits + zone (6) + blank + stream (6) + blank + tag + blank */
#define PREFIX_MAX 64

/* The zone's offset may change in any second, so both are made together, once a second. */
static void update_stamp(struct k8s_log *log, time_t second)
{
        struct tm tm;
        long off;

        if (second == log->second)
                return;
        log->second = second;
        (void) localtime_r(&second, &tm);
        (void) strftime(log->stamp, sizeof(log->stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        off = tm.tm_gmtoff / 60;
        (void) snprintf(log->zone, sizeof(log->zone), "%c%02ld:%02ld", off < 0 ? '-' : '+', labs(off) / 60 % 100,
                        labs(off) % 60);
}

/* Everything before the text but the tag; the same for all lines of one read. The length. */
static size_t make_prefix(struct k8s_log *log, enum stream_id stream, char prefix[static PREFIX_MAX])
{
        struct timespec now;

        (void) clock_gettime(CLOCK_REALTIME, &now);
        update_stamp(log, now.tv_sec);
        return (size_t) snprintf(prefix, PREFIX_MAX, "%s.%09ld%s %s ", log->stamp, now.tv_nsec, log->zone,
                                 stream == STREAM_STDOUT ? "stdout" : "stderr");
}

/* The length of the entry. */
static size_t put_entry(char *entry, const char *prefix, size_t prefix_len, const struct piece *piece)
{
        char *p = entry + prefix_len;

        memcpy(entry, prefix, prefix_len);
        *p++ = piece->whole ? 'F' : 'P';
        *p++ = ' ';
        memcpy(p, piece->text, piece->len);
        p[piece->len] = '\n';
        return prefix_len + piece->len + 3;
}

static size_t k8s_notice(void *driver, char *entry, const char *text)
{
        char prefix[PREFIX_MAX], line[LOGFILE_NOTICE / 2];
        size_t prefix_len = make_prefix(driver, STREAM_STDERR, prefix);
        int n = snprintf(line, sizeof(line), "podlike-conmon: %s", text);

        return put_entry(entry, prefix, prefix_len,
                         &(struct piece){.text = line, .len = MIN_OF((size_t) n, sizeof(line) - 1), .whole = true});
}

static int k8s_open(void **ret_state, const char *path, const struct options *opt)
{
        struct k8s_log *log = calloc(1, sizeof(*log));
        int r;

        if (!log)
                return -ENOMEM;
        r = logfile_open(&log->file, path, opt, k8s_notice, log);
        if (r < 0)
                free(log);
        else
                *ret_state = log;
        return r;
}

static void k8s_write(void *state, enum stream_id stream, char *buf, size_t len)
{
        struct k8s_log *log = state;
        char prefix[PREFIX_MAX];
        size_t prefix_len = make_prefix(log, stream, prefix);
        struct piece piece;

        while (piece_next(&piece, &buf, &len, LOG_PIECE_MAX)) {
                char *entry = logfile_reserve(&log->file, prefix_len + piece.len + 3);

                if (entry)
                        logfile_commit(&log->file, put_entry(entry, prefix, prefix_len, &piece));
        }
        logfile_flush(&log->file);
}

static void k8s_flush(void *state)
{
        logfile_flush(&((struct k8s_log *) state)->file);
}

static void k8s_reopen(void *state)
{
        logfile_renew(&((struct k8s_log *) state)->file);
}

static void k8s_trim(void *state)
{
        logfile_trim(&((struct k8s_log *) state)->file);
}

static int k8s_sync(void *state)
{
        return logfile_sync(&((struct k8s_log *) state)->file);
}

static void k8s_close(void *state)
{
        logfile_close(&((struct k8s_log *) state)->file);
        free(state);
}

const struct log_driver log_driver_k8s = {
        .name = "k8s-file",
        .open = k8s_open,
        .write = k8s_write,
        .flush = k8s_flush,
        .reopen = k8s_reopen,
        .trim = k8s_trim,
        .sync = k8s_sync,
        .close = k8s_close,
};
