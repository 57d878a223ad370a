"""Making a container: image found, request resolved, name taken, record written. Nothing runs yet."""

import os
import time

from podlike import procs
from podlike.engine import events, limits
from podlike.engine.core import Engine
from podlike.engine.logconf import refuse_bad_log
from podlike.engine.names import random_name
from podlike.engine.sweep import sweep
from podlike.errors import ConflictError, NotFoundError, PodlikeError, UsageError
from podlike.spec.container import ContainerSpec, Mount
from podlike.spec.events import Event
from podlike.store.containers import Container, RunState
from podlike.store.locks import StoreLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from podlike.store.images import Image
    from podlike.store.pods import Pod

# Names that begin so are places (spec/transport.py), which are never looked up here.
_ELSEWHERE: "Final" = frozenset(("docker-archive", "oci-archive", "oci", "dir", "containers-storage"))


def create(engine: Engine, spec: ContainerSpec, *, pull_policy: str = "missing", replace: bool = False, for_run: bool = False,
           progress: "Any" = None) -> Container:
    """Record a new container. pull_policy: always, missing, never, newer.

    replace: remove a container of the same name first, running or not. for_run: this process starts it at once; if
    it is killed before it could, the container goes with the next command's sweep. progress: see engine/pull.py.
    Raises: NotFoundError, ConflictError, UsageError and what a pull raises; nothing is left behind then.
    """
    sweep(engine)
    refuse_unfit_for_updates(spec)
    asked = spec.image
    pod = _join_pod(engine, spec)
    cid = os.urandom(32).hex()
    # The image must not be deleted between finding it and recording its use.
    with StoreLock(engine.roots.tmp):
        image, found_here = None, False
        if not spec.rootfs:
            image, found_here = _look_up_or_pull(engine, spec.image, pull_policy=pull_policy, progress=progress)
            spec.image_id, spec.layers = image.id, list(image.layers)
            spec.image_name = _shown_name(image, spec.image)
            _choose_runtime(engine, spec, image)
        if spec.name:
            check_name(spec.name)
            if replace:
                _replace(engine, spec.name)
        resolved = resolve_spec(engine, spec, image, cid)
        if pod is not None:
            _check_init_container(resolved)
            _take_hostname(engine, pod, resolved)
        take_volumes(engine, resolved)
        _name_joined(engine, resolved)
        resolved.requires = [engine.containers.find(name).id for name in resolved.requires]
        warnings = refuse_bad_requests(engine, resolved)
        container = Container(id=cid, name=resolved.name, image=image.id if image else None, created=time.time(),
                              spec=resolved, state=RunState(starter=_ourselves() if for_run else [], warnings=warnings))
        name_volumes(container)
        refuse_bad_log(engine, container)
        # The record comes first: whatever a crash leaves behind afterwards belongs to it and goes with it.
        _add(engine, container, generated=not spec.name)
    try:
        make_volumes(engine, container)
        if engine.config.containers.prepare_volume_on_create:
            _fill_volumes(engine, container)
    except BaseException:
        engine.containers.delete(container.id)
        raise
    # As podman tells it: an image that is here already has been pulled, too.
    pulled = [Event("image", "pull", id=image.id, name=asked)] if image and found_here else []
    events.emit(engine, *pulled, events.created(engine, container))
    return container


def _join_pod(engine: Engine, spec: ContainerSpec) -> "Pod | None":
    """The pod that it is to be in, whose namespaces it gets. Raises: NotFoundError, UsageError."""
    if spec.init_ctr and not spec.pod:
        raise UsageError("init containers must be created in a pod: invalid argument", hint="Give --pod too.")
    if not spec.pod or spec.infra:
        return None
    from podlike.engine.pods.members import join

    return join(engine, spec)


def _take_hostname(engine: Engine, pod: "Pod", resolved: ContainerSpec) -> None:
    from podlike.engine.pods.members import take_hostname

    take_hostname(engine, pod, resolved)


