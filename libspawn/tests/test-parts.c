/* Mount options, arguments, digests, errors, messages, files, seccomp profiles. */
#include <fcntl.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "args.h"
#include "fail.h"
#include "harness.h"
#include "hooks.h"
#include "io.h"
#include "jv.h"
#include "mount-options.h"
#include "process.h"
#include "seccomp-filter.h"
#include "sha256.h"
#include "sync.h"
#include "util.h"

static struct mount_options parse(struct arena *a, const char *list)
{
        const char *v[16];
        char copy[512];
        size_t n = 0, bad;
        struct mount_options o = {0};
        char *save = NULL;

        (void) snprintf(copy, sizeof(copy), "%s", list);
        for (char *p = strtok_r(copy, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save))
                v[n++] = p;
        CHECK(mount_options_parse(v, n, a, &o, &bad) == 0);
        return o;
}

TEST(mount_options)
{
        struct arena a = {0};
        struct mount_options o = parse(&a, "ro,nosuid,mode=755,size=64k,rbind,rprivate");

        CHECK(o.bind && o.recursive);
        CHECK(o.ms_flags == (MS_RDONLY | MS_NOSUID));
        CHECK(o.attr_set == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID) && o.attr_clr == 0);
        CHECK(o.propagation == (MS_PRIVATE | MS_REC));
        CHECK_STR(o.data, "mode=755,size=64k");
        /* The later one wins. */
        o = parse(&a, "ro,rw,suid,nosuid");
        CHECK(o.ms_flags == MS_NOSUID && o.attr_set == MOUNT_ATTR_NOSUID && o.attr_clr == MOUNT_ATTR_RDONLY);
        o = parse(&a, "noatime,strictatime");
        CHECK(o.ms_flags == MS_STRICTATIME && o.attr_set == MOUNT_ATTR_STRICTATIME && o.attr_clr == MOUNT_ATTR__ATIME);
        o = parse(&a, "rro,rnoexec");
        CHECK(o.rec_set == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC) && o.attr_set == 0 && o.data == NULL);
        /* Not the recursive form of anything: the file system's business. */
        o = parse(&a, "rsize=4096,tmpcopyup,defaults");
        CHECK(o.tmpcopyup && o.rec_set == 0);
        CHECK_STR(o.data, "rsize=4096");
        arena_free(&a);
}

TEST(arguments)
{
        const char *text = NULL;
        struct list many = {0};
        bool flag = false, off = true;
        int number = 0, n;
        spawn_error e = {0};
        const struct option_def table[] = {{"text", 't', OPT_STRING, &text, ""},   {"many", 'm', OPT_LIST, &many, ""},
                                           {"flag", 'f', OPT_FLAG, &flag, ""},     {"off", 0, OPT_FLAG, &off, ""},
                                           {"number", 0, OPT_NUMBER, &number, ""}, {NULL}};
        char *argv[] = {(char[]){"x"},      (char[]){"--text=a"}, (char[]){"id"},          (char[]){"-fmb"},
                        (char[]){"--many"}, (char[]){"c"},        (char[]){"--off=false"}, (char[]){"--number"},
                        (char[]){"7"},      (char[]){"--"},       (char[]){"-f"},          NULL};

        CHECK(args_parse(table, 11, argv, false, &n, &e) == 0);
        CHECK(n == 2 && flag && !off && number == 7 && many.n == 2);
        CHECK_STR(text, "a");
        CHECK_STR(many.v[0], "b");
        CHECK_STR(argv[1], "id");
        CHECK_STR(argv[2], "-f");
        free(many.v);
}

TEST(arguments_in_order)
{
        bool flag = false;
        int n;
        spawn_error e = {0};
        const struct option_def table[] = {
                {"flag", 'f', OPT_FLAG, &flag, ""}, {"text", 0, OPT_STRING, NULL, ""}, {NULL}};
        char *argv[] = {(char[]){"x"}, (char[]){"id"}, (char[]){"ls"}, (char[]){"-l"}, NULL};
        char *bad[] = {(char[]){"x"}, (char[]){"--nope"}, NULL}, *cut[] = {(char[]){"x"}, (char[]){"--text"}, NULL};

        CHECK(args_parse(table, 4, argv, true, &n, &e) == 0 && n == 3);
        CHECK_STR(argv[3], "-l");
        CHECK(args_parse(table, 2, bad, true, &n, &e) == -EINVAL);
        CHECK_STR(e.text, "unknown option --nope");
        CHECK(args_parse(table, 2, cut, true, &n, &e) == -EINVAL);
        CHECK_STR(e.text, "option --text requires an argument");
}

static void check_digest(const char *text, size_t times, const char *hex)
{
        struct sha256 s;
        char got[65];

        sha256_init(&s);
        for (size_t i = 0; i < times; i++)
                sha256_add(&s, text, strlen(text));
        sha256_hex(&s, got);
        CHECK_STR(got, hex);
}

