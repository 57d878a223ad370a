"""podlike quadlet check: what is wrong in Quadlets, before systemd starts what is made of them."""

import os
import sys

from podlike.cli.app import GLOBAL_FLAGS, find_command
from podlike.cli.command import Call, Command, Options, Parser
from podlike.cli.options import FORMAT
from podlike.errors import NotFoundError, PodlikeError, UsageError
from podlike.quadlet.keys import suggest as key_of_flag
from podlike.quadlet.problems import NOTE, WARNING, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from podlike.engine.quadlet.listing import Quadlets
    from podlike.quadlet.translate import Result
    from podlike.quadlet.unitfile import Line

_COMMANDS: "Final" = ("ExecStartPre", "ExecStart", "ExecReload", "ExecStop", "ExecStopPost")


def check(call: Call) -> int:
    """Exit code 1 if a Quadlet gives no service, or one that does something else than is written."""
    quadlets, wanted = _select(call.args)
    found = quadlets.problems()
    for result in quadlets.results.values():
        found += _command_lines(call, result)
    found = [p for p in found if wanted is None or _concerns(p, wanted)]
    found.sort(key=lambda p: (p.path, p.number))
    if call.opts.format:
        from podlike.cli.output import print_rows
        from podlike.spec.govalues import View

        docs = [{"Path": p.path, "Line": p.number, "Level": p.level, "Message": p.text, "Suggestion": p.near} for p in found]
        print_rows(call, [View(d, d) for d in docs], "{{.Path}}:{{.Line}}: {{.Level}}: {{.Message}}", format=call.opts.format)
    else:
        for problem in found:
            call.out(problem.line)
    _tell_if_unused()
    return 1 if any(p.level != NOTE for p in found) else 0


def _select(words: list[str]) -> "tuple[Quadlets, set[str] | None]":
    """The Quadlets to look at, and the paths of those to report (None: all).

    A path brings in the directory around it, because Quadlets name each other. Raises: NotFoundError, UsageError.
    """
    from podlike.engine.quadlet.listing import Quadlets
    from podlike.engine.quadlet.search import directories_of
    from podlike.quadlet.keys import kind_of

    if not words:
        return Quadlets(), None
    places, wanted, names = list[str](), set[str](), list[str]()
    for word in words:
        if os.path.isdir(word):
            places.append(os.path.realpath(word))
        elif "/" not in word and not os.path.exists(word):
            names.append(word)
        elif not os.path.exists(word):
            raise NotFoundError(f"check {word}: no such file or directory")
        elif kind_of(word) is None:
            raise UsageError(f'"{os.path.splitext(word)[1]}" is not a supported quadlet file type')
        else:
            places.append(os.path.dirname(os.path.realpath(word)))
            wanted.add(f"{places[-1]}/{os.path.basename(word)}")
    quadlets = Quadlets(directories_of(places)) if places else Quadlets()
    for word in words:
        if os.path.isdir(word):
            below = os.path.realpath(word) + "/"
            wanted |= {path for path in quadlets.paths if path.startswith(below)}
    return quadlets, wanted | {quadlets.find(name) for name in names}


def _concerns(problem: Problem, wanted: set[str]) -> bool:
    """Whether a problem is of one of these files, or of a drop-in beside them."""
    folder = os.path.dirname(problem.path)
    beside = {os.path.dirname(path) for path in wanted}
    return problem.path in wanted or (folder.endswith(".d") and os.path.dirname(folder) in beside)


def _tell_if_unused() -> None:
    from podlike.engine.quadlet import setup, systemctl

    if systemctl.is_running() and not setup.state() and sys.stderr.isatty():
        sys.stderr.write("Hint: Nothing makes services of Quadlets here. Run `podlike quadlet generator install`.\n")


# --- the command lines in the service ---

def _command_lines(call: Call, result: "Result") -> list[Problem]:
    """What podlike would say to its command lines."""
    from podlike.quadlet.words import WordError, split_words

    if result.service is None:
        return []
    found: dict[str, Problem] = {}
    for key in _COMMANDS:
        for line in result.service.lines("Service", key):
            if line.number:
                continue  # the user's own
            try:
                words = split_words(line.value, unescape=True)
                _parse(call, [_without_specifiers(w) for w in words[_program_length():]])
            except WordError:
                continue
            except PodlikeError as e:
                said = e.message.partition("\n")[0]
                found.setdefault(said, _place(result, said))
    return list(found.values())


def _program_length() -> int:
    from podlike.engine.quadlet.program import podlike_words

    return len(podlike_words())


def _without_specifiers(word: str) -> str:
    """The word as systemd may pass it on. What it puts for most specifiers is a name; a digit is right for a number, too."""
    if "%" not in word:
        return word
    known = {"%": "%", "h": os.path.expanduser("~"), "t": os.environ.get("XDG_RUNTIME_DIR", "/run"), "T": "/tmp", "s": "/bin/sh"}
    parts = iter(word)
    return "".join(c if c != "%" else known.get(next(parts, "%"), "7") for c in parts)


def _parse(call: Call, words: list[str]) -> None:
    """Parse a command line as podlike does, without doing anything. Raises: PodlikeError."""
    options = Parser(GLOBAL_FLAGS)
    rest = options.parse(list(words), interspersed=False)
    level, found = "", find_command("", rest[0]) if rest else None
    while True:
        if found is None:
            raise UsageError(f"podlike has no command {' '.join([level, *rest[:1]]).strip()}")
        level, rest = f"{level} {rest[0]}".strip(), rest[1:]
        if isinstance(found, Command):
            break
        found = find_command(found, rest[0]) if rest else None
    parser = Parser(found.flags, options.values)
    arguments = parser.parse(list(rest), interspersed=found.interspersed)
    made = Call(found, f"podlike {level}", Options(parser.values), arguments, parser.given, call.session)
    if found.args is not None:
        found.args(made)
    if level == "run":
        from podlike.cli.fillspec import fill_spec
        from podlike.cli.options import RUN_TABLE

        fill_spec(made, RUN_TABLE)


def _place(result: "Result", said: str) -> Problem:
    """The line of the Quadlet from which the words of an error come, else the heading of its group."""
    unit, name = result.entry.unit, result.entry.kind.group
    group = unit.groups[name]
    words = [w for w in (w.strip("'\"`,:;") for w in said.split()) if len(w) > 1]
    flags = {key_of_flag(name, w[2:]) for w in words if w.startswith("--")}

    def likeness(line: "Line") -> int:
        return 100 * (line.key in flags) + sum(len(w) for w in words if w in line.value)

    lines = [line for line in group.lines if line.key and likeness(line)]
    if not lines:
        return Problem(WARNING, group.path or unit.path, group.number or 1, said)
    best = max(lines, key=likeness)
    return Problem(WARNING, best.path, best.number, f"{best.key}: {said}")


command = Command(
    "check", check, usage="[QUADLET|FILE|DIRECTORY...]", summary="Report what is wrong in Quadlets",
    description="Report unknown keys, values that do not fit, Quadlets that are missing, and command lines that podlike would "
                "refuse: one line each, with file and line number. Without arguments all Quadlets of the current user are "
                "checked.\n\nThe exit code is 1 if there is an error (no service is made) or a warning (it does something else "
                "than is written).",
    flags=(FORMAT,),
    examples=("quadlet check", "quadlet check ./web.container", "quadlet check --format json ~/quadlets"))
