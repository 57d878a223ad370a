/* Compiling a profile with an end to it: libseccomp's time grows with the square of the number of rules and, where
 * rules for one system call have several conditions, exponentially; eight of them take eight seconds. So it works in a
 * child with a limit of processor time, which costs a fork when the cache does not have the filter.
 */
#include <linux/filter.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fail.h"
#include "io.h"
#include "process.h"
#include "seccomp-filter.h"
#include "sync.h"
#include "util.h"

/* Podman's default profile takes 20 ms, under sanitizers ten times that. */
#define COMPILE_SECONDS 2

static _Noreturn void child_main(struct json_object *profile, bool strict, int sync_fd, int bpf_fd, pid_t parent)
{
        const struct rlimit limit = {.rlim_cur = COMPILE_SECONDS, .rlim_max = COMPILE_SECONDS + 1};
        struct seccomp_filter f = {.listener_fd = -1};
        spawn_error e = {0};
        int r = 0;

        process_reset_signals();
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(1);
        if (setrlimit(RLIMIT_CPU, &limit) < 0)
                r = fail_errno(&e, "seccomp", "limit the time to compile the seccomp profile");
        if (r == 0)
                r = seccomp_compile(profile, strict, &f, &e);
        if (r == 0 && (r = write_all(bpf_fd, &f.compiler, sizeof(f.compiler))) == 0)
                r = write_all(bpf_fd, f.bpf, f.len);
        if (r < 0 && e.code == 0)
                (void) fail_code(&e, r, "seccomp", "write the compiled seccomp profile");
        (void) sync_send(sync_fd, r < 0 ? SYNC_ERROR : SYNC_READY, (int) f.flags, &e);
        _exit(0);
}

static int take_filter(int bpf_fd, struct seccomp_filter *ret, spawn_error *e)
{
        const size_t head = sizeof(ret->compiler);
        struct stat st;
        size_t len;

        if (fstat(bpf_fd, &st) < 0)
                return fail_errno(e, "seccomp", "read the compiled seccomp profile");
        if ((size_t) st.st_size <= head || pread(bpf_fd, &ret->compiler, head, 0) != (ssize_t) head)
                return fail_code(e, EIO, "seccomp", "read the compiled seccomp profile");
        len = (size_t) st.st_size - head;
        ret->bpf = malloc(len);
        if (ret->bpf == NULL)
                return spawn_err(e, ENOMEM, "seccomp", "read the compiled seccomp profile: out of memory");
        if (pread(bpf_fd, ret->bpf, len, (off_t) head) != (ssize_t) len)
                return fail_code(e, EIO, "seccomp", "read the compiled seccomp profile");
        ret->len = len;
        return 0;
}

static int result_of(pid_t *pid, int sync_fd, int bpf_fd, struct seccomp_filter *ret, spawn_error *e)
{
        struct sync_message m;
        int status, r = sync_receive(sync_fd, &m);

        if (r < 0)
                return fail_code(e, r, "seccomp", "wait for the seccomp profile to be compiled");
        while (waitpid(*pid, &status, 0) < 0)
                if (errno != EINTR)
                        return fail_errno(e, "seccomp", "wait for the seccomp profile to be compiled");
        *pid = -1;
        if (r == 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
                return spawn_err(e, E2BIG, "seccomp",
                                 "linux.seccomp: compiling it takes more than %d seconds, it has too many conditions",
                                 COMPILE_SECONDS);
        if (r == 0)
                return spawn_err(e, EIO, "seccomp",
                                 "compile the seccomp profile: the process that does it ended early");
        if (m.type == SYNC_ERROR) {
                *e = m.err;
                return m.err.code > 0 ? -m.err.code : -EIO;
        }
        ret->flags = (uint32_t) m.value;
        return take_filter(bpf_fd, ret, e);
}

int seccomp_compile_bounded(struct json_object *profile, bool strict, struct seccomp_filter *ret, spawn_error *e)
{
        _cleanup_close_ int bpf = memfd_create("seccomp", MFD_CLOEXEC);
        int sync[2], r = bpf < 0 ? -errno : sync_pair(sync);
        pid_t parent = getpid();

        if (r < 0)
                return fail_code(e, r, "seccomp", "prepare to compile the seccomp profile");
        _cleanup_close_ int ours = sync[0];
        _cleanup_kill_ pid_t pid = fork();
        if (pid == 0)
                child_main(profile, strict, sync[1], bpf, parent);
        r = pid < 0 ? fail_errno(e, "seccomp", "fork to compile the seccomp profile") : 0;
        (void) close(sync[1]);
        return r < 0 ? r : result_of(&pid, ours, bpf, ret, e);
}
