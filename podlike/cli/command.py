"""What every command is made of: Flag, Command, Call.

A command module holds one function and one Command:

    def rename(call: Call) -> int | None:
        ...call.args, call.opts.force, call.changed("tail"), call.engine, call.out("text")

    command = Command("rename", rename, usage="CONTAINER NAME", args=exactly(2),
                      summary="Rename an existing container", flags=(...), examples=("rename old new",))

The function returns the exit code (None: 0) or raises a PodlikeError. Flags are parsed the way podman's parser
(pflag) does it: `-itd` bundles, `-n1` and `-n=1`, `--opt value` and `--opt=value`, `--rm=false`, the last value
wins for plain values, `--` ends options, and a flag that takes a value takes the next word whatever it looks like.
Errors have podman's words, because scripts and test suites read them.

Nothing here needs click: cli/tree.py makes click's commands and options from these rows when help, completion or an
unknown command asks for them, so that a command that is simply run does not pay click's import.
"""

import sys

from podlike.cli.session import Session
from podlike.errors import PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, NoReturn, TypeVar

    from podlike.engine.core import Engine
    from podlike.library.engine import Engine as Library

    T = TypeVar("T")
    Check = Callable[["Call"], None]

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
# kind -> the word that help shows for a value
_TYPE_WORDS = {"string": "string", "array": "stringArray", "strings": "strings", "int": "int", "uint": "uint",
               "uints": "uints", "float": "float", "duration": "duration"}


class Flag:
    """One option of a command.

    kind: bool; string; int; uint; float; duration (kept as typed, checked); array (repeatable, each value as it is);
    strings (repeatable, each value is split at commas); uints (the same, of numbers).
    metavar: what help shows for the value, instead of the kind. default: used when not given, shown in help unless
    it is empty, or default_text instead of it. aliases: other long spellings, not shown. bare: what the flag means
    when no value stands behind it with an equals sign; "": it takes the next word.
    """

    __slots__ = ("name", "short", "kind", "help", "default", "metavar", "hidden", "aliases", "dest", "default_text", "bare")

    def __init__(self, name: str, short: str = "", kind: str = "bool", help: str = "", default: "Any" = None, *,
                 metavar: str = "", hidden: bool = False, aliases: "tuple[str, ...]" = (), dest: str = "",
                 default_text: str = "", bare: str = "") -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.help = help
        self.default = default
        self.metavar = metavar
        self.hidden = hidden
        self.aliases = aliases
        self.dest = dest or name.replace("-", "_")
        self.default_text = default_text
        self.bare = bare

    @property
    def spelling(self) -> str:
        """How error messages name it: "-m, --memory" or "--memory"."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"

    def initial(self) -> "Any":
        if self.default is not None:
            return self.default
        kind = self.kind
        if kind == "bool":
            return False
        if kind in ("array", "strings", "uints"):
            return []
        return "" if kind in ("string", "duration") else 0

    def convert(self, text: str) -> "Any":
        """The value of one occurrence. Raises: ValueError with the reason in Go's words."""
        kind = self.kind
        if kind in ("string", "array"):
            return text
        if kind == "bool":
            if text in _TRUE:
                return True
            if text in _FALSE:
                return False
            raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
        if kind == "strings":
            return split_commas(text)
        if kind == "uints":
            return [_number(part, "uint") for part in text.split(",")]
        if kind == "duration":
            from podlike.spec.durations import parse_duration

            try:
                parse_duration(text)
            except PodlikeError as e:
                raise ValueError(e.message) from None
            return text
        return _number(text, kind)


