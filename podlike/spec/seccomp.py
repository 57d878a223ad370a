"""Seccomp filters in the form of config.json: podlike's own default profile, and profile files in docker's
form.

The default is an allow list. What the kernel may learn later answers ENOSYS, so that libraries fall back to
older calls; what is known and refused answers EPERM, so that they report it. Which calls are allowed follows
what the other engines' users rely on (nested engines need mount and unshare, so they stay allowed: the kernel
checks capabilities in the container's user namespace); the table below is grouped by what the calls are for.

A runtime leaves out names that its libseccomp or the architecture does not have (runtime-spec,
config-linux.md).
"""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
EPERM, EINVAL, ENOSYS = 1, 22, 38

# Go's names of architectures, as profile files use them, for uname(2)'s.
GOARCH = {
    "x86_64": "amd64",
    "i386": "x86",
    "i686": "x86",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "riscv64": "riscv64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "loongarch64": "loong64",
    "mips64": "mips64",
}

# The native architecture first, then those whose programs the same kernel can run: a filter that left them
# out would kill 32-bit programs.
ARCHITECTURES = {
    "amd64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "x86": ("SCMP_ARCH_X86",),
    "arm64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "arm": ("SCMP_ARCH_ARM",),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
    "loong64": ("SCMP_ARCH_LOONGARCH64",),
    "mips64": ("SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64N32"),
    "mips64le": ("SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64N32"),
}

_ALWAYS = (
    # Running: start, wait for and end processes and threads. clone and clone3 are unfiltered: the flags of
    # clone3 lie in memory that a filter cannot read, and a filter on clone alone would only push programs to
    # clone3.
    "clone clone3 fork vfork execve execveat exit exit_group wait4 waitid waitpid set_tid_address "
    "set_robust_list get_robust_list rseq restart_syscall membarrier",
    # Who am I: ids, groups, sessions, capabilities. The kernel decides by capabilities and by the user
    # namespace.
    "getpid gettid getppid getpgid getpgrp getsid setpgid setsid getuid getuid32 geteuid geteuid32 getgid "
    "getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32 getgroups getgroups32 setuid "
    "setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32 setresgid "
    "setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups setgroups32 capget capset",
    # Locking oneself in further: always welcome.
    "prctl seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    # Namespaces and mounts. Harmless without CAP_SYS_ADMIN, and what a nested engine or bubblewrap lives on.
    "unshare setns mount mount_setattr move_mount open_tree fsopen fsconfig fsmount fspick umount umount2 "
    "pivot_root",
    # Memory.
    "brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall "
    "remap_file_pages memfd_create memfd_secret pkey_alloc pkey_free pkey_mprotect mbind get_mempolicy "
    "set_mempolicy",
    # Files: open, read, write.
    "open openat openat2 creat close close_range read readv pread64 preadv preadv2 write writev pwrite64 "
    "pwritev pwritev2 lseek _llseek dup dup2 dup3 pipe pipe2 fcntl fcntl64 flock ioctl sendfile sendfile64 "
    "splice tee copy_file_range readahead fadvise64 fadvise64_64 fallocate ftruncate ftruncate64 truncate "
    "truncate64 sync syncfs fsync fdatasync sync_file_range umask",
    # Files: names and directories.
    "access faccessat faccessat2 chdir fchdir getcwd getdents getdents64 link linkat symlink symlinkat "
    "readlink readlinkat unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir mknod mknodat "
    "name_to_handle_at",
    # Files: attributes.
    "stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx statfs statfs64 fstatfs fstatfs64 "
    "chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32 utime utimes "
    "futimesat utimensat utimensat_time64 getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr "
    "listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr",
    # Waiting for files and being told of changes. fanotify checks privileges itself since Linux 5.13.
    "select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create epoll_create1 "
    "epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 "
    "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_init fanotify_mark",
    # Asynchronous I/O of the old kind. io_uring is not here: too many holes, and no filter sees what it does.
    "io_setup io_destroy io_submit io_cancel io_getevents",
    # Network. socket() itself has rules of its own below.
    "bind connect listen accept accept4 getsockname getpeername getsockopt setsockopt socketpair "
    "socketcall shutdown send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64",
    # Signals.
    "kill tkill tgkill signal sigaltstack sigprocmask sigreturn rt_sigaction rt_sigpending rt_sigprocmask "
    "rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 "
    "signalfd signalfd4 pause pidfd_open pidfd_getfd pidfd_send_signal",
    # Time. clock_adjtime and adjtimex also read; the kernel wants CAP_SYS_TIME for a change.
    "time gettimeofday times nanosleep alarm getitimer setitimer clock_gettime clock_gettime64 "
    "clock_getres clock_getres_time64 clock_nanosleep clock_nanosleep_time64 clock_adjtime clock_adjtime64 "
    "adjtimex timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
    "timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64",
    # Scheduling and limits.
    "sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam "
    "sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min "
    "sched_rr_get_interval sched_rr_get_interval_time64 getpriority setpriority ioprio_get ioprio_set "
    "getrlimit setrlimit ugetrlimit prlimit64 getrusage getcpu",
    # Locks and messages between processes; the ipc namespace keeps them inside.
    "futex futex_time64 ipc semget semctl semop semtimedop semtimedop_time64 shmget shmctl shmat shmdt "
    "msgget msgctl msgsnd msgrcv mq_open mq_unlink mq_notify mq_getsetattr mq_timedsend "
    "mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64",
    # Debuggers: only same-user processes of the container's pid namespace are in reach.
    "ptrace process_vm_readv process_vm_writev process_mrelease",
    # The system. reboot in a pid namespace ends the container; syslog and keyctl check privileges themselves.
    "uname sysinfo syslog getrandom reboot keyctl",
    # Thread-local storage of 32-bit x86.
    "get_thread_area set_thread_area",
)

