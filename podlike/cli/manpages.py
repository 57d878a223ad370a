"""Manual pages, from the same tables as --help: `python -m podlike.cli.manpages DIRECTORY`, which contrib/man does.

One page a command: podlike.1, podlike-run.1, podlike-volume-create.1 ... A command with several names (`ps`, `container ls`) has
its page under the shortest; the others refer to it. Source: man(7).
"""

import os
import re
import sys
import time

from podlike import __version__
from podlike.cli.app import GLOBAL_FLAGS
from podlike.cli.command import _TYPE_WORDS, Command, Flag, _default_note
from podlike.cli.commands import ALIASES, COMMANDS, GROUP_ABOUT
from podlike.cli.complete import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

_EXIT = (("125", "podlike itself failed, or the command line is wrong."),
         ("126", "The program for the container was found and could not be executed."),
         ("127", "The program for the container was not found."),
         ("other", "Of run and exec: what the program in the container ended with. Of other commands see their page."))
_ENVIRONMENT = (("CONTAINERS_CONF, CONTAINERS_CONF_OVERRIDE", "containers.conf(5) to be read instead of the usual, or last."),
                ("CONTAINERS_STORAGE_CONF", "The same for containers-storage.conf(5)."),
                ("CONTAINERS_REGISTRIES_CONF", "The same for containers-registries.conf(5)."),
                ("DOCKER_CONFIG, REGISTRY_AUTH_FILE", "Where credentials of registries are."),
                ("PODLIKE_ROOT, PODLIKE_RUNROOT", "Where containers and images are kept, and where what lives is noted, instead "
                 "of $XDG_DATA_HOME/podlike and $XDG_RUNTIME_DIR/podlike."),
                ("PODLIKE_DEBUG", "1: a trace with each error."))
_FILES = (("~/.local/share/podlike, /var/lib/podlike", "Images, containers and volumes."),
          ("$XDG_RUNTIME_DIR/podlike, /run/podlike", "What lives: sockets, locks, the session."),
          ("/etc/containers, ~/.config/containers", "containers.conf, storage.conf, registries.conf, policy.json."))


def pages() -> "tuple[dict[str, str], dict[str, str]]":
    """(file name -> its text, other file name -> the one that it is a link to)."""
    out: "dict[str, str]" = {"podlike.1": _program()}
    links: "dict[str, str]" = {}
    first: "dict[int, str]" = {}
    for path, command in sorted(_commands(), key=lambda item: (item[0].count(" "), item[0])):
        name = _file(path)
        if id(command) in first:
            links[name] = first[id(command)]
            continue
        first[id(command)] = name
        out[name] = _page(path, command)
    for level in COMMANDS:
        if level:
            out[_file(level)] = _group(level)
    for (level, alias), name in ALIASES.items():
        target = _file(f"{level} {name}")
        links.setdefault(_file(f"{level} {alias}"), links.get(target, target))
    return out, links


def _commands() -> "Iterable[tuple[str, Command]]":
    for level, rows in COMMANDS.items():
        for name in rows:
            found = find(level, name)
            if isinstance(found, Command):
                yield f"{level} {name}".strip(), found


def _file(path: str) -> str:
    return f"podlike-{path.strip().replace(' ', '-')}.1"


# --- pages ---

def _program() -> str:
    commands = [(f"podlike-{name}(1)", row[1]) for name, row in sorted(COMMANDS[""].items())]
    return (_head("podlike", "run containers without a daemon and without root")
            + _section("SYNOPSIS") + f"{_bold('podlike')} [{_italic('options')}] {_italic('command')}\n"
            + _section("DESCRIPTION")
            + _text("podlike runs containers and manages their images and volumes. There is no daemon: every command does its "
                    "own work. An ordinary user needs no privileges but a range of subordinate ids (subuid(5)).\n\n"
                    "The command line is podman's; called by the name docker it follows docker where the two differ.")
            + _options([f for f in GLOBAL_FLAGS if not f.hidden])
            + _section("COMMANDS") + _list(commands)
            + _section("EXIT STATUS") + _list(_EXIT)
            + _section("ENVIRONMENT") + _list(_ENVIRONMENT)
            + _section("FILES") + _list(_FILES)
            + _see(["containers.conf(5)", "containers-registries.conf(5)", "containers-storage.conf(5)", "subuid(5)"]))


def _group(level: str) -> str:
    rows = [(f"podlike-{level} {name}".replace(" ", "-") + "(1)", row[1]) for name, row in sorted(COMMANDS[level].items())]
    return (_head(f"podlike-{level}".replace(" ", "-"), GROUP_ABOUT[level])
            + _section("SYNOPSIS") + f"{_bold(f'podlike {level}')} {_italic('command')}\n"
            + _section("DESCRIPTION") + _text(f"{GROUP_ABOUT[level]}.")
            + _section("COMMANDS") + _list(rows) + _see([_above(level)]))