def _number(text: str, kind: str) -> "Any":
    if kind == "float":
        try:
            return float(text)
        except ValueError:
            raise ValueError(f'strconv.ParseFloat: parsing "{text}": invalid syntax') from None
    go = "ParseUint" if kind == "uint" else "ParseInt"
    try:
        if not text.isascii() or text != text.strip():
            raise ValueError
        octal = len(text) > 1 and text[0] == "0" and text.isdigit()  # Go's base 0: a leading zero means octal
        value = int(text, 8 if octal else 0)
    except ValueError:
        raise ValueError(f'strconv.{go}: parsing "{text}": invalid syntax') from None
    if kind == "uint" and (value < 0 or text[0] in "+-"):
        raise ValueError(f'strconv.{go}: parsing "{text}": invalid syntax')
    if not -(1 << 63) <= value < 1 << 64:
        raise ValueError(f'strconv.{go}: parsing "{text}": value out of range')
    return value


def split_commas(text: str) -> list[str]:
    """Split one value at commas; parts may be quoted as in CSV."""
    if '"' not in text:
        return text.split(",") if text else []
    import csv

    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as e:
        raise ValueError(f"parse error on line 1: {e}") from None


class Options:
    """The values of all flags of a command, as attributes (`--stop-timeout` is stop_timeout)."""

    if TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def __init__(self, values: "dict[str, Any]") -> None:
        self.__dict__.update(values)


class Call:
    """One invocation of a command: its options, arguments, and the engine."""

    __slots__ = ("command", "path", "opts", "args", "session", "_given")

    def __init__(self, command: "Command", path: str, opts: Options, args: list[str], given: set[str],
                 session: Session) -> None:
        self.command = command
        self.path = path
        self.opts = opts
        self.args = args
        self.session = session
        self._given = given

    def changed(self, name: str) -> bool:
        """Whether the user gave the flag (long name)."""
        return name in self._given

    def changed_any(self, names: "frozenset[str]") -> bool:
        """Whether the user gave one of these flags."""
        return not names.isdisjoint(self._given)

    @property
    def given(self) -> "frozenset[str]":
        """Long names of the flags that the user gave."""
        return frozenset(self._given)

    @property
    def engine(self) -> "Engine":
        return self.session.engine

    @property
    def api(self) -> "Library":
        """The same verbs as Python programs have (docs/LIBRARY.md), here in this process."""
        return self.session.api

    @property
    def docker(self) -> bool:
        return self.session.docker

    def out(self, text: str, end: str = "\n") -> None:
        """Write a line to standard output."""
        sys.stdout.write(text + end)

    def each(self, items: "Iterable[T]", action: "Callable[[T], Any]") -> int:
        """Apply action to every item, printing each failure and going on; the exit code of the last failure.

        What action returns is printed unless it is None.
        """
        code = 0
        for item in items:
            try:
                result = action(item)
            except PodlikeError as e:
                code = self.complain(e)
            else:
                if result is not None:
                    self.out(str(result))
        return code

    def complain(self, error: PodlikeError) -> int:
        """Print an error, in docker's words when called so; returns the exit code that goes with it."""
        if not self.docker:
            print_error(error)
            return error.exit_code
        from podlike.cli.dockerwords import code_of, text_of

        sys.stdout.flush()
        sys.stderr.write(text_of(error, self.path) + "\n")
        return code_of(error, self.path.rpartition(" ")[2])


def print_error(error: PodlikeError) -> None:
    """Write "Error: message" and the hint to standard error, after all output so far."""
    sys.stdout.flush()
    hint = f"\nHint: {error.hint}" if error.hint else ""
    sys.stderr.write(f"Error: {error.message}{hint}\n")


# How many arguments a command takes; the words are those of podman's own checks and cobra's.

def no_args(call: Call) -> None:
    if call.args:
        raise UsageError(f"`{call.path}` takes no arguments")


def exactly(count: int) -> "Check":
    def check(call: Call) -> None:
        if len(call.args) != count:
            raise UsageError(f"accepts {count} arg(s), received {len(call.args)}")
    return check


def at_least(count: int) -> "Check":
    def check(call: Call) -> None:
        if len(call.args) < count:
            raise UsageError(f"requires at least {count} arg(s), only received {len(call.args)}")
    return check


def at_most(count: int) -> "Check":
    def check(call: Call) -> None:
        if len(call.args) > count:
            raise UsageError(f"accepts at most {count} arg(s), received {len(call.args)}")
    return check


