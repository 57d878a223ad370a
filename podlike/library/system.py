"""engine.system: events, disk usage, information about host and store."""

from podlike.library.calling import Group, in_session, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from podlike.engine.prune import Pruned
    from podlike.engine.usage import Usage
    from podlike.spec.events import Event


class System(Group):
    """Verbs about all of podlike."""

    __slots__ = ()
    name = "system"

    def events(self, *, filters: "Iterable[str] | Mapping[str, str]" = (), since: float = 0.0, until: float = 0.0,
               stream: bool = True) -> "Iterator[Event]":
        """What happened, oldest first: Event with type, status, id, name, image, exit_code, attributes, time (ns since 1970).

        since, until: Unix seconds, 0: no limit. stream: go on with what happens from now on, until `until` if given;
        without since and until only that. filters: keys as of `events --filter`.
        Raises: UsageError for a bad filter, or where no events are kept. The iterator belongs to the thread that uses it first.
        """
        from podlike.library.containers import filter_words
        from podlike.spec.eventfilters import event_filter

        return self.events_that(event_filter(filter_words(filters), since=since, until=until), since=since, until=until,
                                stream=stream)

    def events_that(self, passes: "Callable[[Event], bool]", *, since: float = 0.0, until: float = 0.0,
                    stream: bool = True) -> "Iterator[Event]":
        from podlike.engine.eventread import read

        yield from read(self._core, passes=passes, since=since, until=until, stream=stream)

    @reading
    def info(self) -> "dict[str, Any]":
        """Host, store, registries and versions: the document of `info --format json`."""
        from podlike.engine.info import describe

        return describe(self._core)

    @in_session
    def df(self) -> "Usage":
        """What images, containers and volumes take on the disk, in bytes."""
        from podlike.engine.usage import measure

        return measure(self._core)

    @in_session
    def prune(self, *, all: bool = False, volumes: bool = False, filters: "Iterable[str] | Mapping[str, str]" = ()) -> "Pruned":
        """Remove what is not used: (containers, images, volumes, freed in bytes, failed). all: also images that have names.

        Raises: UsageError for a bad filter, before anything has gone.
        """
        from podlike.engine.prune import system
        from podlike.library.containers import filter_words

        return system(self._core, every=all, volumes=volumes, filters=filter_words(filters))
