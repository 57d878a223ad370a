"""What could come next on a command line: the hidden commands `__complete` and `__completeNoDesc`.

The words behind them are the command line so far, the last of them as far as it is typed. Printed is a candidate a line, with a
tab and a description; then ":DIRECTIVE", whose bits say what the shell is to do. This is cobra's protocol, so that completion
scripts made for podman and docker work. Which candidates there are for an argument is told by the word in the usage line
(CONTAINER, IMAGE ...), for an option by its name: completers.py, completevalues.py.

Nothing here fails loudly: a shell that asks wants candidates or silence.
"""

import sys

from podlike.cli.command import PERSISTENT, Command, Flag, Parser
from podlike.cli.session import Session
from podlike.errors import PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from podlike.cli.completers import Answer

ERROR, NO_SPACE, NO_FILES, FILTER_EXT, FILTER_DIRS, KEEP_ORDER = 1, 2, 4, 8, 16, 32
_NAMES: "Final" = ((ERROR, "Error"), (NO_SPACE, "NoSpace"), (NO_FILES, "NoFileComp"), (FILTER_EXT, "FilterFileExt"),
                   (FILTER_DIRS, "FilterDirs"), (KEEP_ORDER, "KeepOrder"))


class Line:
    """A command line up to the word that is being typed.

    level: path of the group that was reached ("": the program). command: None as long as there is none. args: its arguments so
    far. flag: the option whose value is being typed. given: long names of the options that are there. bare: no option can come
    any more. last: the word that is being typed; behind --option= only the value.
    """

    def __init__(self, session: Session, words: "list[str]") -> None:
        from podlike.cli.app import GLOBAL_FLAGS

        self.session = session
        self.level = ""
        self.command: Command | None = None
        self.args: "list[str]" = []
        self.given: "dict[str, str]" = {}
        self.bare = False
        self.unknown = False
        self.last = words[-1] if words else ""
        self.flag: Flag | None = None
        self.flags: "list[Flag]" = list(GLOBAL_FLAGS)
        self._globals: "list[str]" = []
        rest = list(reversed(words[:-1]))
        while rest and not self.unknown:
            self._take(rest)
        self._read_last()
        parser = Parser(GLOBAL_FLAGS)
        parser.parse(self._globals, interspersed=True)
        session.options = parser.values

    def _take(self, rest: "list[str]") -> None:
        word = rest.pop()
        if word == "--" and not self.bare:
            self.bare = True
        elif len(word) > 1 and word[0] == "-" and not self.bare:
            self._take_flag(word, rest)
        elif self.command is not None:
            self.args.append(word)
            self.bare = self.bare or not self.command.interspersed
        else:
            self._enter(word)

    def _take_flag(self, word: str, rest: "list[str]") -> None:
        from podlike.cli.app import GLOBAL_FLAGS

        flag, value = self._meant(word)
        if flag is None:
            return
        words = [word]
        if value is None and flag.kind != "bool":
            if not rest:
                self.flag = flag  # its value is what is being typed
                return
            value = rest.pop()
            words.append(value)
        self.given[flag.name] = value or ""
        if any(flag is one for one in GLOBAL_FLAGS):
            self._globals += words

    def _meant(self, word: str) -> "tuple[Flag | None, str | None]":
        """The option that a word ends with, and the value in the same word."""
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found = next((f for f in self.flags if f.name == name or name in f.aliases), None)
            return found, value if equals else None
        for i, letter in enumerate(word[1:], 2):
            found = next((f for f in self.flags if f.short == letter), None)
            if found is None:
                return None, None
            if found.kind != "bool":
                return found, word[i:].removeprefix("=") if len(word) > i else None
            self.given[found.name] = ""
        return found, ""

    def _enter(self, name: str) -> None:
        from podlike.cli.app import GLOBAL_FLAGS

        found = find(self.level, name, docker=self.session.docker)
        if found is None:
            self.unknown = True
        elif isinstance(found, str):
            self.level = found
        else:
            self.command = found
            self.level = f"{self.level} {found.name}".strip()
        if self.level:  # some of the program's options may come behind a command, too
            self.flags = [*(self.command.flags if self.command else ()), *(f for f in GLOBAL_FLAGS if f.dest in PERSISTENT)]

    def _read_last(self) -> None:
        word = self.last
        if self.flag is None and not self.bare and word.startswith("--") and "=" in word:
            flag, value = self._meant(word)
            if flag is not None:
                self.flag, self.last = flag, value or ""


def find(level: str, name: str, *, docker: bool = False) -> "Command | str | None":
    """The command of that name in a group, its module loaded; a group's path; or None."""
    from podlike.cli.commands import ALIASES, COMMANDS

    row = COMMANDS[level].get(ALIASES.get((level, name), name))
    if row is None:
        return None
    if not row[0]:
        return f"{level} {name}".strip()
    module, _, attribute = row[0].partition(":")
    loaded = __import__(f"podlike.cli.{module}", fromlist=("command",))
    found = getattr(loaded, attribute or "command")
    if docker:
        found = getattr(loaded, f"docker_{attribute or 'command'}", found)
    assert isinstance(found, Command)
    return found


def main(session: Session, args: "list[str]") -> int:
    """Answer `__complete WORD...`; args begins with the command's own name."""
    described = args[0] == "__complete"
    try:
        candidates, directive = answer(session, args[1:])
    except (PodlikeError, OSError, ValueError, KeyError) as e:
        sys.stderr.write(f"[Debug] [Error] {e}\n")
        candidates, directive = [], 0
    out = []
    for value, description in candidates:
        text = description.split("\n", 1)[0].strip()
        out.append(f"{value}\t{text}\n" if text and described else f"{value}\n")
    sys.stdout.write("".join(out) + f":{directive}\n")
    sys.stdout.flush()
    names = [f"ShellCompDirective{name}" for bit, name in _NAMES if directive & bit] or ["ShellCompDirectiveDefault"]
    sys.stderr.write(f"Completion ended with directive: {', '.join(names)}\n")
    return 0


def answer(session: Session, words: "list[str]") -> "Answer":
    """Candidates with their descriptions, and the directive."""
    from podlike.cli.app import make_engine

    line = Line(session, words)
    session.make_engine = make_engine
    if line.unknown:
        return [], 0
    if line.flag is not None:
        from podlike.cli.completevalues import for_flag

        return _matching(for_flag(line), line.last)
    if line.last.startswith("-") and not line.bare:
        return _flag_names(line), NO_FILES
    if line.command is None:
        return _command_names(line), NO_FILES
    from podlike.cli.completers import for_argument

    return _matching(for_argument(line), line.last)


def _matching(found: "Answer", start: str) -> "Answer":
    candidates, directive = found
    return [(value, text) for value, text in candidates if value.startswith(start)], directive


def _flag_names(line: Line) -> "list[tuple[str, str]]":
    out = []
    for flag in sorted([*line.flags, Flag("help", "h", "bool", "help for this command")], key=lambda f: f.name):
        if flag.hidden or (flag.name in line.given and flag.kind not in ("array", "strings", "uints")):
            continue
        if f"--{flag.name}".startswith(line.last):
            out.append((f"--{flag.name}", flag.help))
        if flag.short and f"-{flag.short}".startswith(line.last):
            out.append((f"-{flag.short}", flag.help))
    return out


def _command_names(line: Line) -> "list[tuple[str, str]]":
    from podlike.cli.commands import COMMANDS

    return [(name, row[1]) for name, row in sorted(COMMANDS[line.level].items())
            if name[0] != "." and name.startswith(line.last)]