def _check_init_container(spec: ContainerSpec) -> None:
    if spec.init_ctr and spec.health is not None:
        raise UsageError("use a health check with an init container: it runs to its end before anybody asks",
                         hint="Use --no-healthcheck.")


def _ourselves() -> list[int]:
    return [os.getpid(), procs.start_time(os.getpid())]


def find_image(engine: Engine, name: str, *, pull_policy: str, progress: "Any" = None) -> "Image":
    """The image of that name, pulled first if the policy says so. Raises: NotFoundError, RegistryError."""
    return _look_up_or_pull(engine, name, pull_policy=pull_policy, progress=progress)[0]


def _look_up_or_pull(engine: Engine, name: str, *, pull_policy: str, progress: "Any" = None) -> "tuple[Image, bool]":
    """(image, whether it was here)"""
    from podlike.engine.images import resolve

    if pull_policy in ("missing", "never", "") and name.partition(":")[0] not in _ELSEWHERE:
        try:
            return resolve(engine, name), True
        except NotFoundError as e:
            if pull_policy == "never":
                e.hint = None  # who says never to pull has a script that reads the one line
                raise
    from podlike.engine.pull import pull

    return pull(engine, name, policy=pull_policy or "missing", progress=progress), False


def _shown_name(image: "Image", typed: str) -> str:
    """The full name behind what was typed; an id stays as the image's first name."""
    if typed.partition(":")[0] in _ELSEWHERE:
        return next(iter(image.names), image.id)
    from podlike.spec.reference import candidates

    names = list(image.names)
    try:
        wanted = candidates(typed)
    except PodlikeError:
        wanted = []
    return next((n for n in wanted if n in names), names[0] if names else typed)


def check_name(name: str) -> None:
    """Raises: UsageError."""
    import re

    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", name):
        raise UsageError("running container create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: "
                         f'"{name}": invalid argument')


def _name_joined(engine: Engine, spec: ContainerSpec) -> None:
    """container:NAME becomes container:ID, which stays right when it is renamed. Raises: NotFoundError, UsageError."""
    for kind, field in (("pid", "pid_ns"), ("ipc", "ipc_ns"), ("uts", "uts_ns"), ("cgroup", "cgroup_ns"), ("network", "network")):
        mode, _, name = str(getattr(spec, field)).partition(":")
        if mode != "container":
            continue
        try:
            other = engine.containers.find(name)
        except NotFoundError as e:
            raise NotFoundError(f"looking up container to share {kind} namespace with: {e.message}", hint=e.hint) from None
        if field == "ipc_ns" and other.spec.ipc_ns in ("private", "none") and not spec.pod:
            raise UsageError(f"joining the IPC namespace of container {other.id} is not allowed: non-shareable IPC "
                             "(hint: use IpcMode:shareable for the donor container)")
        setattr(spec, field, f"container:{other.id}")


def _choose_runtime(engine: Engine, spec: ContainerSpec, image: "Image") -> None:
    """platform_to_oci_runtime of containers.conf, where --runtime says nothing."""
    table = engine.config.engine.platform_to_oci_runtime
    if table and not spec.runtime:
        names = [str(image.config[key]) for key in ("os", "architecture", "variant") if image.config.get(key)]
        spec.runtime = table.get("/".join(names), "") or table.get("/".join(names[:2]), "")


def _replace(engine: Engine, name: str) -> None:
    from podlike.engine.remove import remove

    try:
        old = engine.containers.find(name)
    except NotFoundError:
        return
    if old.name == name:
        remove(engine, old, force=True, volumes=True, timeout=0)