# Known and refused: old calls that nothing needs, and those that reach beyond a container.
_REFUSED = (
    # What was replaced decades ago; less code to attack.
    "bdflush nfsservctl oldfstat oldlstat oldolduname oldstat olduname sysfs uselib ustat sgetmask "
    "ssetmask nice vm86 vm86old syscall",
    # The machine as a whole.
    "kexec_load kexec_file_load swapon swapoff pciconfig_iobase pciconfig_read pciconfig_write",
    # Memory of others, and memory tricks that exploits love (userfaultfd wins races, vmsplice gifts pages).
    "migrate_pages move_pages userfaultfd vmsplice",
    # New calls whose callers cope with EPERM but not always with ENOSYS.
    "cachestat futex_requeue futex_wait futex_waitv futex_wake io_pgetevents io_pgetevents_time64 "
    "map_shadow_stack",
)

# personality(2): Linux, Linux with 32-bit uname, both with UNAME26, and "tell me". READ_IMPLIES_EXEC and
# ADDR_NO_RANDOMIZE would weaken what runs in the container.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

# Calls that only exist on some architectures.
_BY_ARCH = (
    (("amd64",), "arch_prctl"),
    (("amd64", "x86"), "modify_ldt"),
    (("arm", "arm64"), "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2"),
    (("ppc64le",), "sync_file_range2 swapcontext"),
    (("riscv64",), "riscv_flush_icache riscv_hwprobe"),
    (("s390x",), "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
)

# What one capability opens; EPERM without it, as the kernel itself would answer.
_BY_CAPABILITY = (
    # Open files by handle, past every path check: how containers were broken out of in 2014 (shocker).
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ("CAP_SYS_ADMIN", "lookup_dcookie quotactl quotactl_fd setdomainname sethostname"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module finit_module init_module query_module"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp process_madvise"),
    ("CAP_SYS_RAWIO", "ioperm iopl"),
    ("CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
)
# BPF and PERFMON were split off SYS_ADMIN in Linux 5.8: either opens them.
_BY_EITHER = (
    (("CAP_SYS_ADMIN", "CAP_BPF"), "bpf"),
    (("CAP_SYS_ADMIN", "CAP_PERFMON"), "perf_event_open"),
)

_AF_NETLINK, _AF_VSOCK, _NETLINK_AUDIT = 16, 40, 9


def default_profile(caps: "Iterable[str]", arch: str) -> "dict[str, Any]":
    """linux.seccomp of podlike's own profile, ready for JSON; shares its inner parts with other results.

    caps: the container's bounding set. arch: machine of uname(2) or Go's name.
    """
    goarch = GOARCH.get(arch, arch)
    have = frozenset(caps)
    rules: "list[Mapping[str, Any]]" = [*_FIXED_RULES]
    rules += (rule for arches, rule in _ARCH_RULES if goarch in arches)
    allowed: "list[str]" = []
    refused: "list[str]" = []
    for cap, names in _CAPABILITY_NAMES:
        (allowed if cap in have else refused).extend(names)
    for either, names in _EITHER_NAMES:
        (allowed if not have.isdisjoint(either) else refused).extend(names)
    rules += [{"names": names, "action": action} if action == ALLOW else
              {"names": names, "action": action, "errnoRet": EPERM}
              for names, action in ((allowed, ALLOW), (refused, ERRNO)) if names]
    rules += _SOCKET_RULES_AUDIT if "CAP_AUDIT_WRITE" in have else _SOCKET_RULES
    out: "dict[str, Any]" = {"defaultAction": ERRNO, "defaultErrnoRet": ENOSYS}
    if goarch in ARCHITECTURES:
        out["architectures"] = ARCHITECTURES[goarch]
    out["syscalls"] = rules
    return out


def _arg(index: int, op: str, value: int) -> "dict[str, Any]":
    return {"index": index, "value": value, "op": f"SCMP_CMP_{op}"}


def _split(groups: "Sequence[str]") -> "tuple[str, ...]":
    return tuple(name for group in groups for name in group.split())


_FIXED_RULES: "tuple[Mapping[str, Any], ...]" = (
    {"names": _split(_ALWAYS), "action": ALLOW},
    {"names": _split(_REFUSED), "action": ERRNO, "errnoRet": EPERM},
    *(
        {"names": ("personality",), "action": ALLOW, "args": (_arg(0, "EQ", value),)}
        for value in _PERSONALITIES
    ),
)
_ARCH_RULES: "tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...]" = tuple(
    (arches, {"names": tuple(names.split()), "action": ALLOW}) for arches, names in _BY_ARCH)
_CAPABILITY_NAMES = tuple((cap, names.split()) for cap, names in _BY_CAPABILITY)
_EITHER_NAMES = tuple((caps, names.split()) for caps, names in _BY_EITHER)

# AF_VSOCK reaches the hypervisor and knows no namespaces: refused to all. The audit netlink protocol is
# refused with EINVAL, "no such protocol", because PAM takes any other error for a failed login.
_SOCKET_RULES_AUDIT: "tuple[Mapping[str, Any], ...]" = (
    {"names": ("socket",), "action": ERRNO, "errnoRet": EPERM, "args": (_arg(0, "EQ", _AF_VSOCK),)},
    {"names": ("socket",), "action": ALLOW, "args": (_arg(0, "NE", _AF_VSOCK),)},
)
_SOCKET_RULES: "tuple[Mapping[str, Any], ...]" = (
    {"names": ("socket",), "action": ERRNO, "errnoRet": EPERM, "args": (_arg(0, "EQ", _AF_VSOCK),)},
    {
        "names": ("socket",),
        "action": ERRNO,
        "errnoRet": EINVAL,
        "args": (_arg(0, "EQ", _AF_NETLINK), _arg(2, "EQ", _NETLINK_AUDIT)),
    },
    {
        "names": ("socket",),
        "action": ALLOW,
        "args": (_arg(0, "EQ", _AF_NETLINK), _arg(2, "NE", _NETLINK_AUDIT)),
    },
    {"names": ("socket",), "action": ALLOW, "args": (_arg(0, "NE", _AF_NETLINK),)},
)

_ERRNO_BY_NAME = {
    "EPERM": EPERM,
    "EINVAL": EINVAL,
    "ENOSYS": ENOSYS,
    "EACCES": 13,
    "ENOENT": 2,
    "EAGAIN": 11,
    "ENOMEM": 12,
    "EBUSY": 16,
    "ENODEV": 19,
    "ENOTSUP": 95,
    "EOPNOTSUPP": 95,
    "EAFNOSUPPORT": 97,
    "EPROTONOSUPPORT": 93,
    "ENOTTY": 25,
    "ENOSPC": 28,
    "EROFS": 30,
    "EFAULT": 14,
    "EIO": 5,
}
_ACTIONS = frozenset(
    (
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_TRAP",
        ERRNO,
        "SCMP_ACT_TRACE",
        ALLOW,
        "SCMP_ACT_LOG",
        "SCMP_ACT_NOTIFY",
    )
)
_OPERATORS = frozenset(f"SCMP_CMP_{op}" for op in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"))


def from_profile(doc: object, *, caps: "Iterable[str]", arch: str,
                 kernel: "tuple[int, int]" = (9999, 0)) -> "dict[str, Any] | None":
    """linux.seccomp of a profile file in docker's form (archMap, includes and excludes); None: it filters
    nothing.

    doc: the parsed JSON, untrusted. kernel: major and minor, for minKernel.
    Raises: UsageError with the dotted path of what is wrong.
    """
    profile = _mapping(doc, "profile")
    action = profile.get("defaultAction", "")
    rules = _list(profile, "syscalls", "")
    if not action and not rules:
        return None
    out: "dict[str, Any]" = {"defaultAction": _one_of(action, _ACTIONS, "defaultAction")}
    errno = _errno(profile, "defaultErrno", "defaultErrnoRet", "")
    if errno is not None:
        out["defaultErrnoRet"] = errno
    goarch = GOARCH.get(arch, arch)
    arches = _profile_architectures(profile, goarch)
    if arches:
        out["architectures"] = arches
    for key in ("flags", "listenerPath", "listenerMetadata"):
        if profile.get(key):
            out[key] = profile[key]
    have = frozenset(caps)
    out["syscalls"] = [rule for i, item in enumerate(rules)
                       for rule in _profile_rule(item, f"syscalls[{i}]", have, goarch, kernel)]
    return out


def _profile_architectures(profile: "Mapping[str, Any]", goarch: str) -> "list[str]":
    plain, by_native = _strings(profile, "architectures", ""), _list(profile, "archMap", "")
    if plain and by_native:
        raise _wrong("architectures", "use either 'architectures' or 'archMap'")
    if plain:
        return plain
    native = ARCHITECTURES.get(goarch, ("",))[0]
    for i, item in enumerate(by_native):
        entry = _mapping(item, f"archMap[{i}]")
        if entry.get("architecture") == native:
            return [native, *_strings(entry, "subArchitectures", f"archMap[{i}].")]
    return []


def _profile_rule(item: object, where: str, caps: "frozenset[str]", goarch: str,
                  kernel: "tuple[int, int]") -> "Iterable[dict[str, Any]]":
    rule = _mapping(item, where)
    for key, wanted in (("includes", True), ("excludes", False)):
        if not _applies(rule.get(key), f"{where}.{key}", caps, goarch, kernel, wanted=wanted):
            return ()
    names = _strings(rule, "names", f"{where}.")
    if rule.get("name"):
        if names:
            raise _wrong(
                where,
                "'name' and 'names' were specified in the seccomp profile, use either 'name' or 'names'",
            )
        names = _strings({"name": [rule["name"]]}, "name", f"{where}.")
    if not names:
        return ()
    out: "dict[str, Any]" = {
        "names": names,
        "action": _one_of(rule.get("action"), _ACTIONS, f"{where}.action"),
    }
    errno = _errno(rule, "errno", "errnoRet", f"{where}.")
    if errno is not None:
        out["errnoRet"] = errno
    args = [_profile_arg(arg, f"{where}.args[{i}]") for i, arg in enumerate(_list(rule, "args", f"{where}."))]
    if args:
        out["args"] = args
    return (out,)


def _profile_arg(item: object, where: str) -> "dict[str, Any]":
    arg = _mapping(item, where)
    index, value = _uint(arg.get("index", 0), f"{where}.index"), _uint(arg.get("value", 0), f"{where}.value")
    out: "dict[str, Any]" = {
        "index": index,
        "value": value,
        "op": _one_of(arg.get("op"), _OPERATORS, f"{where}.op"),
    }
    if index > 5:
        raise _wrong(f"{where}.index", "a system call has at most six arguments")
    if arg.get("valueTwo"):
        out["valueTwo"] = _uint(arg["valueTwo"], f"{where}.valueTwo")
    return out


def _applies(item: object, where: str, caps: "frozenset[str]", goarch: str, kernel: "tuple[int, int]",
             *, wanted: bool) -> bool:
    """Whether a rule stays: all capabilities of `includes` are there, none of `excludes`; likewise
    architectures."""
    if not item:
        return True
    conditions = _mapping(item, where)
    arches = _strings(conditions, "arches", f"{where}.")
    if arches and (goarch in arches) != wanted:
        return False
    names = _strings(conditions, "caps", f"{where}.")
    if names and not (caps.issuperset(names) if wanted else caps.isdisjoint(names)):
        return False
    least = conditions.get("minKernel")
    return not least or (kernel >= _kernel_version(least, f"{where}.minKernel")) == wanted


def _kernel_version(value: object, where: str) -> "tuple[int, int]":
    major, _, minor = str(value).partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise _wrong(where, f'"{value}" is no kernel version such as "4.8"')
    return int(major), int(minor)


def _errno(doc: "Mapping[str, Any]", name_key: str, number_key: str, prefix: str) -> int | None:
    number = doc.get(number_key)
    if number is not None:
        return _uint(number, prefix + number_key)
    name = doc.get(name_key)
    if not name:
        return None
    if not isinstance(name, str) or len(name) > 20:
        raise _wrong(prefix + name_key, "an error name of errno(3) or a number in quotes is needed")
    if name.isdecimal():
        return int(name)
    if name in _ERRNO_BY_NAME:
        return _ERRNO_BY_NAME[name]
    import errno

    value = getattr(errno, name, None)
    if not isinstance(value, int):
        raise _wrong(prefix + name_key, f'"{name}" is no error name of errno(3)')
    return value


def _mapping(value: object, where: str) -> "Mapping[str, Any]":
    if not isinstance(value, dict):
        raise _wrong(where, "an object is needed")
    return value


def _list(doc: "Mapping[str, Any]", key: str, prefix: str) -> "Sequence[Any]":
    value = doc.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _wrong(prefix + key, "a list is needed")
    return value


def _strings(doc: "Mapping[str, Any]", key: str, prefix: str) -> "list[str]":
    values = _list(doc, key, prefix)
    for i, value in enumerate(values):
        if not isinstance(value, str):
            raise _wrong(f"{prefix}{key}[{i}]", "a string is needed")
    return list(values)


def _uint(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**64:
        raise _wrong(where, "a number from 0 to 2^64-1 is needed")
    return value


def _one_of(value: object, known: "frozenset[str]", where: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise _wrong(where, f"{value!r} is none of {', '.join(sorted(known))}")
    return value


def _wrong(where: str, why: str) -> UsageError:
    return UsageError(
        f"loading seccomp profile failed: {where}: {why}",
        hint="Correct the file, or leave --security-opt seccomp away to use the default profile.",
    )
