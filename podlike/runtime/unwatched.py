"""Starting a container that no monitor watches: for a pod's pause program, whose output and end nobody needs to know."""

import fcntl
import os

from podlike.errors import RuntimeFailure
from podlike.files import read_text
from podlike.procs import PYTHON_SIGNALS
from podlike.runtime.oci import OciRuntime, failure_from_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_HIGH = 200  # copies wait here while posix_spawn puts them at their final numbers


def run(runtime: OciRuntime, cid: str, *, bundle: str, keep: "Sequence[int]" = ()) -> int:
    """Have the runtime create and start it, in one go, and return the pid of the container's first process.

    keep: descriptors that the process gets from 3 on, and holds until it ends; they stay the caller's too.
    Raises: RuntimeFailure and its kin.
    """
    pidfile, words = f"{bundle}/pidfile", f"{bundle}/runtime-error"
    argv = [runtime.path, *runtime.args, "run", "--detach", "--bundle", bundle, "--pid-file", pidfile]
    if keep:
        argv += ["--preserve-fds", str(len(keep))]
    # What it says goes to a file: the container keeps the streams open, so that a pipe would not end.
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
               (os.POSIX_SPAWN_OPEN, 2, words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH) for fd in keep]
    try:
        actions += [(os.POSIX_SPAWN_DUP2, fd, 3 + n) for n, fd in enumerate(moved)]  # type: ignore[misc]
        pid = os.posix_spawn(argv[0], [*argv, cid], os.environ, file_actions=actions, setsid=True, setsigdef=PYTHON_SIGNALS)
    except OSError as e:
        raise RuntimeFailure(f"start {argv[0]}: {e.strerror}", hint="Check that it is installed and executable.") from e
    finally:
        for fd in moved:
            os.close(fd)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise failure_from_words(read_text(words).strip() or f"{runtime.name} run ended with code {code}",
                                 runtime=runtime.name)
    return int(read_text(pidfile))