/* FIPS 180-4 test vectors. */
TEST(sha256)
{
        check_digest("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        check_digest("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        check_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
                     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        check_digest("aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(error_words)
{
        spawn_error e = {0};
        char big[2000];

        CHECK(fail_code(&e, -ENOENT, "stage", "open `%s`", "x") == -ENOENT);
        CHECK_STR(e.text, "open `x`: No such file or directory");
        CHECK_STR(e.stage, "stage");
        CHECK(e.code == ENOENT);
        CHECK(fail_wrap(&e, -5, "outer") == -5);
        CHECK_STR(e.text, "outer: open `x`: No such file or directory");
        memset(big, 'y', sizeof(big) - 1);
        big[sizeof(big) - 1] = '\0';
        CHECK(fail_code(&e, EIO, "s", "%s", big) == -EIO && strlen(e.text) < sizeof(e.text));
        CHECK(fail_code(NULL, EIO, "s", "x") == -EIO);
}

TEST(sync_messages)
{
        spawn_error e = {.code = 7, .stage = "s", .text = "words"};
        struct sync_message m;
        int pair[2];

        CHECK(sync_pair(pair) == 0);
        CHECK(sync_send(pair[0], SYNC_ERROR, 3, &e) == 0);
        CHECK(sync_receive(pair[1], &m) == 1 && m.type == SYNC_ERROR && m.value == 3 && m.err.code == 7);
        CHECK_STR(m.err.text, "words");
        CHECK(write(pair[0], "junk", 4) == 4);
        CHECK(sync_receive(pair[1], &m) == -EBADMSG);
        CHECK(sync_send(pair[0], SYNC_READY, 0, NULL) == 0);
        CHECK(sync_wait_go(pair[1]) == -EBADMSG);
        (void) close(pair[0]);
        CHECK(sync_receive(pair[1], &m) == 0);
        CHECK(sync_wait_go(pair[1]) == -EPIPE);
        CHECK(sync_send(pair[1], SYNC_GO, 0, NULL) == -EPIPE);
        (void) close(pair[1]);
}

TEST(files)
{
        char path[4200], *text = NULL;
        int dir;

        (void) snprintf(path, sizeof(path), "%s/a/b/c", scratch_dir());
        CHECK(make_dirs(path, 0700) == 0 && make_dirs(path, 0700) == 0);
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(dir >= 0);
        CHECK(replace_file_at(dir, "f", "one", 3, 0600) == 0 && replace_file_at(dir, "f", "two!", 4, 0600) == 0);
        CHECK(read_file_at(dir, "f", 100, &text) == 4);
        CHECK_STR(text, "two!");
        free(text);
        text = NULL;
        CHECK(read_file_at(dir, "f", 3, &text) == -EFBIG);
        CHECK(read_file_at(dir, "none", 3, &text) == -ENOENT);
        CHECK(read_file_at(dir, ".", 3, &text) == -EISDIR);
        CHECK(replace_file_at(dir, "none/f", "x", 1, 0600) == -ENOENT);
        /* No temporary file is left by either. */
        CHECK(unlinkat(dir, "f", 0) == 0);
        (void) close(dir);
        CHECK(rmdir(path) == 0);
        (void) snprintf(path, sizeof(path), "%s/a/link", scratch_dir());
        CHECK(symlink("/etc", path) == 0);
        (void) snprintf(path, sizeof(path), "%s/a", scratch_dir());
        CHECK(remove_tree_at(AT_FDCWD, path) == 0);
        CHECK(access(path, F_OK) < 0 && access("/etc/passwd", F_OK) == 0);
}

TEST(process_identity)
{
        unsigned long long a = 0, b = 0;
        char letter = 0;

        CHECK(process_stat(getpid(), &a, &letter) == 0 && letter == 'R' && a > 0);
        CHECK(process_stat(getpid(), &b, NULL) == 0 && a == b);
        CHECK(process_stat(0x7ffffff0, &a, NULL) == -ENOENT);
        /* A name that looks like fields of the file. */
        CHECK(prctl(PR_SET_NAME, ") Z 1 2 (") == 0);
        CHECK(process_stat(getpid(), &b, &letter) == 0 && b == a && letter == 'R');
}

static struct json_object *json(const char *text)
{
        struct json_object *o = json_tokener_parse(text);

        CHECK(o != NULL);
        return o;
}

static void check_profile(const char *text, const char *want)
{
        struct json_object *o = json(text);
        struct seccomp_filter f = {0};
        spawn_error e = {0};
        int r = seccomp_prepare(o, false, -1, &f, &e);

        CHECK_STR(r == 0 ? "" : e.text, want);
        CHECK(r < 0 || (f.len > 0 && f.len % sizeof(struct sock_filter) == 0));
        seccomp_filter_free(&f);
        json_object_put(o);
}

TEST(seccomp_profiles)
{
        check_profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", "");
        check_profile("{}", "linux.seccomp.defaultAction: missing");
        check_profile("{\"defaultAction\":\"X\"}", "linux.seccomp.defaultAction: unknown action \"X\"");
        check_profile(
                "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_FOO\"]}",
                "linux.seccomp.architectures[1]: unknown architecture \"SCMP_ARCH_FOO\"");
        check_profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"F\"]}",
                      "linux.seccomp.flags[0]: unknown flag \"F\"");
        check_profile(
                "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getcwd\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":9,\"op\":\"SCMP_CMP_EQ\"}]}]}",
                "linux.seccomp.syscalls[0].args[0].index: system calls have arguments 0 to 5");
        check_profile(
                "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getcwd\"],\"action\":\"SCMP_ACT_ALLOW\",\"errnoRet\":3}]}",
                "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_ALLOW takes none");
        check_profile(
                "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"syscalls\":[{\"names\":[\"no_such_call\",\"read\"],\"action\":\"SCMP_ACT_ALLOW\","
                "\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]}]}",
                "");
}

/* The filter from the cache is the filter that was compiled; damaged entries are compiled anew; and it filters. */
TEST(seccomp_cache)
{
        struct json_object *o = json(
                "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getcwd\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":95}]}");
        struct seccomp_filter a = {0}, b = {0};
        spawn_error e = {0};
        int dir = open(scratch_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), listener, status;

        CHECK(seccomp_prepare(o, false, dir, &a, &e) == 0 && faccessat(dir, a.digest, F_OK, 0) == 0);
        CHECK(seccomp_from_cache(dir, a.digest, &b) == 0 && a.len == b.len && memcmp(a.bpf, b.bpf, a.len) == 0);
        seccomp_filter_free(&b);
        CHECK(replace_file_at(dir, a.digest, "podlike1 damaged", 16, 0600) == 0);
        CHECK(seccomp_from_cache(dir, a.digest, &b) == -ENOENT);
        CHECK(seccomp_prepare(o, false, dir, &b, &e) == 0 && a.len == b.len);
        pid_t pid = fork();
        if (pid == 0) {
                char buf[4096];

                CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
                CHECK(seccomp_load_filter(&b, &listener, &e) == 0 && listener == -1);
                CHECK(syscall(SYS_getcwd, buf, sizeof(buf)) == -1 && errno == 95);
                _exit(42);
        }
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 42);
        seccomp_filter_free(&a);
        seccomp_filter_free(&b);
        json_object_put(o);
        (void) close(dir);
}

