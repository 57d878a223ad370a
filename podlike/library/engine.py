"""Engine: one user's podlike for Python programs, and for the command line."""

import os

from podlike.engine.core import Engine as Core
from podlike.library.calling import NeedsSession
from podlike.library.containers import Containers
from podlike.paths import Roots, default_roots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn, Self

    from podlike.library.child import Children
    from podlike.library.images import Images
    from podlike.library.networks import Networks
    from podlike.library.pods import Pods
    from podlike.library.system import System
    from podlike.library.volumes import Volumes


class Engine:
    """One user's podlike: `containers`, `images`, `volumes`, `pods`, `networks` and `system` have the verbs.

    Making one opens nothing. It may be used from several threads, and after a fork on both sides. close(), or the end
    of a `with` block, ends the helper process that is kept ready; the engine can be used again afterwards.

    root, runroot: directories of the store and of volatile state; None: $PODLIKE_ROOT, $PODLIKE_RUNROOT or the user's
    usual ones. storage_driver, storage_options, cgroup_manager, events_backend, conmon, volume_path: as the global options of the
    same names of the command line, "" what the configuration says.
    """

    def __init__(self, *, root: "str | os.PathLike[str] | None" = None, runroot: "str | os.PathLike[str] | None" = None,
                 storage_driver: str = "", storage_options: "Sequence[str]" = (), cgroup_manager: str = "",
                 events_backend: str = "", conmon: str = "", volume_path: str = "") -> None:
        usual = default_roots()
        self.direct = False
        self._settings: "dict[str, Any]" = {
            "data": os.path.abspath(root) if root else usual.data, "run": os.path.abspath(runroot) if runroot else usual.run,
            "storage_driver": storage_driver, "storage_opts": tuple(storage_options), "cgroups": cgroup_manager,
            "events": events_backend, "conmon": conmon, "volumes_root": volume_path}
        self._own_core: "Core | None" = None
        self._here: "Any" = None  # threading.local: the core of each thread
        self._children: "Children | None" = None
        _messages_to_logging()

    @classmethod
    def around(cls, core: Core) -> "Self":
        """The engine of a process that is there for its verbs alone, as the command line is: they run in it."""
        engine = cls.__new__(cls)
        engine.direct, engine._own_core, engine._here, engine._children, engine._settings = True, core, None, None, {}
        return engine

    @property
    def containers(self) -> Containers:
        return Containers(self)

    @property
    def images(self) -> "Images":
        from podlike.library.images import Images

        return Images(self)

    @property
    def volumes(self) -> "Volumes":
        from podlike.library.volumes import Volumes

        return Volumes(self)

    @property
    def pods(self) -> "Pods":
        from podlike.library.pods import Pods

        return Pods(self)

    @property
    def networks(self) -> "Networks":
        from podlike.library.networks import Networks

        return Networks(self)

    @property
    def system(self) -> "System":
        from podlike.library.system import System

        return System(self)

    def close(self) -> None:
        """End the helper process that is kept ready, and forget what this thread has opened."""
        if self._children is not None:
            self._children.close()
        if self._here is not None:
            self._here.core = None

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def core(self) -> Core:
        """This thread's inner engine. One that was opened before a fork is the parent's and never used again."""
        if self._own_core is not None:
            return self._own_core
        if self._here is None:
            import threading

            self._here = threading.local()
        here = self._here
        if getattr(here, "core", None) is None or here.pid != os.getpid():
            if getattr(here, "core", None) is not None:
                _left_alone.append(here.core)  # closing it would be felt by the process that we were forked from
            here.core, here.pid = _ReadingCore(**core_settings(self._settings)), os.getpid()
        found: Core = here.core
        return found

    @property
    def children(self) -> "Children":
        if self._children is None:
            from podlike.library.child import Children

            self._children = Children(self._settings)
        return self._children


class _ReadingCore(Core):
    """Never joins the session: this process is not ours."""

    def enter_session(self) -> "NoReturn":
        raise NeedsSession("join the session in a program that uses the library")


_left_alone: "list[Core]" = []


def core_settings(settings: "dict[str, Any]") -> "dict[str, Any]":
    """The keywords of engine.core.Engine."""
    rest = {k: v for k, v in settings.items() if k not in ("data", "run")}
    return {"roots": Roots(data=settings["data"], run=settings["run"]), **rest}


def _messages_to_logging() -> None:
    """Warnings go to the logger "podlike", not to the program's standard error."""
    from podlike import log

    def send(level: str, text: str) -> None:
        import logging

        logging.getLogger("podlike").log(logging.DEBUG if level == "trace" else getattr(logging, level.upper()), text)

    log.set_sink(send)
