"""systemd's generator: makes services of Quadlets at boot and on every daemon-reload. The other edge of the process.

    podlike-quadlet [-dryrun] [-user] [-v] [-no-kmsg-log] [-version] NORMAL-DIR [EARLY-DIR LATE-DIR]

By a name with "user" in it, it is the generator of users' managers. Options are those of podman's generator, in Go's
spellings: -x, --x, -x=false. Starts before nearly everything, and everything waits for it: it imports next to nothing.
Source: systemd.generator(7).
"""

import gc
import os
import sys

gc.disable()

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NoReturn

    from podlike.quadlet.problems import Problem
    from podlike.quadlet.translate import Result

_OPTIONS: "Final" = {"dryrun": "Run in dryrun mode printing debug information", "no-kmsg-log": "Don't log to kmsg",
                     "user": "Run as systemd user", "v": "Print debug information",
                     "version": "Print version information and exit"}
_TRUE: "Final" = ("1", "t", "T", "true", "TRUE", "True")
_FALSE: "Final" = ("0", "f", "F", "false", "FALSE", "False")
# Written where there is none of the distribution's (the late directory has the lowest priority). A unit of a user cannot
# wait for one of the system; so it asks until the network is up, or nobody waits for it any more.
_WAIT: "Final" = r"""# Made by podlike: rootless containers start when the network is up.
[Unit]
Description=Wait for the system's network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=90
ExecStart=/bin/sh -c 'until systemctl is-active --quiet network-online.target || [ "$$(systemctl show --value -p Job network-online.target)" = "" ]; do sleep 0.5; done'
"""  # noqa: E501


class Generator:
    """One run. Messages go to the kernel's log, the only one that is there at boot; without it to standard error."""

    def __init__(self, options: dict[str, bool]) -> None:
        self.dry = options["dryrun"]
        self.user = options["user"]
        self.verbose = options["v"] or self.dry
        self.kmsg = -2 if options["no-kmsg-log"] or self.dry else -1  # -1: not opened yet, -2: not to be had
        self.failed = False

    # --- messages ---

    def log(self, text: str, priority: int = 6) -> None:
        line = f"quadlet-generator[{os.getpid()}]: {text}"
        if not self._to_kernel(f"<{priority}>{line}"):
            sys.stderr.write(line + "\n")

    def _to_kernel(self, text: str) -> bool:
        if self.kmsg == -1:
            try:
                self.kmsg = os.open("/dev/kmsg", os.O_WRONLY | os.O_CLOEXEC)
            except OSError:
                self.kmsg = -2
        if self.kmsg < 0:
            return False
        try:
            os.write(self.kmsg, text[:900].encode(errors="replace"))  # the kernel refuses longer ones
        except OSError:
            return False
        return True

    def debug(self, text: str) -> None:
        if self.verbose:
            self.log(text, 7)

    def error(self, text: str) -> None:
        self.log(text, 3)
        self.failed = True

    def tell(self, problem: "Problem", unit: str = "") -> None:
        """unit: the name of the Quadlet that an error refuses, "" for a file that could not be read."""
        place = problem.place
        if problem.level != "error":
            self.log(f"Warning: {problem.sentence} ({place})", 4)
        elif not unit:
            self.error(f'error loading "{problem.path}", {problem.sentence} ({place})')
        elif problem.text.startswith("unsupported key"):
            self.error(f'converting "{unit}": {_with_place(problem)}')
        else:
            self.error(f'converting "{unit}": {problem.sentence} ({place})')

    # --- work ---

    def run(self, directories: list[str]) -> None:
        """directories: for units of normal, early and late priority; only the first one may be alone."""
        if not self.dry and not directories:
            self.error("missing output directory argument")
            return
        if not self.dry:
            self.debug(f"Starting quadlet-generator, output to: {directories[0]}")
        results = self._translate()
        if results and not self.dry:
            self._prepare(directories)
        for result in results:
            for problem in result.problems:
                self.tell(problem, result.entry.unit.name)
            if result.service is not None:
                self._hand_out(result, directories[0] if directories else "")

    def _translate(self) -> "list[Result]":
        from podlike.engine.quadlet.load import load_all
        from podlike.engine.quadlet.program import podlike_words
        from podlike.engine.quadlet.search import find_directories

        found = find_directories(os.getuid() if self.user else None, self.log)
        problems: list[Problem] = []
        units = load_all(found, problems, self.debug)
        for problem in problems:
            self.tell(problem)
        if not units:
            self.debug(f"No files parsed from [{' '.join(d.path for d in found)}]")
            return []
        from podlike.quadlet.translate import translate_all

        return translate_all(units, program=podlike_words(), user=self.user, exists=os.path.exists)

    def _prepare(self, directories: list[str]) -> None:
        from podlike.engine.quadlet.write import write_unit
        from podlike.quadlet.translation import WAIT_UNIT

        try:
            os.makedirs(directories[0], exist_ok=True)
            if self.user and len(directories) > 2:
                write_unit(directories[2], WAIT_UNIT, _WAIT.encode())
        except OSError as e:
            self.error(f"writing to {e.filename}: {e.strerror}")

    def _hand_out(self, result: "Result", directory: str) -> None:
        """Write or print one service."""
        from podlike.engine.quadlet.write import make_links, write_unit

        service = result.service
        assert service is not None
        path = f"{directory}/{service.name}" if directory else service.name
        if self.dry:
            sys.stdout.write(f"---{path}---\n{service.to_text()}\n")
            return
        self.debug(f'writing "{path}"')
        service.comment_first("", f"Automatically generated by {sys.argv[0]}", "")
        try:
            write_unit(directory, service.name, service.to_text().encode(errors="surrogateescape"))
        except OSError as e:
            self.error(f"generating service file {path}: {e.strerror}")
            return
        make_links(directory, service, self.log, self.debug)


