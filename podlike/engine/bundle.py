"""The OCI bundle of one start: config.json and the files that the engine puts into the container."""

import json
import os

from podlike import __version__
from podlike.engine import limits, query
from podlike.engine.core import Engine
from podlike.engine.devices import look_up_devices
from podlike.engine.hooks import hooks_of
from podlike.engine.hostfiles import copied_mounts
from podlike.engine.mountsources import Sources
from podlike.engine.network import Network
from podlike.engine.tending import write_orders
from podlike.engine.users import identify, read_file, write_in_root
from podlike.errors import CannotExecuteError, UsageError
from podlike.files import read_text, write_text
from podlike.net import files
from podlike.paths import libexec
from podlike.runtime import hostfacts, monitorscope, spawn
from podlike.runtime.session import rootless
from podlike.spec import oci, resolve, sysctls
from podlike.spec.container import ContainerSpec
from podlike.spec.oci_mounts import BoundPath
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from dataclasses import replace
    from typing import Any
else:
    from podlike.spec.record import replace

SECCOMP_LABEL = "io.containers.seccomp.profile"  # for --seccomp-policy=image
_PROFILE_LIMIT = 4 << 20  # bytes of a seccomp profile; the default one has 18 kB


def write_bundle(engine: Engine, container: Container, *, rootfs: str, network: Network) -> None:
    """Write everything that `RUNTIME create --bundle` needs. Raises: UsageError, CannotExecuteError."""
    spec = container.spec
    bundle = engine.roots.bundle(container.id)
    root_fd = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        user, entries = identify(root_fd, spec)
        if not (spec.rootfs and not spec.rootfs_overlay) and not spec.read_only:
            # In the container's own layer, where it can change them; the bound files are for those that must not change.
            entries = {path: text for path, text in entries.items() if not write_in_root(root_fd, path, text)}
        volumes = Sources(engine, container, root_fd, user).all() if spec.mounts else []
        _check_workdir(root_fd, container, volumes)
        binds = _own_files(engine, container, root_fd, entries, network)
        _add_copied_mounts(spec, binds, bundle)
        _add_shared_memory(engine, container, binds)
    finally:
        os.close(root_fd)
    is_rootless, table = rootless(), engine.config.containers
    nodes: list[str] = []
    if spec.devices:
        from podlike.engine.cdi import plain_devices

        nodes = plain_devices(spec)
    warnings: list[str] = []
    can = limits.obtainable(container)
    ns_paths, as_joined = _shared_namespaces(engine, can)
    config = oci.build(
        as_joined, cid=container.id, rootfs=rootfs, user=user, host=_host_facts(container), rootless=is_rootless,
        binds=binds, volumes=volumes, device_nodes=look_up_devices(nodes), block_devices=limits.block_devices(can),
        host_devices=list(hostfacts.all_devices()) if spec.privileged else (), netns_path=network.netns or None,
        ns_paths=ns_paths, init_path=_init_path(engine, spec),
        cgroups_path=container.state.cgroup or None, seccomp_profile=_seccomp_profile(spec, table.seccomp_profile),
        default_capabilities=table.default_capabilities, default_pids_limit=table.pids_limit,
        default_apparmor=table.apparmor_profile,
        default_sysctls=default_sysctls(table.default_sysctls), extra_env=_listening(engine, spec), warnings=warnings)
    container.state.limits = [(r["type"], r["soft"], r["hard"]) for r in config["process"]["rlimits"]]
    if spec.notify_socket and spec.sdnotify in ("", "container"):
        _add_notify_socket(config, bundle)
    if container.state.tended:
        write_orders(engine, container, config)
    if monitorscope.wanted(container.state.cgroup, spec.cgroups):
        config["annotations"][monitorscope.ANNOTATION] = monitorscope.annotation(container.id, network.helper_pids())
    hooks = hooks_of(engine, spec)
    if hooks:
        config["hooks"] = hooks
    if len(nodes) < len(spec.devices):
        from podlike.engine.cdi import inject

        inject(engine, spec, config, rootless=is_rootless)
    if warnings:
        from podlike import log

        for text in warnings:
            log.warning(text)
    write_text(f"{bundle}/config.json", json.dumps(config), mode=0o600)


