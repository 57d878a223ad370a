"""What all commands of one process share. Needs no click, so that the monitor's exit command does not either."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from podlike.engine.core import Engine
    from podlike.library.engine import Engine as Library


class Session:
    """The program's name, the global options, and the engine they lead to.

    prog: podlike, podman or docker, the name it was called by. docker: follow docker where it differs from podman.
    """

    def __init__(self, prog: str) -> None:
        self.prog = prog
        self.docker = prog == "docker"
        self.options: "dict[str, Any]" = {}
        self.command_path = prog
        self.make_engine: "Callable[[Session], Engine] | None" = None
        self._engine: "Engine | None" = None

    @property
    def engine(self) -> "Engine":
        if self._engine is None:
            self._engine = self.new_engine()
        return self._engine

    @property
    def api(self) -> "Library":
        from podlike.library.engine import Engine as Library

        return Library.around(self.engine)

    def new_engine(self) -> "Engine":
        """Another engine on the same store: a thread needs one of its own (sqlite3 connections stay in their thread)."""
        if self.make_engine is not None:
            return self.make_engine(self)
        from podlike.engine.core import Engine

        return Engine()
