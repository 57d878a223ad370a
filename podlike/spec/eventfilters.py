"""`events --filter`: which events pass. Keys are ANDed, the values of one key ORed."""

from podlike.errors import UsageError
from podlike.spec.events import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

# What docker calls differently.
_DOCKER_WORDS: "Final" = {"die": "died", "destroy": "remove", "delete": "remove", "exec_die": "exec_died",
                          "exec_start": "exec", "load": "loadfromarchive"}


def event_filter(items: "Iterable[str]", *, since: float = 0.0, until: float = 0.0) -> "Callable[[Event], bool]":
    """A test for events from what was typed after --filter. since, until: Unix seconds, 0.0: no limit.

    Raises: UsageError.
    """
    tests: "dict[str, list[tuple[Callable[[Event, str], bool], str]]]" = {}
    for item in items:
        key, equals, value = item.partition("=")
        test = _TESTS.get(key.lower())
        if not equals or test is None:
            raise UsageError(f"failed to parse event filters: {key if equals else item} is an invalid filter",
                             hint=f"Write KEY=VALUE; keys are {', '.join(sorted(_TESTS))}.")
        tests.setdefault(key.lower().replace("status", "event"), []).append((test, value))
    begin, end = since * 1e9, until * 1e9

    def passes(event: Event) -> bool:
        if (begin and event.time <= begin) or (end and event.time >= end):
            return False
        return all(any(test(event, value) for test, value in group) for group in tests.values())

    return passes


def _named(kind: str) -> "Callable[[Event, str], bool]":
    """An object of that type, by its name or the beginning of its id."""
    return lambda event, value: event.type == kind and (event.name == value or event.id.startswith(value))


def _volume(event: Event, value: str) -> bool:
    return event.type == "volume" and event.name.startswith(value)


def _network(event: Event, value: str) -> bool:
    return event.type == "network" and (event.network == value or event.id.startswith(value))


def _status(event: Event, value: str) -> bool:
    head, _, detail = value.partition(": ")  # docker's "health_status: healthy"
    if head == "health_status" and detail:
        return event.status == head and event.health_status == detail
    return event.status == value or event.status == _DOCKER_WORDS.get(value)


def _label(event: Event, value: str) -> bool:
    key, equals, wanted = value.partition("=")
    have = (event.attributes or {}).get(key)
    return have is not None and (not equals or have == wanted)


_TESTS: "Final[dict[str, Callable[[Event, str], bool]]]" = {
    "container": _named("container"), "image": _named("image"), "pod": _named("pod"), "volume": _volume, "network": _network,
    "secret": _named("secret"), "event": _status, "status": _status, "label": _label,
    "type": lambda event, value: event.type == value,
    "health_status": lambda event, value: event.health_status == value,
    "daemon": lambda event, value: False,  # there is none
    "scope": lambda event, value: value == "local",
}