static int find(const char *name, const char *path_env, char ret[PATH_MAX], spawn_error *e)
{
        const char *args[] = {name, NULL}, *env[] = {path_env, NULL};
        struct oci_process p = {.args = {args, 1}, .env = {env, 1}};

        return process_find_executable(&p, ret, e);
}

TEST(executable_lookup)
{
        char exe[PATH_MAX], env[PATH_MAX + 32], file[PATH_MAX];
        spawn_error e = {0};

        CHECK(find("sh", "PATH=/nowhere:/bin", exe, &e) == 0);
        CHECK_STR(exe, "/bin/sh");
        CHECK(find("nope", "PATH=/bin", exe, &e) == -ENOENT);
        CHECK_STR(e.text, "executable file `nope` not found in $PATH: no such file or directory");
        CHECK(find("/nope", "PATH=/bin", exe, &e) == -ENOENT);
        CHECK_STR(e.text, "executable file `/nope` not found in $PATH: no such file or directory");
        CHECK(find("", "PATH=/bin", exe, &e) == -ENOENT);
        CHECK(find("/etc", "PATH=/bin", exe, &e) == -EACCES);
        CHECK(strstr(e.text, "open executable: permission denied") != NULL);
        (void) snprintf(env, sizeof(env), "PATH=%s", scratch_dir());
        (void) snprintf(file, sizeof(file), "%s/tool", scratch_dir());
        (void) close(open(file, O_CREAT | O_WRONLY, 0644));
        CHECK(find("tool", env, exe, &e) == -EACCES);
        CHECK(strstr(e.text, "open executable: permission denied") != NULL);
}

static const char *dir_args[] = {"sh", "-c", "cat > got; exit $CODE", NULL};

TEST(hooks)
{
        const char *env[] = {"CODE=0", "PATH=/bin:/usr/bin", NULL};
        struct oci_hook h = {.path = "/bin/sh", .args = {dir_args, 3}, .env = {env, 2}};
        struct oci_hooks hooks = {0};
        spawn_error e = {0};
        char path[PATH_MAX], *text = NULL;

        CHECK(chdir(scratch_dir()) == 0);
        hooks.v[HOOK_POSTSTART] = &h;
        hooks.n[HOOK_POSTSTART] = 1;
        CHECK(hooks_run(&hooks, HOOK_POSTSTART, "{\"id\":\"x\"}", NULL, &e) == 0);
        (void) snprintf(path, sizeof(path), "%s/got", scratch_dir());
        CHECK(read_file_at(AT_FDCWD, path, 100, &text) == 10);
        CHECK_STR(text, "{\"id\":\"x\"}");
        free(text);
        env[0] = "CODE=3";
        CHECK(hooks_run(&hooks, HOOK_POSTSTART, "{}", NULL, &e) < 0);
        CHECK_STR(e.text, "error executing hook `/bin/sh` (poststart, exit code: 3)");
        dir_args[2] = "exec sleep 60";
        h.timeout = 1;
        CHECK(hooks_run(&hooks, HOOK_POSTSTART, "{}", NULL, &e) == -ETIMEDOUT);
        CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}
