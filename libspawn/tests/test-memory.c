/* Each allocation of ours fails once: -ENOMEM in words, nothing lost (the leak sanitizer looks).
 *
 * The linker sends the calls here (--wrap); those of json-c and libseccomp stay as they are, and are made to fail in
 * the whole program by tests/integration/test_spawn_faults.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cgroup.h"
#include "config.h"
#include "harness.h"
#include "plan.h"
#include "seccomp-filter.h"
#include "state.h"
#include "util.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);

static int countdown; /* the allocation that fails; 0: none */

static bool fails(void)
{
        if (countdown == 0 || --countdown > 0)
                return false;
        errno = ENOMEM;
        return true;
}

void *__wrap_malloc(size_t size)
{
        return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
        return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
        return fails() ? NULL : __real_strdup(s);
}

static const char text[] =
        "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"rootfs\"},\"hostname\":\"h\","
        "\"process\":{\"args\":[\"a\",\"b\"],\"env\":[\"A=b\"],\"cwd\":\"/\",\"user\":{\"additionalGids\":[1,2]},"
        "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":0}]},"
        "\"mounts\":[{\"destination\":\"/a\",\"type\":\"tmpfs\",\"options\":[\"ro\",\"size=1k\",\"mode=7\"]}],"
        "\"hooks\":{\"prestart\":[{\"path\":\"/x\",\"args\":[\"x\"],\"env\":[\"A=b\"]}]},\"annotations\":{\"a\":\"b\"},"
        "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"network\"},{\"type\":\"user\"}],"
        "\"gidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":2}],"
        "\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":2}],"
        "\"devices\":[{\"path\":\"/dev/fuse\",\"type\":\"c\",\"major\":10,\"minor\":229}],"
        "\"maskedPaths\":[\"/m\"],\"readonlyPaths\":[\"/r\"],\"sysctl\":{\"net.a\":\"1\"},"
        "\"resources\":{\"pids\":{\"limit\":5},\"unified\":{\"memory.high\":\"1\"}},"
        "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],"
        "\"action\":\"SCMP_ACT_ERRNO\"}]}}}";

static void check_failure(int r, const spawn_error *e)
{
        CHECK(r == -ENOMEM);
        CHECK(e->code == ENOMEM && e->text[0] != '\0' && e->stage[0] != '\0');
}

/* Call work with the first, second ... allocation failing, until it has no more of them. */
static void each_allocation(int (*work)(struct config *c, spawn_error *e))
{
        int r = -1, n = 0;

        while (r < 0) {
                spawn_error e = {0};
                struct config c;

                r = config_parse(text, sizeof(text) - 1, &c, &e);
                if (r < 0)
                        fprintf(stderr, "%s\n", e.text);
                CHECK(r >= 0);
                countdown = ++n;
                r = work(&c, &e);
                countdown = 0;
                if (r < 0)
                        check_failure(r, &e);
                config_free(&c);
                CHECK(n < 1000);
        }
        CHECK(n > 1); /* at least one has failed */
}

static int parse_again(struct config *c, spawn_error *e)
{
        struct config again;
        int r = config_parse(text, sizeof(text) - 1, &again, e);

        config_free(&again);
        return r;
}

TEST(memory_config)
{
        each_allocation(parse_again);
}

static int read_file(struct config *c, spawn_error *e)
{
        struct config again;
        int dir = open(scratch_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = config_read(dir, "config.json", "config.json", &again, e);

        config_free(&again);
        (void) close(dir);
        return r;
}

TEST(memory_config_file)
{
        char path[4096];

        (void) snprintf(path, sizeof(path), "%s/config.json", scratch_dir());
        FILE *f = fopen(path, "we");
        CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
        each_allocation(read_file);
}

static int plan(struct config *c, spawn_error *e)
{
        struct plan p = {0};

        /* So that the arena needs a new block. */
        if (arena_alloc(&c->arena, 8100, 1) == NULL)
                return spawn_err(e, ENOMEM, "plan", "out of memory");
        return plan_make(c, &p, e);
}

TEST(memory_plan)
{
        each_allocation(plan);
}

static int resources(struct config *c, spawn_error *e)
{
        struct cgroup_settings s = {0};
        int r = cgroup_settings(c->resources, &s, e);

        cgroup_settings_free(&s);
        return r;
}

TEST(memory_resources)
{
        each_allocation(resources);
}

static int seccomp(struct config *c, spawn_error *e)
{
        struct seccomp_filter f = {.listener_fd = -1};
        int r = seccomp_compile(c->seccomp, false, &f, e);

        seccomp_filter_free(&f);
        if (r < 0)
                return r;
        r = seccomp_prepare(c->seccomp, false, -1, &f, e);
        seccomp_filter_free(&f);
        return r;
}

TEST(memory_seccomp)
{
        each_allocation(seccomp);
}

static int state(struct config *c, spawn_error *e)
{
        struct state s = {.id = "c", .bundle = "/b", .pid = 7}, back;
        char *json = state_oci_json(&s, "running", 7, false);
        int dir, r;

        if (json == NULL)
                return spawn_err(e, ENOMEM, "state", "out of memory");
        free(json);
        dir = open(scratch_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = state_write(dir, &s, e);
        if (r == 0)
                r = state_read(dir, "c", &back, e);
        if (r == 0)
                CHECK(back.pid == 7);
        if (r == 0)
                state_free(&back);
        (void) close(dir);
        return r;
}

TEST(memory_state)
{
        (void) scratch_dir();
        each_allocation(state);
}