def _with_place(problem: "Problem") -> str:
    """podman's sentence ends with the file; ours goes on with the line."""
    near = f" (did you mean {problem.near}?)" if problem.near else ""
    return f"{problem.text} in {problem.place}{near}"


def parse_options(words: list[str], name: str) -> tuple[dict[str, bool], list[str]] | int:
    """Options and directories, or the code to exit with when the usage was shown."""
    options = {**dict.fromkeys(_OPTIONS, False), "user": "user" in name}
    rest = list(words)
    while rest and len(rest[0]) > 1 and rest[0][0] == "-":
        word = rest.pop(0)
        if word == "--":
            break
        flag, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if flag not in options or (equals and value not in (*_TRUE, *_FALSE)):
            if flag not in ("h", "help"):
                sys.stderr.write(f"flag provided but not defined: -{flag}\n" if flag not in options else
                                 f'invalid boolean value "{value}" for -{flag}: parse error\n')
            sys.stderr.write(f"Usage of {name}:\n" + "".join(f"  -{o}\n    \t{text}\n" for o, text in _OPTIONS.items()))
            return 0 if flag in ("h", "help") else 2
        options[flag] = not equals or value in _TRUE
    return options, rest


def main(argv: list[str] | None = None) -> "NoReturn":
    """Entry point of the program `podlike-quadlet`, and of the links to it in systemd's directories of generators."""
    argv = sys.argv if argv is None else argv
    code = run(argv)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(code)


def run(argv: list[str]) -> int:
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # names and values as they are in files
    parsed = parse_options(argv[1:], os.path.basename(argv[0]))
    if isinstance(parsed, int):
        return parsed
    options, directories = parsed
    if options["version"]:
        from podlike import __version__

        sys.stdout.write(__version__ + "\n")
        return 0
    generator = Generator(options)
    generator.run(directories)
    if generator.failed:
        generator.log("processing encountered some errors", 3)
    return 1 if generator.failed else 0


if __name__ == "__main__":
    main()
