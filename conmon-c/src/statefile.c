#include "statefile.h"

#include <string.h>

#include "message.h"
#include "util.h"

uint64_t process_start_time(pid_t pid)
{
        char path[32], text[1024], *p;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
        if (pid <= 0 || read_file(path, text, sizeof(text)) < 0)
                return 0;
        /* The command's name, field 2, may hold blanks and parentheses. */
        p = strrchr(text, ')');
        for (int field = 2; p && field < 22; field++)
                p = strchr(p + 1, ' ');
        return p ? strtoull(p + 1, NULL, 10) : 0;
}

static char *end_line(const struct record *r)
{
        switch (r->cause) {
        case CAUSE_EXIT:
                return strdup("end exit\n");
        case CAUSE_SIGNAL:
                return format("end signal %d\n", r->signal);
        case CAUSE_OOM:
                return format("end oom %s\n", r->oom_limit && *r->oom_limit ? r->oom_limit : "max");
        case CAUSE_SECCOMP:
                return strdup("end seccomp\n");
        case CAUSE_HEALTH:
                return strdup("end health\n");
        case CAUSE_TIMEOUT:
                return strdup("end timeout\n");
        case CAUSE_UNKNOWN:
                return strdup("end unknown\n");
        case CAUSE_NONE:
                break;
        }
        return strdup("");
}

/* One line whatever is in it. */
static char *error_line(const char *error)
{
        size_t len = error ? strlen(error) : 0;
        char *line;

        while (len > 0 && error[len - 1] == '\n')
                len--;
        line = len > 0 ? format("error %.*s\n", (int) len, error) : strdup("");
        for (char *p = line; p && *p && p[1]; p++)
                if (*p == '\n')
                        *p = ' ';
        return line;
}

char *statefile_text(const struct record *r)
{
        static const char *const phases[] = {"creating", "created", "running", "waiting", "ended"};
        _cleanup_free_ char *end = end_line(r), *error = error_line(r->error), *health = NULL;

        health = r->health ? format("health %s %u\n", r->health, r->streak) : strdup("");
        if (!end || !error || !health)
                return NULL;
        return format(
                "phase %s\npid %d %llu\nrestarts %u\nstarted %lld.%09ld\nfinished %lld.%09ld\nexit %d\noom %d\n%s%s%s",
                phases[r->phase], (int) r->pid, (unsigned long long) process_start_time(r->pid), r->restarts,
                (long long) r->started.tv_sec, r->started.tv_nsec, (long long) r->finished.tv_sec, r->finished.tv_nsec,
                r->exit_code, r->oom_killed, end, error, health);
}

void statefile_write(const struct record *record, const char *path)
{
        _cleanup_free_ char *text = path ? statefile_text(record) : NULL;
        int r = path && !text ? -ENOMEM : path ? write_file_atomic(path, text) : 0;

        if (r < 0)
                msg_warn("Failed to write the state file %s: %s", path, strerror(-r));
}
