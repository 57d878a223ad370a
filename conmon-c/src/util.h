/* Small helpers that every file of the monitor uses. Nothing here knows what a container is. */
#ifndef CONMON_UTIL_H
#define CONMON_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))

static inline void close_p(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

static inline void free_p(void *p)
{
        free(*(void **) p);
}

static inline void fclose_p(FILE **f)
{
        if (*f)
                fclose(*f);
}

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_close_ _cleanup_(close_p)
#define _cleanup_free_ _cleanup_(free_p)
#define _cleanup_fclose_ _cleanup_(fclose_p)

static inline int steal_fd(int *fd)
{
        int r = *fd;

        *fd = -1;
        return r;
}

/* Write all of buf; 0 or -errno. Blocks on a blocking fd, and waits by poll(2) on one that is not. */
int write_all(int fd, const void *buf, size_t len);

/* Replace path by a file that holds text: a reader sees the old file or the whole new one. 0 or -errno. */
int write_file_atomic(const char *path, const char *text);

/* Read at most size - 1 bytes of a small file and end them with NUL; the length or -errno. */
ssize_t read_file(const char *path, char *buf, size_t size);

int set_nonblock(int fd, bool on);

/* printf into fresh memory; NULL when there is none. */
char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t now_ms(void);

/* A pid out of a file that the runtime wrote; -errno with words in reterr. */
int read_pidfile(const char *path, char *reterr, size_t size);

#endif