def resolve_spec(engine: Engine, spec: ContainerSpec, image: "Image | None", cid: str) -> ContainerSpec:
    """The request with the image's and the configuration's defaults filled in."""
    from podlike.engine.defaults import apply_config, defaults_for
    from podlike.spec.resolve import resolve

    apply_config(spec, engine.config)
    resolved = resolve(spec, image.config if image else None, defaults_for(engine.config),
                       name=spec.name or random_name(), cid=cid, host_env=os.environ)
    resolved.workdir_given = bool(spec.workdir)
    if engine.config.containers.container_name_as_hostname and not resolved.hostname and resolved.uts_ns in ("", "private"):
        resolved.hostname = "" if resolved.network == "host" else hostname_of(resolved.name)
    if resolved.uidmap or resolved.gidmap or resolved.user_ns not in ("", "host") \
            and not (resolved.pod and resolved.user_ns.startswith("container:")):
        plan_user_namespace(engine, resolved, asked_user=spec.user)
    return resolved


def hostname_of(name: str) -> str:
    """A container's name as a host name: without what hostname(7) does not allow."""
    return "".join(c for c in name if c.isascii() and (c.isalnum() or c in "-.")).strip("-.")[:64]


def plan_user_namespace(engine: Engine, spec: ContainerSpec, *, asked_user: str) -> None:
    """Fill in the maps, and the user that keep-id runs as. Raises: UsageError."""
    from podlike.runtime.hostfacts import caller
    from podlike.runtime.session import rootless
    from podlike.spec.userns import plan

    if not rootless():
        raise UsageError(f"use {f'--userns={spec.user_ns}' if spec.user_ns else '--uidmap'}: "
                         "it is only supported in rootless mode", hint="Run podlike as an ordinary user.")
    engine.enter_session()
    found = plan(spec.user_ns, spec.uidmap, spec.gidmap, caller())
    if found is None:
        if spec.user_ns not in ("private", "host"):
            raise UsageError(f"--userns={spec.user_ns} is not supported by this version of podlike",
                             hint="Modes are host, private and keep-id; --uidmap and --gidmap map ids one by one.")
        return
    if spec.rootfs:
        raise UsageError("use --rootfs with a user namespace of its own: the ids of its files cannot be shifted",
                         hint="Leave --userns, --uidmap and --gidmap away, or use an image.")
    spec.uid_map, spec.gid_map = found.uids, found.gids
    if found.user and not asked_user:
        spec.user = found.user


def refuse_bad_limits(engine: Engine, spec: ContainerSpec) -> list[str]:
    """What it goes without, in words. Raises: UsageError for a limit or a --cgroup-parent that is not to be had here."""
    return limits.check(engine, spec)


def refuse_bad_requests(engine: Engine, spec: ContainerSpec) -> list[str]:
    """What can be known to fail is refused before anything exists: network, ports, limits, runtime, volumes.

    Returns what it goes without, in words.
    """
    from podlike.engine.mountsources import check as check_mount
    from podlike.net.driver import prepare
    from podlike.runtime.oci import find_runtime

    refuse_unfit_for_updates(spec)  # now with the image's labels
    prepare(spec, engine.config)
    warnings = refuse_bad_limits(engine, spec)
    table = engine.config.engine
    find_runtime(spec.runtime or table.runtime, roots=engine.roots, runtimes=table.runtimes)
    for mount in spec.mounts:
        if mount.type == "bind":
            _check_source(mount.source, link="no-dereference" in mount.options)
        check_mount(engine, mount)
    if spec.devices:
        from podlike.engine import cdi

        cdi.check(engine, spec)
    return warnings


def refuse_unfit_for_updates(spec: ContainerSpec) -> None:
    """Raises: UsageError for auto-updates from a registry with a name that does not say which one."""
    if spec.labels.get("io.containers.autoupdate") not in ("registry", "image"):
        return
    from podlike.spec.reference import is_short

    transport, colon, _ = spec.image.partition(":")
    if colon and transport in _ELSEWHERE:
        raise UsageError(f'auto updates require the docker image transport but image is of transport "{transport}"',
                         hint="Name an image in a registry, or use the label io.containers.autoupdate=local.")
    if is_short(spec.image.removeprefix("docker://")):
        # podman's line, and nothing below it, is what scripts compare.
        raise UsageError(f'short name: auto updates require fully-qualified image reference: "{spec.image}"')