def between(low: int, high: int) -> "Check":
    def check(call: Call) -> None:
        if not low <= len(call.args) <= high:
            raise UsageError(f"accepts between {low} and {high} arg(s), received {len(call.args)}")
    return check


class Command:
    """A command line: flags, arguments, help, and the function that does it.

    usage: arguments in upper case, required ones first. args: checks their number. interspersed: options may
    follow arguments; False where the first argument starts another program's command line.
    cli/tree.py makes a click.Command of it, for help, completion and whoever walks the tree.
    """

    __slots__ = ("name", "run", "summary", "usage", "description", "flags", "args", "examples", "interspersed", "hidden")

    def __init__(self, name: str, run: "Callable[[Call], int | None]", *, summary: str, usage: str = "",
                 description: str = "", flags: "Sequence[Flag]" = (), args: "Check | None" = None,
                 examples: "Sequence[str]" = (), interspersed: bool = True, hidden: bool = False) -> None:
        self.name = name
        self.run = run
        self.summary = summary
        self.usage = usage
        self.description = description or summary
        self.flags = flags
        self.args = args
        self.examples = examples
        self.interspersed = interspersed
        self.hidden = hidden

    def read(self, session: Session, path: str, args: list[str]) -> "Call | None":
        """Parse what follows the command's name. None: help is asked for. Raises: UsageError.

        path: the command as typed, "podlike container ls".
        """
        session.command_path = path
        parser = Parser(self.flags, session.options or None)
        try:
            rest = parser.parse(list(args), interspersed=self.interspersed)
        except UsageError as e:
            flag_error(e, path)
        return None if parser.help else Call(self, path, Options(parser.values), rest, parser.given, session)

    def invoke(self, call: Call) -> int | None:
        if self.args is not None:
            self.args(call)
        return self.run(call)

    def help_text(self, path: str, *, modules: "Sequence[str]" = ()) -> str:
        """What --help prints, without the last newline. path: the command as typed. modules: of --module."""
        prog = path.split(" ", 1)[0]
        shown = [f for f in self.flags if not f.hidden]
        if any(f.name in ("retry", "detach-keys", "add-compression") for f in shown):
            from podlike.cli.retries import show_defaults

            show_defaults(shown, modules)
        words = [path, "[options]" if shown else "", self.usage]
        parts = [self.summary, "Description:\n  " + self.description.replace("\n", "\n  ").replace("\n  \n", "\n\n"),
                 "Usage:\n  " + " ".join(w for w in words if w)]
        if self.examples:
            parts.append("Examples:\n" + "\n".join(f"  {prog} {e}" for e in self.examples))
        if shown:
            parts.append("Options:\n" + format_flags(shown))
        return "\n\n".join(parts) + "\n"


def flag_error(error: UsageError, path: str) -> "NoReturn":
    raise UsageError(f"{error.message}\nSee '{path} --help'") from None


