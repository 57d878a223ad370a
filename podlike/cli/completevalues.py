"""Candidates for the values of options, by the option's name, and where that means several things by the command."""

import os

from podlike.cli.complete import FILTER_DIRS, NO_FILES, NO_SPACE, Line
from podlike.cli.completers import containers, from_table, networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Final

    from podlike.cli.completers import Answer


def for_flag(line: Line) -> "Answer":
    """For the value of line.flag."""
    flag = line.flag
    assert flag is not None
    if flag.kind == "bool":
        return [("true", ""), ("false", "")], NO_FILES
    special = _BY_COMMAND.get((line.level.removeprefix("container ").removeprefix("image "), flag.name))
    if special is not None:
        return special(line)
    found = _VALUES.get(flag.name)
    if found is not None:
        return found(line) if callable(found) else ([(word, "") for word in found], _directive(found))
    if flag.name.endswith(("-dir", "directory", "root", "dir")) or flag.name in ("volumepath", "signature-policy"):
        return [], FILTER_DIRS
    if flag.name.endswith(("file", "path", "key", "fs")) or flag.name in _FILES:
        return [], 0
    return [], NO_FILES


_FILES: "Final" = frozenset(("conmon", "decryption-key", "device", "input", "out", "output", "runtime"))


def _directive(words: "Iterable[str]") -> int:
    return NO_FILES | (NO_SPACE if any(word.endswith(("=", ":")) for word in words) else 0)


def _nothing(line: Line) -> "Answer":
    return [], NO_FILES


def _signals(line: Line) -> "Answer":
    import signal

    names = [s.name for s in signal.Signals]
    return [(text, "") for name in names for text in (name, name.removeprefix("SIG"))], NO_FILES


def _capabilities(line: Line) -> "Answer":
    from podlike.spec.capabilities import KNOWN

    return [(name, "") for known in KNOWN for name in (known, known.removeprefix("CAP_"))] + [("ALL", "")], NO_FILES


def _sysctls(line: Line) -> "Answer":
    """Below /proc/sys, as far as it is typed; one more level at a time."""
    above, dot, _ = line.last.rpartition(".")
    base = "/proc/sys/" + above.replace(".", "/")
    out = []
    for name in sorted(os.listdir(base)) if os.path.isdir(base) else ():
        path = f"{above}{dot}{name}"
        out.append((path + ("." if os.path.isdir(f"{base}/{name}") else "="), ""))
    return out, NO_FILES if len([o for o in out if o[0].startswith(line.last)]) != 1 else NO_FILES | NO_SPACE


def _networks_or_modes(line: Line) -> "Answer":
    if line.last.startswith("container:"):
        return [(f"container:{name}", text) for name, text in containers(line)[0]], NO_FILES
    modes = [("bridge", ""), ("none", "no network"), ("host", "the host's"), ("private", ""), ("slirp4netns", ""), ("pasta", ""),
             ("container:", "another container's"), ("ns:", "the one at a path")]
    return modes + networks(line)[0], NO_FILES | (NO_SPACE if line.last else 0)


def _namespaces(*more: str) -> "Callable[[Line], Answer]":
    def provide(line: Line) -> "Answer":
        if line.last.startswith("container:"):
            return [(f"container:{name}", text) for name, text in containers(line)[0]], NO_FILES
        return [(word, "") for word in ("host", "private", "container:", "ns:", *more)], NO_FILES | (NO_SPACE if line.last else 0)
    return provide


def _modules(line: Line) -> "Answer":
    """Files of the directories where --module looks, the user's first."""
    from podlike.config import module_dirs

    return [(name, "") for base in module_dirs() if os.path.isdir(base) for name in sorted(os.listdir(base))], 0


def _environment(line: Line) -> "Answer":
    return [(f"{name}=", "") for name in sorted(os.environ)], NO_FILES | NO_SPACE


def _volumes_or_paths(line: Line) -> "Answer":
    if line.last[:1] in ("/", ".", "~"):
        return [], 0
    return [(f"{name}:", text) for name, text in from_table("volumes")(line)[0]], NO_SPACE


def _users(line: Line) -> "Answer":
    import pwd

    return [(entry.pw_name, entry.pw_gecos.split(",")[0]) for entry in pwd.getpwall()], NO_FILES


def _groups(line: Line) -> "Answer":
    import grp

    return [("keep-groups", "keep the caller's"), *((entry.gr_name, "") for entry in grp.getgrall())], NO_FILES


def _formats(line: Line) -> "Answer":
    from podlike.cli.completeformats import fields

    return fields(line), NO_FILES | (NO_SPACE if line.last else 0)