def _check_source(path: str, *, link: bool) -> None:
    """link: what is mounted is a symbolic link itself, which may lead anywhere."""
    try:
        os.stat(path, follow_symlinks=not link)
    except FileNotFoundError:
        pattern = any(c in path for c in "*?[")  # who wrote that meant other names: there is nothing to make
        raise UsageError(f"statfs {path}: no such file or directory",
                         hint=None if pattern else f"Create it first (`mkdir -p {path}`), or use a named volume.") from None
    except OSError as e:
        blocked = _unreadable_part(path)
        raise UsageError(f"use volume source {path}: {blocked}: {e.strerror.lower() if e.strerror else e}",
                         hint=f"Give yourself access to {blocked}, or choose another directory.") from None


def _unreadable_part(path: str) -> str:
    """The first directory on the way that we may not enter."""
    parts = path.strip("/").split("/")
    for n in range(1, len(parts)):
        directory = "/" + "/".join(parts[:n])
        if not os.access(directory, os.X_OK):
            return directory
    return path


def take_volumes(engine: Engine, spec: ContainerSpec) -> None:
    """--volumes-from: the bind mounts and volumes of other containers, where this one asks for nothing itself."""
    from podlike.engine.query import find

    for item in spec.volumes_from:
        name, _, words = item.partition(":")
        options = [word for word in words.split(",") if word]
        if unknown := set(options) - {"ro", "rw", "z"}:
            raise UsageError(f"use volumes from {name}: unknown option {min(unknown)}", hint="Options are ro, rw and z.")
        taken = {mount.target for mount in spec.mounts} | set(spec.tmpfs)
        for mount in find(engine, name).spec.mounts:
            if mount.type in ("bind", "volume") and mount.target not in taken:
                # "anonymous" stays behind: the volume goes with the container it was made for.
                kept = [o for o in mount.options if o != "anonymous" and not (o in ("ro", "rw") and {"ro", "rw"} & set(options))]
                spec.mounts.append(Mount(type=mount.type, source=mount.source, target=mount.target, options=kept + options))
        mounted = {mount.target for mount in spec.mounts}
        spec.image_volumes = [target for target in spec.image_volumes if target not in mounted]


def name_volumes(container: Container) -> None:
    spec = container.spec
    spec.mounts += [Mount(type="volume", target=target) for target in spec.image_volumes]
    for mount in spec.mounts:
        if mount.type == "volume" and not mount.source:
            from podlike.engine.volumes import anonymous_name

            mount.source = anonymous_name()
            mount.options.append("anonymous")


def make_volumes(engine: Engine, container: Container) -> None:
    for mount in container.spec.mounts:
        if mount.type == "volume":
            from podlike.engine.volumes import ensure_volume

            ensure_volume(engine, mount.source, anonymous="anonymous" in mount.options)


def _fill_volumes(engine: Engine, container: Container) -> None:
    """What a start does for new volumes: they get what the image has at their place."""
    volumes = [m for m in container.spec.mounts if m.type == "volume"]
    if not volumes:
        return
    from podlike.engine import volumemount
    from podlike.engine.mountsources import Sources
    from podlike.engine.rootfs import mount_rootfs
    from podlike.engine.users import identify
    from podlike.runtime import spawn

    engine.enter_session()
    root_fd = os.open(mount_rootfs(engine, container), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sources = Sources(engine, container, root_fd, identify(root_fd, container.spec)[0])
        for mount in volumes:
            sources.volume(mount)
    finally:
        os.close(root_fd)
        volumemount.release(engine, container)
        spawn.umount(f"{engine.roots.container(container.id)}/merged")


def _add(engine: Engine, container: Container, *, generated: bool) -> None:
    for _ in range(8 if generated else 0):
        try:
            engine.containers.add(container)
            return
        except ConflictError:
            container.name = container.spec.name = random_name()
    engine.containers.add(container)
