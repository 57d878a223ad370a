"""What `info` tells about the host, the store and the programs: podman's keys."""

import os
import sys

from podlike import __version__, paths
from podlike.engine import events, query
from podlike.engine.core import Engine
from podlike.engine.startup import Startup
from podlike.errors import PodlikeError
from podlike.files import read_text
from podlike.runtime import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def describe(engine: Engine, *, runtime: str = "", debug: bool = False) -> "dict[str, Any]":
    """The document, in podman's order. runtime: --runtime, if it was given. debug: with what containers.conf says in vain."""
    out = {"host": _host(engine, runtime), "plugins": _plugins(engine), "registries": _registries(engine),
           "store": _store(engine), "version": _version()}
    if debug:
        from podlike.engine.configreport import report

        out["containersConf"] = report(engine.config)
    return out


def _host(engine: Engine, runtime: str) -> "dict[str, Any]":
    uname = os.uname()
    memory = _table("/proc/meminfo")
    return {
        "arch": _MACHINES.get(uname.machine, uname.machine),
        "buildahVersion": __version__,
        "cgroupControllers": _controllers(),
        "cgroupManager": "systemd" if ":" in cgroup.place("", manager=engine.cgroup_manager) else "cgroupfs",
        "cgroupVersion": "v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "v1",
        "conmon": _program("podlike-conmon", os.environ.get("PODLIKE_CONMON") or paths.libexec("podlike-conmon")),
        "cpuUtilization": _cpu(),
        "cpus": os.cpu_count() or 1,
        "databaseBackend": "sqlite",
        "distribution": _distribution(),
        "eventLogger": events.backend(engine),
        "hostname": uname.nodename,
        "idMappings": _id_mappings(),
        "kernel": uname.release,
        "linkmode": "dynamic",
        "logDriver": engine.config.containers.log_driver,
        "memFree": memory.get("MemFree", 0),
        "memTotal": memory.get("MemTotal", 0),
        "networkBackend": "podlike",
        "networkBackendInfo": {"backend": "podlike", "version": __version__, "package": "podlike", "path": "",
                               "dns": {"version": "", "package": "", "path": ""}},
        "ociRuntime": _runtime(engine, runtime),
        "os": "linux",
        "pasta": _tool("pasta"),
        "remoteSocket": {"exists": False, "path": f"{os.path.dirname(engine.roots.run)}/podman/podman.sock"},
        "rootlessNetworkCmd": _network_command(engine),
        "security": _security(),
        "serviceIsRemote": False,
        "slirp4netns": _tool("slirp4netns"),
        "startup": Startup(engine.roots).document(),
        "swapFree": memory.get("SwapFree", 0),
        "swapTotal": memory.get("SwapTotal", 0),
        "uptime": _uptime(),
        "variant": "",
    }


def _table(path: str) -> "dict[str, int]":
    """A file of "Name:   123 kB" lines, in bytes."""
    out = {}
    for line in read_text(path).split("\n"):
        name, _, value = line.partition(":")
        fields = value.split()
        if fields and fields[0].isdigit():
            out[name] = int(fields[0]) * (1024 if fields[1:] == ["kB"] else 1)
    return out


def _controllers() -> list[str]:
    """What may be limited in the cgroup that we sit in."""
    try:
        own = read_text("/proc/self/cgroup").rpartition("0::")[2].strip()
        return read_text(f"/sys/fs/cgroup{own.rstrip('/')}/cgroup.controllers").split()
    except OSError:
        return []


def _program(name: str, path: str) -> "dict[str, str]":
    return {"package": f"{name}_{__version__}", "path": path, "version": f"{name} version {__version__}"}


def _tool(name: str) -> "dict[str, str]":
    path = paths.find_program(name) or ""
    return {"executable": path, "package": _package(path), "version": ""}


def _package(path: str) -> str:
    """The Debian package that brought a program, from dpkg's file lists; "" where there is no dpkg."""
    name = os.path.basename(path)
    known = {"pasta": "passt"}.get(name, name)
    return f"{known}" if path and os.path.exists(f"/var/lib/dpkg/info/{known}.list") else "Unknown" if path else ""


def _runtime(engine: Engine, name: str) -> "dict[str, str]":
    from podlike.runtime.oci import find_runtime

    name = name or engine.config.engine.runtime or "podlike-spawn"
    try:
        path = find_runtime(name, roots=engine.roots, runtimes=engine.config.engine.runtimes).path
    except PodlikeError:
        path = ""
    base = name.rpartition("/")[2]
    version = f"{base} version {__version__}" if base == "podlike-spawn" else ""
    return {"name": base, "package": "podlike" if version else _package(path), "path": path, "version": version}


def _cpu() -> "dict[str, float]":
    """Shares of the time since boot, in percent."""
    fields = [int(f) for f in read_text("/proc/stat").split("\n")[0].split()[1:]]
    total = sum(fields) or 1
    return {"idlePercent": round(100 * fields[3] / total, 2), "systemPercent": round(100 * fields[2] / total, 2),
            "userPercent": round(100 * fields[0] / total, 2)}


