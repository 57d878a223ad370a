"""--filter key=value: several keys are ANDed, the values of one key ORed; `label!=` turns a test around.

What a key means is told by a table of predicates (key -> function of object and value) that each list brings.
"""

import re

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")


def parse_filters(items: "Iterable[str]") -> "dict[str, list[str]]":
    """["status=exited", "label!=a=b"] -> {"status": ["exited"], "label!": ["a=b"]}. Raises: UsageError."""
    out: dict[str, list[str]] = {}
    for item in items:
        key, eq, value = item.partition("=")
        if not eq or not key:
            raise UsageError(f'invalid filter "{item}"', hint="Write --filter KEY=VALUE.")
        out.setdefault(key, []).append(value)
    return out


def apply_filters(objects: "Iterable[T]", filters: "Mapping[str, list[str]]",
                  predicates: "Mapping[str, Callable[[T, str], bool]]") -> "list[T]":
    """The objects that pass. Raises: UsageError for a key without a predicate."""
    for key in filters:
        if key not in predicates:
            raise UsageError(f"{key} is an invalid filter",
                             hint=f"Filters here are {', '.join(sorted(predicates))}.")
    found = list(objects)
    for key, values in filters.items():
        test = predicates[key]
        # labels are the exception: each of them must be there
        combine: Any = all if key in ("label", "label!") else any
        found = [o for o in found if combine(test(o, v) for v in values)]
    return found


def label_matches(labels: "Mapping[str, str]", value: str) -> bool:
    """KEY or KEY=VALUE; a trailing * in either part stands for anything."""
    key, eq, wanted = value.partition("=")
    return any(_glob(key, have) and (not eq or _glob(wanted, content)) for have, content in labels.items())


def _glob(pattern: str, text: str) -> bool:
    if "*" not in pattern:
        return pattern == text
    return re.fullmatch(".*".join(re.escape(p) for p in pattern.split("*")), text, re.S) is not None


def name_matches(pattern: str, *texts: str) -> bool:
    """The pattern as a regular expression somewhere in one of the texts. Raises: UsageError."""
    try:
        compiled = re.compile(pattern)
    except re.error as e:
        raise UsageError(f'use "{pattern}" as a filter: {e}', hint="It is a regular expression.") from None
    return any(compiled.search(text) for text in texts)
