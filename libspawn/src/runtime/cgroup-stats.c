/* Statistics of a cgroup, in the form in which runc's events print them: the one that containerd and others read. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"
#include "io.h"
#include "util.h"

static struct json_object *u64(uint64_t v)
{
        return json_object_new_uint64(v);
}

/* A file with one number; "max" is the largest one. Returns false when there is none. */
static bool read_number(int fd, const char *file, uint64_t *ret)
{
        _cleanup_free_ char *text = NULL;

        if (read_file_at(fd, file, 256, &text) <= 0)
                return false;
        *ret = strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
        return true;
}

int64_t cgroup_read_key(int fd, const char *file, const char *key)
{
        _cleanup_free_ char *text = NULL;
        char *line, *save = NULL;
        size_t len = strlen(key);

        if (read_file_at(fd, file, 65536, &text) <= 0)
                return -1;
        for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
                if (strncmp(line, key, len) == 0 && line[len] == ' ')
                        return strtoll(line + len + 1, NULL, 10);
        return -1;
}

static struct json_object *number_or_zero(int fd, const char *file, const char *key, uint64_t factor)
{
        int64_t v = cgroup_read_key(fd, file, key);

        return u64(v < 0 ? 0 : (uint64_t) v * factor);
}

static struct json_object *child(struct json_object *up, const char *key)
{
        struct json_object *o = json_object_new_object();

        json_object_object_add(up, key, o);
        return o;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" (psi.rst). */
static void add_pressure(int fd, const char *file, struct json_object *to)
{
        _cleanup_free_ char *text = NULL;
        char *line, *save = NULL, kind[8];
        double a, b, c;
        uint64_t total;

        if (read_file_at(fd, file, 1024, &text) <= 0)
                return;
        struct json_object *psi = child(to, "psi");
        for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
                if (sscanf(line, "%7s avg10=%lf avg60=%lf avg300=%lf total=%" SCNu64, kind, &a, &b, &c, &total) != 5)
                        continue;
                struct json_object *o = child(psi, kind);
                json_object_object_add(o, "avg10", json_object_new_double(a));
                json_object_object_add(o, "avg60", json_object_new_double(b));
                json_object_object_add(o, "avg300", json_object_new_double(c));
                json_object_object_add(o, "total", u64(total));
        }
}

static void add_cpu(int fd, struct json_object *data)
{
        struct json_object *cpu = child(data, "cpu"), *usage = child(cpu, "usage"), *t = child(cpu, "throttling");

        /* Nanoseconds; the kernel has microseconds. */
        json_object_object_add(usage, "total", number_or_zero(fd, "cpu.stat", "usage_usec", 1000));
        json_object_object_add(usage, "kernel", number_or_zero(fd, "cpu.stat", "system_usec", 1000));
        json_object_object_add(usage, "user", number_or_zero(fd, "cpu.stat", "user_usec", 1000));
        json_object_object_add(t, "periods", number_or_zero(fd, "cpu.stat", "nr_periods", 1));
        json_object_object_add(t, "throttledPeriods", number_or_zero(fd, "cpu.stat", "nr_throttled", 1));
        json_object_object_add(t, "throttledTime", number_or_zero(fd, "cpu.stat", "throttled_usec", 1000));
        add_pressure(fd, "cpu.pressure", cpu);
}

static void add_usage(struct json_object *up, const char *key, uint64_t usage, uint64_t limit, uint64_t max,
                      uint64_t failures)
{
        struct json_object *o = child(up, key);

        json_object_object_add(o, "limit", u64(limit));
        json_object_object_add(o, "usage", u64(usage));
        json_object_object_add(o, "max", u64(max));
        json_object_object_add(o, "failcnt", u64(failures));
}

static void add_memory_raw(int fd, struct json_object *memory)
{
        _cleanup_free_ char *text = NULL;
        char *line, *save = NULL;
        struct json_object *raw = child(memory, "raw");

        if (read_file_at(fd, "memory.stat", 65536, &text) <= 0)
                return;
        for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
                char *space = strchr(line, ' ');

                if (space == NULL)
                        continue;
                *space = '\0';
                json_object_object_add(raw, line, u64(strtoull(space + 1, NULL, 10)));
        }
}