def _listening(engine: Engine, spec: ContainerSpec) -> dict[str, str]:
    if "LISTEN_FDS" not in os.environ:
        return {}
    from podlike.engine.listening import environment

    return environment(spec, ours=not (spec.runtime or engine.config.engine.runtime))


def _add_notify_socket(config: "dict[str, Any]", bundle: str) -> None:
    """The container may tell the service manager that it is ready: the monitor passes that on. Source: sd_notify(3)."""
    os.makedirs(f"{bundle}/notify", mode=0o755, exist_ok=True)
    config["mounts"].append({"destination": "/run/notify", "type": "bind", "source": f"{bundle}/notify",
                             "options": ["bind", "rprivate", "nosuid", "nodev", "noexec"]})
    config["process"]["env"].append("NOTIFY_SOCKET=/run/notify/notify.sock")


def _add_copied_mounts(spec: ContainerSpec, binds: dict[str, str], bundle: str) -> None:
    taken = {m.target for m in spec.mounts}
    for target, path in copied_mounts(spec, bundle).items():
        if target not in taken:
            binds.setdefault(target, path)


def _add_shared_memory(engine: Engine, container: Container, binds: dict[str, str]) -> None:
    """/dev/shm of those who share an IPC namespace: semaphores and the like live there."""
    spec = container.spec
    kind, value = resolve.namespace(spec.ipc_ns)
    if kind == "container":
        path = f"{engine.roots.bundle(query.find(engine, value).id)}/shm"
        if os.path.ismount(path):
            binds.setdefault("/dev/shm", path)
    elif spec.infra or kind == "shareable":
        from podlike.engine.pods.pause import share_memory

        share_memory(engine, container)
        binds.setdefault("/dev/shm", f"{engine.roots.bundle(container.id)}/shm")


def _init_path(engine: Engine, spec: ContainerSpec) -> str:
    """The program of --init. Raises: UsageError when it cannot be executed."""
    if not spec.init:
        return ""
    table = engine.config
    path = spec.init_path or table.containers.init_path or table.engine.init_path or libexec("podlike-init")
    if not os.access(path, os.X_OK):
        raise UsageError(f"container-init binary not found on the host: stat {path}: no such program",
                         hint="Leave --init-path and init_path of containers.conf away to use podlike's own.")
    return path


def _host_facts(container: Container) -> oci.HostFacts:
    return hostfacts.gather(controllers=limits.controllers(container.spec, container.state.cgroup))


def default_sysctls(configured: "Sequence[str]") -> dict[str, str]:
    """What containers get where it applies; containers.conf replaces the built-in list."""
    if not configured:
        return sysctls.DEFAULT
    return dict(text.partition("=")[::2] for text in configured)


def _check_workdir(root_fd: int, container: Container, volumes: list[BoundPath]) -> None:
    """The image's working directory is made when it is missing; one that the user named must be there."""
    path = container.spec.workdir
    if path == "/" or any(_within(path, v.target) or _within(v.target, path) for v in volumes):
        return  # on a volume, or the runtime makes it on the way to a volume
    try:
        os.close(spawn.open_in_root(root_fd, path, os.O_PATH | os.O_DIRECTORY))
    except spawn.SpawnError as e:
        if container.spec.workdir_given:
            raise CannotExecuteError(f'workdir "{path}" does not exist on container {container.id}',
                                     hint="Name a directory of the image, or mount one there.") from e
        _make_in_root(root_fd, path)


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _make_in_root(root_fd: int, path: str) -> None:
    parts = [p for p in path.split("/") if p]
    for n in range(1, len(parts) + 1):
        parent = spawn.open_in_root(root_fd, "/" + "/".join(parts[: n - 1]), os.O_PATH | os.O_DIRECTORY)
        try:
            os.mkdir(parts[n - 1], 0o755, dir_fd=parent)
        except FileExistsError:
            pass
        finally:
            os.close(parent)


