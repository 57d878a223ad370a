"""RUN: a container over the stage's image, whose changes become the next layer."""

import os
import stat
from contextlib import ExitStack, contextmanager

from podlike.build.mounts import MountRequest, prepare
from podlike.build.rootview import RootView
from podlike.engine.core import Engine
from podlike.engine.newimage import NewLayer
from podlike.errors import PodlikeError, RuntimeFailure
from podlike.spec.attach import Attach
from podlike.spec.container import ContainerSpec, Mount
from podlike.transports.sending import nameless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final, NamedTuple

    from podlike.build.mounts import Sources
    from podlike.store.containers import Container
else:
    from podlike.spec.record import NamedTuple


class Running(NamedTuple):
    """One RUN. image: id; layers: its diff IDs. argv: the command. env: all of it. mounts: of --mount. network: of
    --network, "" for the build's. insecure: --security=insecure. script: text of a here-document that is a program, to be
    found at SCRIPT."""

    image: str
    layers: "list[str]"
    argv: "Sequence[str]"
    env: "dict[str, str]"
    user: str
    workdir: str
    mounts: "Sequence[MountRequest]" = ()
    network: str = ""
    insecure: bool = False
    script: str = ""


class RunFailed(PodlikeError):
    """The command of a RUN ended with another code than 0."""

    def __init__(self, shown: str, code: int) -> None:
        super().__init__(f"while running runtime: exit status {code}")
        self.exit_code = code
        self.shown = shown


def run(engine: Engine, running: Running, template: ContainerSpec, sources: "Sources") -> NewLayer:
    """Returns the layer; its fd is the caller's to close (os.close(layer.fd)).

    template: limits, capabilities and the rest that all RUNs have. Raises: RunFailed, and what a start raises.
    """
    from podlike.engine.create import create
    from podlike.engine.remove import remove
    from podlike.engine.start import start

    with ExitStack() as stack:
        stack.enter_context(_silent(engine))
        spec = ContainerSpec.from_dict(template.to_dict())
        prepared = prepare(stack, engine, running.mounts, sources)
        mounts, env = list(prepared.mounts), {**running.env, **prepared.env}
        argv = list(running.argv)
        if running.script:
            path = _script(stack, engine, running.script)
            mounts.append(Mount(type="bind", source=path, target=SCRIPT, options=["ro"]))
        spec.name = f"{os.urandom(6).hex()}-working-container"
        spec.image, spec.entrypoint, spec.command = running.image, [], argv
        spec.env, spec.user, spec.workdir = env, running.user or "0", running.workdir
        spec.mounts = [*spec.mounts, *mounts]
        spec.no_health, spec.log_driver, spec.stop_timeout = True, "none", 0
        spec.image_volume_mode = "ignore"  # what is written to a VOLUME is part of the image, as podman has it
        spec.network = running.network or spec.network
        spec.bound = True
        points = _mount_points(engine, running.layers, [m.target for m in mounts])
        if running.insecure:
            spec.privileged = True
        container = create(engine, spec, pull_policy="never", for_run=True)
        try:
            try:
                code = start(engine, container, attach=Attach(), discard=False)
            except RuntimeFailure as e:
                e.exit_code = 1
                raise
            if code:
                raise RunFailed(" ".join(argv), code)
            return _packed(engine, container, points)
        finally:
            again = engine.containers.get(container.id)
            if again is not None:
                remove(engine, again, force=True, volumes=True, timeout=0)


@contextmanager
def _silent(engine: Engine) -> "Iterator[None]":
    """No events: these containers are nobody's."""
    before, engine.events = engine.events, "none"
    try:
        yield
    finally:
        engine.events = before


SCRIPT: "Final" = "/.podlike-build-script"
# What every container gets; an image of an empty directory tree does not have them.
_ALWAYS: "Final" = ("/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/run/.containerenv", "/run/secrets", "/dev", "/proc",
                    "/sys")


def _script(stack: ExitStack, engine: Engine, text: str) -> str:
    path = f"{engine.roots.run}/builds/{os.getpid()}-{os.urandom(4).hex()}-script"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "w") as f:
        stack.callback(os.unlink, path)
        f.write(text)
    os.chmod(path, 0o755)
    return path


def _packed(engine: Engine, container: "Container", points: "Sequence[str]") -> NewLayer:
    from podlike.engine.commit import pack_changes

    upper = f"{engine.roots.container(container.id)}/upper"
    if os.path.isdir(upper):
        for path in sorted(points, reverse=True):
            _drop_empty(upper, [part for part in path.split("/") if part])
    kept = nameless(engine.roots.tmp)
    try:
        diff_id = pack_changes(engine, container, kept)
        return NewLayer(kept, diff_id, f"layer of {container.name}")
    except BaseException:
        os.close(kept)
        raise


def _mount_points(engine: Engine, layers: "list[str]", targets: "Sequence[str]") -> list[str]:
    """Paths that are made only to mount something on them, by us or by the runtime: the image does not have them. They do
    not become part of it, unless something was put there."""
    out = list(_ALWAYS)
    if not targets:
        return out
    with RootView(engine, layers, name="build") as view:
        for target in targets:
            path = target
            while path != "/" and view.resolve(path)[1] is None:
                out.append(path)
                path = os.path.dirname(path)
    return out


def _drop_empty(upper: str, parts: "list[str]") -> None:
    """The last part, if it is an empty file or an empty directory that the image does not have."""
    directory = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            try:
                deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            except OSError:
                return
            os.close(directory)
            directory = deeper
        try:
            st = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
            if stat.S_ISREG(st.st_mode) and not st.st_size:
                os.unlink(parts[-1], dir_fd=directory)
            elif stat.S_ISDIR(st.st_mode):
                os.rmdir(parts[-1], dir_fd=directory)
        except OSError:
            pass  # it has something in it, or is not there
    finally:
        os.close(directory)
