"""--filter of `images` and `image prune`."""

from podlike.engine.core import Engine
from podlike.errors import NotFoundError, UsageError
from podlike.spec.durations import parse_time
from podlike.spec.filters import apply_filters, label_matches, parse_filters
from podlike.store.images import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def select(engine: Engine, images: list[Image], filters: "Iterable[str]") -> list[Image]:
    """The images that pass all filters. Raises: UsageError, NotFoundError for before=IMAGE and since=IMAGE."""
    wanted = parse_filters(filters)
    limits = {(key, value): _created(engine, value)
              for key in ("before", "since", "after") for value in wanted.get(key, ())}
    used = {c.image for c in engine.containers.all()} if "containers" in wanted else set()
    predicates: "dict[str, Callable[[Image, str], bool]]" = {
        "dangling": lambda i, v: (not i.names) == _bool("dangling", v),
        "label": lambda i, v: label_matches(_labels(i), v),
        "label!": lambda i, v: not label_matches(_labels(i), v),
        "before": lambda i, v: i.created < limits["before", v],
        "since": lambda i, v: i.created > limits["since", v],
        "after": lambda i, v: i.created > limits["after", v],
        "until": lambda i, v: i.created < parse_time(v),
        "id": lambda i, v: i.id.startswith(v.removeprefix("sha256:")),
        "digest": lambda i, v: any(d.partition("@")[2].startswith(v) for d in (f"@{i.manifest_digest}", *i.digests)),
        "reference": reference_matches,
        "containers": lambda i, v: (i.id in used) == _bool("containers", v),
        "intermediate": lambda i, v: not _bool("intermediate", v),
        "manifest": lambda i, v: not _bool("manifest", v),
        "readonly": lambda i, v: not _bool("readonly", v),
    }
    return apply_filters(images, wanted, predicates)


def reference_matches(image: Image, pattern: str) -> bool:
    """PATTERN as docker and podman take it: a name, whole or from any slash on, with * and ?; tag or not."""
    return any(name_matches_reference(name, pattern) for name in image.names)


def name_matches_reference(name: str, pattern: str) -> bool:
    """One full name against such a pattern."""
    from fnmatch import fnmatchcase

    return any(fnmatchcase(tail, pattern) for tail in _tails(name))


def _tails(name: str) -> list[str]:
    """docker.io/library/x:1 -> itself, library/x:1, x:1, and each without the tag."""
    out = []
    rest = name
    while rest:
        out += [rest, rest.rpartition(":")[0]]
        rest = rest.partition("/")[2]
    return out


def _labels(image: Image) -> "dict[str, str]":
    return (image.config.get("config") or {}).get("Labels") or {}


def _bool(key: str, value: str) -> bool:
    if value.lower() in ("1", "t", "true"):
        return True
    if value.lower() in ("0", "f", "false"):
        return False
    raise UsageError(f'use filter {key}: "{value}" is neither true nor false')


def _created(engine: Engine, name: str) -> float:
    from podlike.engine.images import find

    try:
        return find(engine, name)[0].created
    except NotFoundError as e:
        raise NotFoundError(f"filter images: {e.message}") from None
