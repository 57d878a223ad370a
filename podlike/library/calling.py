"""Where a verb runs.

Verbs that touch containers or layers need the user's session: they join its namespaces, which is an act of a whole
process with one thread and cannot be undone. A program that uses the library may have threads, and keeps its
namespaces: its verbs run in a process of their own (child.py). The command line is itself such a process; there the
same methods are called directly.
"""

from podlike.errors import PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Concatenate, ParamSpec, TypeVar

    from podlike.engine.core import Engine as Core
    from podlike.library.engine import Engine

    P = ParamSpec("P")
    R = TypeVar("R")
    G = TypeVar("G", bound="Group")


class NeedsSession(PodlikeError):
    """A verb that was thought to read only has to join the session."""


class Group:
    """Verbs about one kind of object: engine.containers, engine.images ..."""

    __slots__ = ("_engine",)
    name = ""  # the attribute of Engine

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    @property
    def _core(self) -> "Core":
        return self._engine.core


def in_session(method: "Callable[Concatenate[G, P], R]") -> "Callable[Concatenate[G, P], R]":
    """The verb runs where the session can be joined: in the command line's process, or in one of its own."""
    verb = method.__name__

    def called(self: "G", *args: "P.args", **kwargs: "P.kwargs") -> "R":
        if self._engine.direct:
            return method(self, *args, **kwargs)
        return elsewhere(self, verb, args, dict(kwargs))  # type: ignore[no-any-return]

    return _like(called, method)  # type: ignore[no-any-return]


def reading(method: "Callable[Concatenate[G, P], R]") -> "Callable[Concatenate[G, P], R]":
    """The verb runs here, unless it turns out to need the session."""
    verb = method.__name__

    def called(self: "G", *args: "P.args", **kwargs: "P.kwargs") -> "R":
        if self._engine.direct:
            return method(self, *args, **kwargs)
        try:
            return method(self, *args, **kwargs)
        except NeedsSession:
            return elsewhere(self, verb, args, dict(kwargs))  # type: ignore[no-any-return]

    return _like(called, method)  # type: ignore[no-any-return]


def elsewhere(group: Group, verb: str, args: "tuple[Any, ...]", kwargs: "dict[str, Any]") -> "Any":
    """The verb's result from a process of its own. Raises: what the verb raises there."""
    progress = kwargs.pop("progress", None)
    return group._engine.children.call(group.name, verb, tuple(map(_sent, args)), {k: _sent(v) for k, v in kwargs.items()},
                                       progress=progress)


def _sent(value: "Any") -> "Any":
    """A container goes as its id: its record is read again over there."""
    from podlike.engine.psrows import Row
    from podlike.store.containers import Container

    return value.c.id if isinstance(value, Row) else value.id if isinstance(value, Container) else value


def _like(called: "Any", method: "Any") -> "Any":
    for name in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__"):
        setattr(called, name, getattr(method, name))
    called.__wrapped__ = method
    return called
