"""A command line as it was typed, taken apart into flags and arguments without losing a word of it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import NamedTuple
else:
    from podlike.spec.record import NamedTuple


class Known(NamedTuple):
    """The flags of a command: every spelling without dashes -> (name, whether it is a bool)."""

    long: "Mapping[str, tuple[str, bool]]"
    short: "Mapping[str, tuple[str, bool]]"


class Typed(NamedTuple):
    """One or two words of a command line. values: (name, value as text) of the flags in them, several for `-itd`."""

    words: "tuple[str, ...]"
    values: "tuple[tuple[str, str], ...]"

    def has(self, names: "Iterable[str]") -> bool:
        return any(name in names for name, _ in self.values)


class CommandLine(NamedTuple):
    """root: the words between the program and the verb. arguments: from the first that is no flag on."""

    root: list[str]
    flags: list[Typed]
    arguments: list[str]

    def values(self, name: str) -> list[str]:
        """All values of a flag, in order; "true" and "false" for a bool."""
        return [value for typed in self.flags for key, value in typed.values if key == name]

    def last(self, name: str) -> str | None:
        found = self.values(name)
        return found[-1] if found else None

    def is_set(self, name: str) -> bool:
        """Of a bool."""
        return (self.last(name) or "false") in ("true", "1", "t", "T", "TRUE", "True")


def take_apart(words: "Iterable[str]", known: Known) -> tuple[list[Typed], list[str]]:
    """(flags, arguments), as pflag reads them when flags must come first. A word that it does not know is a flag of its own."""
    rest = list(words)
    flags: list[Typed] = []
    while rest and len(rest[0]) > 1 and rest[0][0] == "-":
        word = rest.pop(0)
        if word == "--":
            flags.append(Typed((word,), ()))
            break
        values, wants = _long(word, known) if word[1] == "-" else _shorts(word, known)
        if wants and rest:
            value = rest.pop(0)
            flags.append(Typed((word, value), (*values, (wants, value))))
        else:
            flags.append(Typed((word,), tuple(values)))
    return flags, rest


def _long(word: str, known: Known) -> tuple[list[tuple[str, str]], str]:
    """(flags with their values, the name of the one whose value is the next word or "")."""
    spelling, equals, value = word[2:].partition("=")
    name, is_bool = known.long.get(spelling, (spelling, True))
    if equals:
        return [(name, value)], ""
    return ([(name, "true")], "") if is_bool else ([], name)


def _shorts(word: str, known: Known) -> tuple[list[tuple[str, str]], str]:
    values: list[tuple[str, str]] = []
    for n, letter in enumerate(word[1:], start=2):
        name, is_bool = known.short.get(letter, (letter, True))
        after = word[n:]
        if after[:1] == "=":
            return [*values, (name, after[1:])], ""
        if not is_bool:
            return ([*values, (name, after)], "") if after else (values, name)
        values.append((name, "true"))
    return values, ""