def _own_files(engine: Engine, container: Container, root_fd: int, entries: dict[str, str],
               network: Network) -> dict[str, str]:
    """Make hosts, resolv.conf, hostname and .containerenv; return them by their path in the container.

    entries: texts of passwd and group that replace the image's.

    hosts and resolv.conf stay empty until the network is there: write_network_files.
    """
    spec = container.spec
    directory = f"{engine.roots.bundle(container.id)}/etc"
    os.makedirs(directory, mode=0o755, exist_ok=True)
    name = files.hostname(spec, network.plan, engine.config, container.id)
    texts = {"/run/.containerenv": _containerenv(container), **entries}
    if not spec.no_hostname:
        texts["/etc/hostname"] = name + "\n"
    shared = _files_of_joined(engine, network)
    if not spec.no_hosts:
        if "/etc/hosts" in shared:
            _add_to_hosts(shared["/etc/hosts"], container)
        else:
            texts["/etc/hosts"] = ""
    if "none" not in spec.dns and "/etc/resolv.conf" not in shared:
        texts["/etc/resolv.conf"] = ""
    out = dict(shared)
    for target, text in texts.items():
        out[target] = f"{directory}/{target.rpartition('/')[2]}"
        write_text(out[target], text)
        _give_to_root(spec, out[target])
    if spec.timezone and (spec.rootfs or not _link_localtime(root_fd, spec.timezone)):
        out.update(_localtime(spec.timezone, directory))
    covered = {m.target for m in spec.mounts}
    if any(m.target == "/run" and m.type in ("bind", "volume") for m in spec.mounts):
        del out["/run/.containerenv"]  # nothing of ours is made in what belongs to others
    for directory in spec.chroot_dirs:
        out.update({f"{directory.rstrip('/')}{target}": path for target, path in list(out.items())})
    return {target: path for target, path in out.items() if target not in covered}


def _give_to_root(spec: ContainerSpec, path: str) -> None:
    """The container's root owns what we put into it, also when it is another id than ours."""
    if spec.uid_map:
        from podlike.spec.userns import outside

        os.chown(path, outside(spec.uid_map, 0) or 0, outside(spec.gid_map, 0) or 0)


def _files_of_joined(engine: Engine, network: Network) -> dict[str, str]:
    """A container that joins another's network sees the same files as that one."""
    kind, value = resolve.namespace(network.plan.target)
    if network.plan.kind != "join" or kind != "container":
        return {}
    directory = f"{engine.roots.bundle(query.find(engine, value).id)}/etc"
    return {target: f"{directory}/{name}" for target, name in (("/etc/hosts", "hosts"), ("/etc/resolv.conf", "resolv.conf"))
            if os.path.exists(f"{directory}/{name}")}


def _add_to_hosts(path: str, container: Container) -> None:
    from podlike.engine import joinedhosts

    joinedhosts.add(path, container.name)


def write_network_files(engine: Engine, container: Container, network: Network) -> None:
    """Fill hosts and resolv.conf in place: they are bound into the container already. Raises: NetworkError."""
    spec, config, directory = container.spec, engine.config, f"{engine.roots.bundle(container.id)}/etc"
    if os.path.exists(f"{directory}/hosts"):
        name = files.hostname(spec, network.plan, config, container.id)
        image_hosts = ""
        if (spec.hosts_file or config.containers.base_hosts_file) == "image":
            image_hosts = read_file(_rootfs_of(engine, container), "/etc/hosts")
        write_text(f"{directory}/hosts", files.hosts(spec, network.plan, network.setup, config, name=name,
                                                     image_hosts=image_hosts))
    if os.path.exists(f"{directory}/resolv.conf"):
        write_text(f"{directory}/resolv.conf", files.resolv_conf(spec, network.plan, network.setup, config) or "")