static void add_memory(int fd, struct json_object *data)
{
        uint64_t usage = 0, limit = UINT64_MAX, peak = 0, swap = 0, swap_limit = UINT64_MAX;
        struct json_object *memory;
        int64_t failures, kernel;

        if (!read_number(fd, "memory.current", &usage))
                return;
        memory = child(data, "memory");
        (void) read_number(fd, "memory.max", &limit);
        (void) read_number(fd, "memory.peak", &peak); /* Linux 5.19 */
        (void) read_number(fd, "memory.swap.current", &swap);
        (void) read_number(fd, "memory.swap.max", &swap_limit);
        failures = cgroup_read_key(fd, "memory.events", "max");
        json_object_object_add(memory, "cache", number_or_zero(fd, "memory.stat", "file", 1));
        add_usage(memory, "usage", usage, limit, peak, failures < 0 ? 0 : (uint64_t) failures);
        /* As in v1: memory and swap together. */
        if (limit != UINT64_MAX && swap_limit != UINT64_MAX)
                swap_limit += limit;
        else
                swap_limit = UINT64_MAX;
        add_usage(memory, "swap", usage + swap, swap_limit, 0, 0);
        kernel = cgroup_read_key(fd, "memory.stat", "kernel"); /* Linux 5.18 */
        add_usage(memory, "kernel", kernel < 0 ? 0 : (uint64_t) kernel, 0, 0, 0);
        add_memory_raw(fd, memory);
        add_pressure(fd, "memory.pressure", memory);
}

static void add_pids(int fd, struct json_object *data)
{
        uint64_t current = 0, limit = 0;

        if (!read_number(fd, "pids.current", &current) || !read_number(fd, "pids.max", &limit))
                return;
        struct json_object *pids = child(data, "pids");
        json_object_object_add(pids, "current", u64(current));
        json_object_object_add(pids, "limit", u64(limit == UINT64_MAX ? 0 : limit)); /* 0: none */
}

static void add_io_entry(struct json_object *list, unsigned int major, unsigned int minor, const char *op, uint64_t v)
{
        struct json_object *o = json_object_new_object();

        json_object_object_add(o, "major", u64(major));
        json_object_object_add(o, "minor", u64(minor));
        json_object_object_add(o, "op", json_object_new_string(op));
        json_object_object_add(o, "value", u64(v));
        json_object_array_add(list, o);
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6" */
static void add_io(int fd, struct json_object *data)
{
        static const struct {
                const char *key, *op;
                bool bytes;
        } fields[] = {{"rbytes=", "Read", true}, {"wbytes=", "Write", true}, {"dbytes=", "Discard", true},
                      {"rios=", "Read", false},  {"wios=", "Write", false},  {"dios=", "Discard", false}};
        _cleanup_free_ char *text = NULL;
        char *line, *save = NULL;
        unsigned int major, minor;

        if (read_file_at(fd, "io.stat", 1024 * 1024, &text) < 0)
                return;
        struct json_object *io = child(data, "blkio"), *bytes = json_object_new_array(),
                           *count = json_object_new_array();
        json_object_object_add(io, "ioServiceBytesRecursive", bytes);
        json_object_object_add(io, "ioServicedRecursive", count);
        for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
                if (sscanf(line, "%u:%u ", &major, &minor) != 2)
                        continue;
                for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                        const char *at = strstr(line, fields[i].key);

                        if (at != NULL && at[-1] == ' ')
                                add_io_entry(fields[i].bytes ? bytes : count, major, minor, fields[i].op,
                                             strtoull(at + strlen(fields[i].key), NULL, 10));
                }
        }
        add_pressure(fd, "io.pressure", io);
}

/* hugetlb.2MB.current and what belongs to it. */
static void add_hugetlb(int fd, struct json_object *data)
{
        int dup = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = dup < 0 ? NULL : fdopendir(dup);
        struct json_object *all = NULL;
        const struct dirent *de;

        if (dir == NULL && dup >= 0)
                (void) close(dup);
        while (dir != NULL && (de = readdir(dir)) != NULL) {
                char size[32], file[64], end[16];
                uint64_t usage = 0, max = 0;

                if (sscanf(de->d_name, "hugetlb.%31[0-9KMGB].%15s", size, end) != 2 || strcmp(end, "current") != 0)
                        continue;
                if (all == NULL)
                        all = child(data, "hugetlb");
                struct json_object *o = child(all, size);
                (void) read_number(fd, de->d_name, &usage);
                json_object_object_add(o, "usage", u64(usage));
                (void) snprintf(file, sizeof(file), "hugetlb.%s.max", size);
                if (read_number(fd, file, &max))
                        json_object_object_add(o, "max", u64(max));
                (void) snprintf(file, sizeof(file), "hugetlb.%s.events", size);
                json_object_object_add(o, "failcnt", number_or_zero(fd, file, "max", 1));
        }
        if (dir != NULL)
                (void) closedir(dir);
}

struct json_object *cgroup_stats(const char *path)
{
        struct json_object *data = json_object_new_object();
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 || data == NULL)
                return data;
        add_cpu(fd, data);
        add_memory(fd, data);
        add_pids(fd, data);
        add_io(fd, data);
        add_hugetlb(fd, data);
        return data;
}