def _sort_keys(line: Line) -> "Answer":
    keys = {"ps": ("command", "created", "id", "image", "names", "runningfor", "size", "status"),
            "list": ("command", "created", "id", "image", "names", "runningfor", "size", "status"),
            "images": ("created", "id", "repository", "size", "tag"), "pod ps": ("created", "id", "name", "number", "status")}
    return [(key, "") for key in keys.get(line.level.removeprefix("container "), ())], NO_FILES


def _filters(line: Line) -> "Answer":
    from podlike.cli.completefilters import filters

    return filters(line)


_PULL: "Final" = ("always", "missing", "never", "newer")
_VALUES: "Final[dict[str, Sequence[str] | Callable[[Line], Answer]]]" = {
    "arch": ("386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"),
    "attach": ("stdin", "stdout", "stderr"),
    "cap-add": _capabilities,
    "cap-drop": _capabilities,
    "cgroup-manager": ("cgroupfs", "systemd"),
    "cgroupns": _namespaces(),
    "cgroups": ("enabled", "disabled", "no-conmon", "split"), "limits": ("strict", "best-effort"),
    "change": ("CMD ", "ENTRYPOINT ", "ENV ", "EXPOSE ", "LABEL ", "ONBUILD ", "STOPSIGNAL ", "USER ", "VOLUME ", "WORKDIR "),
    "compression-format": ("gzip", "zstd", "zstd:chunked"),
    "detach-keys": ("ctrl-",),
    "dns": _nothing,
    "env": _environment,
    "events-backend": ("file", "journald", "none"),
    "filter": _filters,
    "format": _formats,
    "group-add": _groups,
    "health-on-failure": ("none", "kill", "restart", "stop"),
    "hostuser": _users,
    "image-volume": ("anonymous", "tmpfs", "ignore"),
    "ipc": _namespaces("shareable", "none"),
    "log-driver": ("k8s-file", "journald", "json-file", "none", "passthrough", "passthrough-tty"),
    "log-level": ("trace", "debug", "info", "warn", "error", "fatal", "panic"),
    "log-opt": ("path=", "max-size=", "max-file=", "tag="),
    "module": _modules,
    "mount": ("type=artifact,", "type=bind,", "type=volume,", "type=tmpfs,", "type=image,", "type=glob,", "type=devpts,",
              "type=ramfs,"),
    "network": _networks_or_modes,
    "os": ("linux",),
    "pid": _namespaces(),
    "platform": ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64", "linux/s390x"),
    "pod": from_table("pods"),
    "pull": _PULL,
    "requires": containers,
    "restart": ("always", "no", "on-failure", "unless-stopped"),
    "sdnotify": ("container", "conmon", "healthy", "ignore"),
    "secret": from_table("secrets"),
    "security-opt": (
        "no-new-privileges", "seccomp=", "apparmor=", "label=disable", "mask=", "unmask=", "systempaths=unconfined"),
    "signal": _signals,
    "sort": _sort_keys,
    "stop-signal": _signals,
    "storage-driver": ("overlay", "vfs", "fuse-overlayfs"),
    "sysctl": _sysctls,
    "systemd": ("true", "false", "always"),
    "tz": ("local", "UTC"),
    "uts": _namespaces(),
    "type": ("all", "container", "image", "volume", "network", "pod"),
    "userns": ("host", "keep-id", "keep-id:", "auto", "nomap"),
    "ulimit": (
        "as=", "core=", "cpu=", "data=", "fsize=", "host", "locks=", "memlock=", "msgqueue=", "nice=", "nofile=", "nproc=",
        "rss=", "rtprio=", "rttime=", "sigpending=", "stack="),
    "umask": ("0022", "0077"),
    "volume": _volumes_or_paths,
    "volumes-from": containers,
}

_BY_COMMAND: "Final[dict[tuple[str, str], Callable[[Line], Answer]]]" = {
    ("volume create", "driver"): lambda line: ([("local", ""), ("image", "files of an image")], NO_FILES),
    ("volume create", "opt"): lambda line: (
        [(w, "") for w in ("type=", "device=", "o=", "nocopy", "image=")], NO_FILES | NO_SPACE),
    ("save", "format"): lambda line: ([(w, "") for w in ("docker-archive", "docker-dir", "oci-archive", "oci-dir")], NO_FILES),
    ("push", "format"): lambda line: ([(w, "") for w in ("oci", "v2s1", "v2s2")], NO_FILES),
    ("commit", "format"): lambda line: ([(w, "") for w in ("oci", "docker")], NO_FILES),
    ("wait", "condition"): lambda line: (
        [(w, "") for w in ("configured", "created", "exited", "healthy", "initialized", "paused", "removing", "running",
                           "stopped", "stopping", "unhealthy")], NO_FILES),
    ("network create", "interface-name"): lambda line: ([(n, "") for n in sorted(os.listdir("/sys/class/net"))], NO_FILES),
    ("update", "restart"): lambda line: ([(w, "") for w in ("always", "no", "on-failure", "unless-stopped")], NO_FILES)}