def _rootfs_of(engine: Engine, container: Container) -> str:
    """Where the root file system of a container that is being started is."""
    spec, base = container.spec, engine.roots.container(container.id)
    if spec.infra and not spec.image and not spec.rootfs:
        return f"{engine.roots.bundle(container.id)}/rootfs"
    if spec.rootfs and not spec.rootfs_overlay:
        return spec.rootfs
    return f"{base}/root" if engine.storage.driver == "vfs" else f"{base}/merged"


def _containerenv(container: Container) -> str:
    if not container.spec.privileged:
        return ""
    # Scripts ask whether the engine begins with podman-, as they ask for container=podman in the environment.
    return (f'engine="podman-compatible-podlike-{__version__}"\nname="{container.name}"\nid="{container.id}"\n'
            f'image="{container.spec.image_name}"\nimageid="{container.spec.image_id}"\nrootless={int(rootless())}\n')


def _link_localtime(root_fd: int, zone: str) -> bool:
    """Point /etc/localtime into the image's own zoneinfo, if it has the zone: programs read the zone's name there."""
    if zone == "local" or ".." in zone.split("/"):
        return False
    try:
        os.close(spawn.open_in_root(root_fd, f"/usr/share/zoneinfo/{zone}", os.O_PATH))
        etc = spawn.open_in_root(root_fd, "/etc", os.O_PATH | os.O_DIRECTORY)
    except spawn.SpawnError:
        return False
    try:
        try:
            os.unlink("localtime", dir_fd=etc)
        except FileNotFoundError:
            pass
        os.symlink(f"../usr/share/zoneinfo/{zone}", "localtime", dir_fd=etc)
    except OSError:
        return False  # a read-only --rootfs, a directory: the host's file is bound there instead
    finally:
        os.close(etc)
    return True


def _localtime(zone: str, directory: str) -> dict[str, str]:
    source = "/etc/localtime" if zone == "local" else f"/usr/share/zoneinfo/{zone}"
    if ".." in zone.split("/") or not os.path.isfile(source):
        raise UsageError(f"running container create option: finding timezone: unknown time zone {zone}",
                         hint="Install tzdata on the host, or use a name below /usr/share/zoneinfo.")
    with open(source, "rb") as f:
        data = f.read(1 << 20)
    with open(f"{directory}/localtime", "wb") as f:
        f.write(data)
    return {"/etc/localtime": f"{directory}/localtime"}


def _shared_namespaces(engine: Engine, spec: ContainerSpec) -> "tuple[dict[str, str], ContainerSpec]":
    """Namespace files of the other containers that this one joins, and the spec that says host where these are the host's."""
    out: dict[str, str] = {}
    as_joined = replace(spec)
    for kind, field in (("pid", "pid_ns"), ("ipc", "ipc_ns"), ("uts", "uts_ns"), ("cgroup", "cgroup_ns"), ("net", "network"),
                        ("user", "user_ns")):
        mode, value = resolve.namespace(getattr(spec, field))
        if mode == "container":
            out[kind] = query.namespace_path(engine, value, kind)
            if query.is_ours(out[kind], kind):  # the kernel lets nobody join it who is in it and is not its root
                setattr(as_joined, field, "host")
    return out, as_joined


def _seccomp_profile(spec: ContainerSpec, configured: str) -> "Any":
    path = spec.seccomp_profile or configured
    label = spec.labels.get(SECCOMP_LABEL, "") if spec.seccomp_by_image and not spec.seccomp_profile else ""
    if label:
        try:
            return json.loads(label)
        except ValueError as e:
            raise UsageError(f"loading seccomp profile failed: the image's label {SECCOMP_LABEL} is no JSON: {e}",
                             hint="Leave --seccomp-policy=image away.") from e
    if path in ("", "unconfined"):
        return None
    try:
        return json.loads(read_text(path, limit=_PROFILE_LIMIT))
    except OSError as e:
        raise UsageError(f"opening seccomp profile failed: open {path}: {(e.strerror or str(e)).lower()}",
                         hint="Check the path after --security-opt seccomp=.") from e
    except ValueError as e:
        raise UsageError(f"loading seccomp profile ({path}) failed: decoding seccomp profile failed: {e}",
                         hint="It must be JSON in docker's seccomp format.") from e
