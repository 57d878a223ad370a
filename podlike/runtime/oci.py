"""Calling an OCI runtime: podlike-spawn by default, any other by --runtime.

Source: the command line that runc, crun and conmon share; runtime-spec, runtime.md.
"""

import os

from podlike.errors import CannotExecuteError, CommandNotFoundError, PodlikeError, RuntimeFailure, UsageError
from podlike.paths import Roots, find_program, libexec
from podlike.procs import PYTHON_SIGNALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT = "podlike-spawn"


class OciRuntime:
    """One runtime program and how it is to be called.

    path: absolute path. args: words before the verb.
    """

    __slots__ = ("args", "path")

    def __init__(self, path: str, args: "Sequence[str]") -> None:
        self.path = path
        self.args = list(args)

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def run(self, verb: str, *args: str) -> None:
        """Run one short verb to its end. Raises: RuntimeFailure with what it wrote to stderr."""
        code, words = run_program([self.path, *self.args, verb, *args])
        if code != 0:
            raise failure_from_words(words or f"{self.name} {verb} ended with code {code}", runtime=self.name)

    def start(self, cid: str) -> None:
        self.run("start", cid)

    def kill(self, cid: str, signum: int, *, everyone: bool = False) -> None:
        self.run("kill", *(["--all"] if everyone else []), cid, str(signum))

    def delete(self, cid: str) -> None:
        """Remove what the runtime keeps of the container, killing it if it lives. Gone already: fine."""
        try:
            self.run("delete", "--force", cid)
        except RuntimeFailure as e:
            if "does not exist" not in e.message and "No such file" not in e.message:
                raise


def find_runtime(name: str, *, roots: Roots, runtimes: "Mapping[str, Sequence[str]] | None" = None,
                 cgroup_manager: str = "cgroupfs", extra: "Sequence[str]" = ()) -> OciRuntime:
    """The runtime called name: ours, one of containers.conf's [engine.runtimes], on PATH, or a path.

    Raises: UsageError.
    """
    name = name or DEFAULT
    path: str | None
    if "/" in name:
        path = name
    elif name == DEFAULT:
        path = libexec(DEFAULT)
    else:
        listed = next((p for p in (runtimes or {}).get(name, ()) if os.access(p, os.X_OK)), None)
        path = listed or find_program(name)
    if path is None or not os.access(path, os.X_OK):
        raise UsageError(f'default OCI runtime "{name}" not found: invalid argument',
                         hint="Install it, give its path, or leave --runtime out to use podlike-spawn.")
    base = os.path.basename(path)
    args = ["--root", f"{roots.run}/{base.removeprefix('podlike-')}"]
    if base in ("podlike-spawn", "crun"):
        args += ["--cgroup-manager", cgroup_manager]
    elif cgroup_manager == "systemd":
        args += ["--systemd-cgroup"]
    return OciRuntime(path, [*args, *extra])


def run_program(argv: list[str]) -> tuple[int, str]:
    """Run a program with no stdin and no stdout; return its exit code and what it wrote to stderr."""
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
               (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
               (os.POSIX_SPAWN_DUP2, write_fd, 2)]
    try:
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions, setsigdef=PYTHON_SIGNALS)
    except OSError as e:
        os.close(read_fd)
        raise RuntimeFailure(f"start {argv[0]}: {e.strerror}", hint="Check that it is installed and executable.") from e
    finally:
        os.close(write_fd)
    with open(read_fd, "rb", buffering=0) as f:
        words = f.read(16384) or b""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), words.decode(errors="replace").strip()


def failure_from_words(words: str, *, runtime: str) -> PodlikeError:
    """The exit code hides in the text: 127 for a command that is not there, 126 for one that cannot run.

    Source: the words that crun and runc use, which every engine matches.
    """
    low = words.lower()
    message = words if words.startswith(f"{runtime}:") else f"{runtime}: {words}"
    if "executable file" in low and ("not found" in low or "no such file" in low):
        return CommandNotFoundError(f"{message}: OCI runtime attempted to invoke a command that was not found",
                                    hint="Check its spelling, and that the image has it in its PATH.")
    if "permission denied" in low or "operation not permitted" in low or "is a directory" in low or "exec format error" in low:
        return CannotExecuteError(f"{message}: OCI permission denied",
                                  hint="Check that it is an executable file for this machine's architecture.")
    if "no such file or directory" in low or "open executable" in low:
        return CommandNotFoundError(f"{message}: OCI runtime attempted to invoke a command that was not found",
                                    hint="Check its spelling, and that the image has it in its PATH.")
    return CannotExecuteError(f"{message}: OCI runtime error")
