/* To be preloaded: allocation number NOMEMORY_AT of the program fails, counted from its main thread's start through its
 * forks. The file NOMEMORY_TOLD is made when that happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static long at = -1, count;

static bool fails(void)
{
        if (at < 0) {
                const char *text = getenv("NOMEMORY_AT");

                at = text != NULL ? atol(text) : 0;
        }
        if (++count != at)
                return false;
        const char *path = getenv("NOMEMORY_TOLD");
        int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

        if (fd >= 0)
                (void) close(fd);
        errno = ENOMEM;
        return true;
}

void *malloc(size_t size)
{
        return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
        return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
        return fails() ? NULL : __libc_realloc(p, size);
}