class Parser:
    """One pass over a command line with a set of flags.

    inherited: values of the global options, which may also follow a command; None for the global level itself.
    """

    def __init__(self, flags: "Sequence[Flag]", inherited: "dict[str, Any] | None" = None) -> None:
        self.values: "dict[str, Any]" = {}
        self.given: set[str] = set()
        self.help = False
        self._inherited = inherited
        self._long: "dict[str, Flag]" = {}
        self._short: "dict[str, Flag]" = {}
        for flag in flags:
            self.values[flag.dest] = flag.initial()
            self._long[flag.name] = flag
            if flag.short:
                self._short[flag.short] = flag
            for alias in flag.aliases:
                self._long[alias] = flag

    def parse(self, args: list[str], *, interspersed: bool) -> list[str]:
        """Take the flags out of args and return the arguments. Raises: UsageError."""
        rest: list[str] = []
        args.reverse()
        while args:
            word = args.pop()
            if len(word) < 2 or word[0] != "-":
                rest.append(word)
                if not interspersed:
                    break
            elif word == "--":
                break
            elif word[1] == "-":
                self._parse_long(word[2:], args)
            else:
                self._parse_shorts(word[1:], args)
        args.reverse()
        return rest + args

    def _parse_long(self, text: str, args: list[str]) -> None:
        name, eq, value = text.partition("=")
        if not name or name[0] in "-=":
            raise UsageError(f"bad flag syntax: --{text}")
        flag = self._long.get(name)
        target = self.values
        if flag is None:
            if name == "help":
                self.help = not eq or value in _TRUE
                return
            flag = self._global(name)
            if flag is None:
                raise UsageError(f"unknown flag: --{name}")
            assert self._inherited is not None
            target = self._inherited
        if not eq:
            if flag.kind == "bool":
                value = "true"
            elif flag.bare:
                value = flag.bare
            elif args:
                value = args.pop()
            else:
                raise UsageError(f"flag needs an argument: --{name}")
        self._set(flag, value, target)

    def _parse_shorts(self, text: str, args: list[str]) -> None:
        for i, letter in enumerate(text):
            flag = self._short.get(letter)
            if flag is None:
                if letter == "h":
                    self.help = True
                    continue
                raise UsageError(f"unknown shorthand flag: '{letter}' in -{text}")
            after = text[i + 1:]
            if after[:1] == "=":
                self._set(flag, after[1:], self.values)
                return
            if flag.kind == "bool":
                self._set(flag, "true", self.values)
            elif after:
                self._set(flag, after, self.values)
                return
            elif args:
                self._set(flag, args.pop(), self.values)
                return
            else:
                raise UsageError(f"flag needs an argument: '{letter}' in -{text}")

    def _global(self, name: str) -> Flag | None:
        if self._inherited is None:
            return None
        from podlike.cli.app import GLOBAL_FLAGS

        for flag in GLOBAL_FLAGS:
            if (flag.name == name or name in flag.aliases) and flag.dest in PERSISTENT:
                return flag
        return None

    def _set(self, flag: Flag, text: str, target: "dict[str, Any]") -> None:
        try:
            value = flag.convert(text)
        except ValueError as e:
            raise UsageError(f'invalid argument "{text}" for "{flag.spelling}" flag: {e}') from None
        if flag.kind in ("array", "strings", "uints"):
            if flag.name not in self.given:  # the first value replaces the default
                target[flag.dest] = []
            if flag.kind == "array":
                target[flag.dest].append(value)
            else:
                target[flag.dest].extend(value)
        else:
            target[flag.dest] = value
        self.given.add(flag.name)


# Global options that may stand behind the command's name too.
PERSISTENT = frozenset((
    "cdi_spec_dir", "cgroup_manager", "conmon", "default_mounts_file", "events_backend", "hooks_dir", "log_level",
    "network_cmd_path", "network_config_dir", "root", "runroot", "runtime", "runtime_flag", "storage_driver", "storage_opt",
    "syslog", "tmpdir", "volumepath"))


def format_flags(flags: "Sequence[Flag]") -> str:
    """The Options section: sorted by name, texts aligned three blanks behind the longest flag."""
    rows = []
    for flag in sorted(flags, key=lambda f: f.name):
        left = f"  -{flag.short}, --{flag.name}" if flag.short else f"      --{flag.name}"
        if flag.kind != "bool":
            left += " " + (flag.metavar or _TYPE_WORDS[flag.kind])
        rows.append((left, flag.help + _default_note(flag)))
    width = max(len(left) for left, _ in rows) + 3
    return "\n".join((left.ljust(width) + text.replace("\n", "\n" + " " * width)).rstrip() for left, text in rows)


def _default_note(flag: Flag) -> str:
    if flag.default_text:
        return f" (default {flag.default_text})"
    value = flag.default
    if not value:
        return ""
    if flag.kind in ("string", "duration"):
        return f' (default "{value}")'
    if flag.kind == "bool":
        return " (default true)"
    if isinstance(value, list):
        return f" (default [{','.join(map(str, value))}])"
    return f" (default {value})"
