/* libFuzzer target: one document, read as every kind of file that podlike-spawn reads: config.json, the process of
 * exec, the resources of update, state.json, a compiled filter in the cache. What can be done with it without touching
 * the system is done.
 *
 * Each reader must succeed, or fail with -errno and words; the rest is the sanitizers' and libFuzzer's time and memory
 * limits to find.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "config.h"
#include "init.h"
#include "io.h"
#include "plan.h"
#include "process.h"
#include "seccomp-filter.h"
#include "state.h"
#include "util.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the name of a file in the cache. */
static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static int scratch = -1;

static _Noreturn void finding(const char *what, int r, const spawn_error *e)
{
        fprintf(stderr, "finding: %s: returned %d, code %d, text \"%s\"\n", what, r, e->code, e->text);
        abort();
}

/* An error is -code, with a stage and words: one line, that a terminal can show, and not of strerror(0). */
static int judge(const char *what, int r, const spawn_error *e)
{
        static const char none[] = ": Success";
        size_t len = strnlen(e->text, sizeof(e->text));

        if (r >= 0)
                return r;
        if (r != -e->code || e->stage[0] == '\0' || len == 0 || len == sizeof(e->text))
                finding(what, r, e);
        if (len >= strlen(none) && strcmp(e->text + len - strlen(none), none) == 0)
                finding(what, r, e);
        for (size_t i = 0; i < len; i++)
                if ((unsigned char) e->text[i] < ' ' || e->text[i] == 0x7f)
                        finding(what, r, e);
        return r;
}

static void remove_scratch(void)
{
        char path[64];
        ssize_t n = readlink(fd_path(scratch).s, path, sizeof(path) - 1);

        if (n > 0) {
                path[n] = '\0';
                (void) remove_tree_at(AT_FDCWD, path);
        }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        char memory[] = "/dev/shm/podlike-fuzz-XXXXXX", disk[] = "/tmp/podlike-fuzz-XXXXXX";
        const char *dir = mkdtemp(memory);

        if (dir == NULL)
                dir = mkdtemp(disk);
        scratch = dir == NULL ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (scratch < 0)
                abort();
        (void) atexit(remove_scratch);
        return 0;
}

static void put_file(const char *name, const void *data, size_t size)
{
        _cleanup_close_ int fd = openat(scratch, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0 || write_all(fd, data, size) < 0)
                abort();
}

static void check_process(const struct oci_process *p)
{
        const char **env = calloc(p->env.n + ENV_EXTRA + 1, sizeof(*env));
        static struct process_env room;

        if (env == NULL)
                abort();
        process_env(p, &room, env);
        for (size_t i = 0; i < p->args.n; i++)
                if (p->args.v[i] == NULL || p->args.v[p->args.n] != NULL)
                        abort();
        if (p->cwd == NULL || p->cwd[0] != '/')
                abort();
        free(env);
}

/* libseccomp needs exponential time for rules with conditions: those are for the child with a time limit, not for here. */
static bool is_tame(struct json_object *profile)
{
        struct json_object *list = NULL, *names, *args;
        size_t rules = 0, conditions = 0;

        if (!json_object_object_get_ex(profile, "syscalls", &list) || !json_object_is_type(list, json_type_array))
                return true;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *rule = json_object_array_get_idx(list, i);
                bool some = json_object_is_type(rule, json_type_object);

                if (some && json_object_object_get_ex(rule, "names", &names) &&
                    json_object_is_type(names, json_type_array))
                        rules += json_object_array_length(names);
                if (some && json_object_object_get_ex(rule, "args", &args) &&
                    json_object_is_type(args, json_type_array))
                        conditions += json_object_array_length(args) > 1;
        }
        return rules < 2000 && conditions < 5;
}

static void check_filter(const struct seccomp_filter *f)
{
        if (f->len == 0 || f->len % 8 != 0 || f->len > SECCOMP_FILTER_MAX || f->bpf == NULL)
                abort();
}

static void use_seccomp(struct json_object *profile, bool strict, bool prepare)
{
        struct seccomp_filter f = {.listener_fd = -1}, again = {.listener_fd = -1};
        spawn_error e = {0};

        if (!is_tame(profile))
                return;
        if (judge("seccomp_compile", seccomp_compile(profile, strict, &f, &e), &e) >= 0)
                check_filter(&f);
        /* This forks, with all of the sanitizer's memory: now and then. */
        if (prepare && judge("seccomp_prepare", seccomp_prepare(profile, strict, scratch, &again, &e), &e) >= 0) {
                check_filter(&again);
                if (again.len != f.len || again.flags != f.flags || memcmp(again.bpf, f.bpf, f.len) != 0)
                        abort();
                (void) snprintf(f.digest, sizeof(f.digest), "%s", again.digest);
                seccomp_filter_free(&again);
                if (seccomp_from_cache(scratch, f.digest, &again) < 0 || again.len != f.len)
                        abort();
                (void) unlinkat(scratch, f.digest, 0);
        }
        seccomp_filter_free(&f);
        seccomp_filter_free(&again);
}