def _page(path: str, command: Command) -> str:
    shown = [flag for flag in command.flags if not flag.hidden]
    synopsis = " ".join(part for part in (_bold(f"podlike {path}"), f"[{_italic('options')}]" if shown else "",
                                          _escape(command.usage)) if part)
    names = [f"podlike {level} {alias}".replace("  ", " ") for (level, alias), name in ALIASES.items()
             if f"{level} {name}".strip() == path]
    also = _text(f"Also: {', '.join(names)}.") if names else ""
    examples = "".join(f"podlike {example}\n" for example in command.examples)
    return (_head(f"podlike-{path}".replace(" ", "-"), command.summary)
            + _section("SYNOPSIS") + synopsis + "\n" + _section("DESCRIPTION") + _text(command.description) + also
            + (_options(shown) if shown else "")
            + (_section("EXAMPLES") + f".nf\n{_lines(examples)}.fi\n" if examples else "")
            + _see([_above(path)]))


def _above(path: str) -> str:
    parent = path.rpartition(" ")[0].replace(" ", "-")
    return f"podlike-{parent}(1)" if parent else "podlike(1)"


def _options(flags: "Sequence[Flag]") -> str:
    out = [_section("OPTIONS")]
    for flag in sorted(flags, key=lambda f: f.name):
        spelling = _bold(f"--{flag.name}")
        if flag.short:
            spelling = f"{_bold(f'-{flag.short}')}, {spelling}"
        if flag.kind != "bool":
            spelling += f" {_italic(flag.metavar or _TYPE_WORDS[flag.kind])}"
        out.append(f".TP\n{spelling}\n{_text(flag.help + _default_note(flag), first=False)}")
    return "".join(out)


# --- roff ---

def _head(name: str, about: str) -> str:
    stamp = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())))
    return (f'.TH {_escape(name.upper())} 1 "{stamp}" "podlike {__version__}" "User Commands"\n.nh\n.ad l\n'
            f"{_section('NAME')}{_escape(name)} \\- {_escape(about)}\n")


def _section(title: str) -> str:
    return f".SH {title}\n"


def _list(rows: "Iterable[tuple[str, str]]") -> str:
    return "".join(f".TP\n{_bold(term)}\n{_text(about, first=False)}" for term, about in rows)


def _see(names: "list[str]") -> str:
    return _section("SEE ALSO") + ", ".join(_reference(name) for name in names) + "\n"


def _reference(name: str) -> str:
    page, section = name[:-1].split("(")
    return f"{_bold(page)}({section})"


def _text(text: str, *, first: bool = True) -> str:
    """Paragraphs as they are separated by empty lines; lines that are indented stay lines."""
    out = []
    for n, paragraph in enumerate(re.split(r"\n\s*\n", text.strip("\n"))):
        if n or first:
            out.append("" if n == 0 else ".PP\n" if first else ".IP\n")
        if "\n" in paragraph and re.search(r"(?m)^\s|  +\S", paragraph):
            out.append(f".nf\n{_lines(paragraph)}.fi\n")
        else:
            out.append(_lines(paragraph))
    return "".join(out)


def _lines(text: str) -> str:
    return "".join(_escape(line.rstrip()) + "\n" for line in text.splitlines() if line.strip())


def _escape(text: str) -> str:
    """What roff would take for a request or an escape is said so that it prints as it is."""
    out = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha").replace("~", "\\(ti")
    out = out.replace("`", "\\(ga").replace("\t", "    ")
    return f"\\&{out}" if out.startswith(".") else out


def _bold(text: str) -> str:
    return f"\\fB{_escape(text)}\\fR"


def _italic(text: str) -> str:
    return f"\\fI{_escape(text)}\\fR"


_USAGE: "Final" = "usage: python -m podlike.cli.manpages DIRECTORY"


def main(args: "list[str]") -> int:
    """Write all pages into a directory, which is made; other names of a page are symbolic links."""
    if len(args) != 1:
        sys.stderr.write(f"{_USAGE}\n")
        return 2
    os.makedirs(args[0], exist_ok=True)
    texts, links = pages()
    for name, text in texts.items():
        with open(f"{args[0]}/{name}", "w", encoding="utf-8") as f:
            f.write(text)
    for name, target in links.items():
        if os.path.lexists(f"{args[0]}/{name}"):
            os.unlink(f"{args[0]}/{name}")
        os.symlink(target, f"{args[0]}/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