def _distribution() -> "dict[str, str]":
    fields = {}
    try:
        for line in read_text("/etc/os-release").split("\n"):
            key, _, value = line.partition("=")
            fields[key] = value.strip("\"'")
    except OSError:
        pass
    out = {"distribution": fields.get("ID", "unknown"), "version": fields.get("VERSION_ID", "unknown")}
    if fields.get("VERSION_CODENAME"):
        out = {"codename": fields["VERSION_CODENAME"], **out}
    return out


def _id_mappings() -> "dict[str, list[dict[str, int]] | None]":
    """What a session's user namespace maps; null for root, who needs none."""
    if os.geteuid() == 0:
        return {"gidmap": None, "uidmap": None}
    return {"gidmap": _ranges("/etc/subgid", os.getegid()), "uidmap": _ranges("/etc/subuid", os.geteuid())}


def _ranges(path: str, own: int) -> "list[dict[str, int]]":
    import pwd

    out, inside = [{"container_id": 0, "host_id": own, "size": 1}], 1
    uid = os.geteuid()
    try:
        names = {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        names = {str(uid)}
    try:
        text = read_text(path)
    except OSError:
        return out
    for line in text.split("\n"):
        owner, _, rest = line.partition(":")
        start, _, count = rest.partition(":")
        if owner in names and start.isdigit() and count.isdigit():
            out.append({"container_id": inside, "host_id": int(start), "size": int(count)})
            inside += int(count)
    return out


def _network_command(engine: Engine) -> str:
    return engine.config.network.default_rootless_network_cmd


def _security() -> "dict[str, Any]":
    from podlike.spec.capabilities import DEFAULT

    profile = next((p for p in ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")
                    if os.path.exists(p)), "")
    return {"apparmorEnabled": os.geteuid() == 0 and os.path.exists("/sys/kernel/security/apparmor/profiles"),
            "capabilities": ",".join(DEFAULT), "rootless": os.geteuid() != 0,
            "seccompEnabled": os.path.exists("/proc/sys/kernel/seccomp/actions_avail"), "seccompProfilePath": profile,
            "selinuxEnabled": os.path.exists("/sys/fs/selinux/enforce")}


def _uptime() -> str:
    seconds = int(float(read_text("/proc/uptime").split()[0]))
    text = f"{seconds // 3600}h {seconds // 60 % 60}m {seconds % 60}.00s"
    return text if seconds < 86400 else f"{text} (Approximately {seconds / 86400:.2f} days)"


def _plugins(engine: Engine) -> "dict[str, Any]":
    return {"authorization": None, "log": ["k8s-file", "none", "passthrough", "journald", "json-file"],
            "network": ["pasta", "slirp4netns"],
            "volume": ["local", *engine.config.engine.volume_plugins]}


def _registries(engine: Engine) -> "dict[str, Any]":
    search = list(getattr(engine.config, "search_registries", ()) or ())
    return {"search": search} if search else {}


def _store(engine: Engine) -> "dict[str, Any]":
    states = [query.status(engine, c).state for c in query.all_containers(engine)]
    running, paused = states.count("running"), states.count("paused")
    total, used = _disk(engine.roots.data)
    images = engine.db.row("SELECT count(*) FROM images")
    home = os.environ.get("XDG_CONFIG_HOME") or f"{os.environ.get('HOME', '')}/.config"
    return {
        "configFile": f"{home}/containers/storage.conf" if os.geteuid() else "/etc/containers/storage.conf",
        "containerStore": {"number": len(states), "paused": paused, "running": running,
                           "stopped": len(states) - running - paused},
        "graphDriverName": engine.storage.driver,
        "graphOptions": engine.storage.shown(),
        "graphRoot": engine.roots.data,
        "graphRootAllocated": total,
        "graphRootUsed": used,
        "graphStatus": _graph_status(engine),
        "imageCopyTmpDir": engine.roots.tmp,
        "imageStore": {"number": images[0] if images else 0},
        "runRoot": engine.roots.run,
        "transientStore": False,
        "volumePath": engine.volumes_root,
    }


def _graph_status(engine: Engine) -> "dict[str, str]":
    if engine.storage.driver == "vfs":
        return {}
    native = "false" if engine.storage.mount_program else "true"
    return {"Backing Filesystem": _filesystem(engine.roots.data), "Native Overlay Diff": native, "Using metacopy": "false"}


def _disk(path: str) -> tuple[int, int]:
    """(size, used) of the file system, in bytes."""
    try:
        st = os.statvfs(path)
    except OSError:
        return 0, 0
    return st.f_blocks * st.f_frsize, (st.f_blocks - st.f_bfree) * st.f_frsize


def _filesystem(path: str) -> str:
    """Type of the file system that path is on: the longest mount point that is a beginning of it."""
    best, kind = "", "unknown"
    for line in read_text("/proc/self/mounts", limit=1 << 20).split("\n"):
        fields = line.split()
        if len(fields) > 2 and f"{path}/".startswith(f"{fields[1].rstrip('/')}/") and len(fields[1]) >= len(best):
            best, kind = fields[1], fields[2]
    return kind


def _version() -> "dict[str, Any]":
    uname = os.uname()
    python = ".".join(map(str, sys.version_info[:3]))
    return {"APIVersion": __version__, "Version": __version__, "GoVersion": f"none (Python {python})", "GitCommit": "",
            "OsArch": f"linux/{_MACHINES.get(uname.machine, uname.machine)}", "Os": "linux"}