static void use_resources(struct json_object *resources)
{
        struct cgroup_settings s = {0};
        struct bpf_insn *program = NULL;
        spawn_error e = {0};

        if (judge("cgroup_settings", cgroup_settings(resources, &s, &e), &e) >= 0) {
                (void) cgroup_settings_empty(&s);
                (void) judge("cgroup_complete_cpu_max", cgroup_complete_cpu_max(-1, &s, &e), &e);
                if (cgroup_device_program(s.devices, s.n_devices, &program) < 0)
                        abort();
                free(program);
        }
        for (size_t i = 0; i < s.n; i++)
                if (s.v[i].file[0] == '\0' || strchr(s.v[i].file, '/') != NULL)
                        finding(s.v[i].file, 0, &e);
        cgroup_settings_free(&s);
}

/* Never outside of the tree. */
static void use_cgroups_path(const char *wish)
{
        const struct runtime rt = {.cgroups = CGROUPS_FILES, .rootless = true};
        char path[PATH_MAX], slice[256], scope[256];
        spawn_error e = {0};

        if (judge("cgroup_choose_path", cgroup_choose_path(&rt, "c", wish, path, &e), &e) >= 0 && path[0] != '\0' &&
            (strncmp(path, CGROUP_ROOT "/", strlen(CGROUP_ROOT) + 1) != 0 || strstr(path, "/../") != NULL))
                finding(path, 0, &e);
        if (wish != NULL && cgroup_split_systemd(wish, slice, scope) &&
            cgroup_slice_path(slice, path, sizeof(path)) == 0 && strstr(path, "/../") != NULL)
                finding(path, 0, &e);
}

static void use_state_json(const struct state *s)
{
        char *text = state_oci_json(s, "running", 7, true);
        struct json_object *back = text != NULL ? json_tokener_parse(text) : NULL;

        if (back == NULL)
                abort();
        json_object_put(back);
        free(text);
}

static void fuzz_config(const char *text, size_t size)
{
        struct plan plan = {0};
        struct state s = {.id = "c", .bundle = "/b", .pid = 7};
        struct config c;
        spawn_error e = {0};
        char line[256];
        int r = judge("config_parse", config_parse(text, size, &c, &e), &e);

        if (r >= 0) {
                judge("plan_make", plan_make(&c, &plan, &e), &e);
                for (size_t i = 0; i < plan.n; i++)
                        plan_describe(&plan.ops[i], line, sizeof(line));
                if (c.has_process)
                        check_process(&c.process);
                if (c.seccomp != NULL)
                        use_seccomp(c.seccomp, seccomp_is_strict(&c), size % 512 == 0);
                if (c.resources != NULL)
                        use_resources(c.resources);
                use_cgroups_path(c.cgroups_path);
                (void) json_object_object_get_ex(c.json, "annotations", &s.annotations);
                s.rootfs = c.root_path;
                use_state_json(&s);
                (void) config_annotation(&c, "run.oci.keep_original_groups");
        }
        config_free(&c);
}

static void fuzz_process(struct json_object *json)
{
        struct jv root = jv_root(json);
        struct arena arena = {0};
        struct oci_process p = {0};
        spawn_error e = {0};

        if (judge("config_process", config_process(&root, &arena, &p, &e), &e) >= 0)
                check_process(&p);
        arena_free(&arena);
}

static void fuzz_state(const char *text, size_t size)
{
        struct state s;
        spawn_error e = {0};
        int r;

        put_file("state.json", text, size);
        r = judge("state_read", state_read(scratch, "c", &s, &e), &e);
        if (r >= 0) {
                use_state_json(&s);
                r = judge("state_write", state_write(scratch, &s, &e), &e);
                state_free(&s);
                if (r < 0 || state_read(scratch, "c", &s, &e) < 0)
                        finding("state, written and read again", r, &e);
        }
        state_free(&s);
}

static void fuzz_cache(const void *data, size_t size)
{
        struct seccomp_filter f = {.listener_fd = -1};

        put_file(digest, data, size);
        if (seccomp_from_cache(scratch, digest, &f) == 0 && (f.len == 0 || f.len > size || f.len % 8 != 0))
                abort();
        seccomp_filter_free(&f);
}

static bool has_key(struct json_object *o, const char *key)
{
        return json_object_object_get_ex(o, key, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct json_object *json = NULL;
        spawn_error e = {0};
        char *text;

        if (size >= 7 && memcmp(data, "podlike", 7) == 0) {
                fuzz_cache(data, size);
                return 0;
        }
        /* Files are read with a zero byte after them. */
        text = malloc(size + 1);
        if (text == NULL)
                return -1;
        memcpy(text, data, size);
        text[size] = '\0';
        if (judge("jv_parse", jv_parse("document", text, size, &json, &e), &e) == 0) {
                /* By what it looks like: one document in a kind's clothes goes deeper than one in all. */
                if (has_key(json, "startTime"))
                        fuzz_state(text, size);
                else if (has_key(json, "args") || has_key(json, "cwd"))
                        fuzz_process(json);
                else if (has_key(json, "defaultAction"))
                        use_seccomp(json, size % 2 == 0, size % 512 == 0);
                else if (!has_key(json, "ociVersion"))
                        use_resources(json);
                else
                        fuzz_config(text, size);
                json_object_put(json);
        }
        free(text);
        return 0;
}
