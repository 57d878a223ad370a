"""The process edge: run one command line, turn errors into words and an exit code, leave quickly.

The garbage collector stays off (a command lives for milliseconds) and the process ends with os._exit, which saves
the interpreter's tear-down: together 6 ms a command.
"""

import gc
import os
import sys

gc.disable()

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from podlike.cli.session import Session
    from podlike.errors import PodlikeError


def program_name(argv0: str) -> str:
    """docker and podman when called by that name (a link, an alias by exec -a), else podlike."""
    name = os.path.basename(argv0)
    return name if name in ("docker", "podman") else "podlike"


def main(argv: list[str] | None = None) -> "NoReturn":
    """Entry point of the program `podlike`."""
    argv = sys.argv if argv is None else argv
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed by the caller: `podlike ps >&-`
            os.open("/dev/null", os.O_RDWR)  # becomes fd: the lowest that is free, and those below it are open by now
            setattr(sys, name, open(fd, "w" if fd else "r", closefd=False))
    if "LISTEN_FDS" in os.environ:
        from podlike import sockets

        sockets.take()
    code = run(argv[1:], program_name(argv[0]))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError, OSError):
            pass
    os._exit(code)


def run(args: list[str], prog: str) -> int:
    """Run one command line; all errors end here, as text on standard error and a code."""
    if args and args[0] in ("__complete", "__completeNoDesc"):
        return _complete(args, prog)
    if args and args[0] in ("--version", "-v") and len(args) == 1:
        return _version(prog)
    from podlike.cli.session import Session
    from podlike.errors import PodlikeError

    session = Session(prog)
    try:
        if args[4:6] == ["container", "cleanup"]:
            from podlike.cli.monitor_exit import run_exit_command

            if run_exit_command(args):
                return 0
        from podlike.cli.app import run_in

        code = run_in(session, args)
        sys.stdout.flush()
        return code
    except PodlikeError as e:
        return _known(e, session)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _silence()
        return 141  # 128 + SIGPIPE, what a program that does not catch the signal ends with
    except Exception as e:
        return _unknown(e, session)


def _complete(args: list[str], prog: str) -> int:
    """A shell asks what could come next."""
    from podlike.cli.complete import main as complete
    from podlike.cli.session import Session

    return complete(Session(prog), args)


def _version(prog: str) -> int:
    from podlike import __version__

    line = f"Docker version {__version__}, build podlike" if prog == "docker" else f"{prog} version {__version__}"
    sys.stdout.write(line + "\n")
    return 0


def _known(error: "PodlikeError", session: "Session") -> int:
    bare = type(error).__name__ == "StartupError"
    if session.docker and not bare:
        from podlike.cli.dockerwords import code_of, text_of

        _report(text_of(error, session.command_path) + "\n")
        code = code_of(error, session.command_path.rpartition(" ")[2])
    else:
        hint = f"\nHint: {error.hint}" if error.hint else ""
        _report(f"{'' if bare else 'Error: '}{error.message}{hint}\n")
        code = error.exit_code
    if os.environ.get("PODLIKE_DEBUG"):
        _trace()
    return code


def _unknown(error: Exception, session: "Session") -> int:
    """click's own errors, and those nobody foresaw: short words, a trace on request."""
    module = type(error).__module__
    if module.startswith("click."):
        text = getattr(error, "format_message", lambda: "")()
        if type(error).__name__ == "Abort":
            return 130
        _report(f"Error: {text}\nSee '{session.command_path} --help'\n")
        return 125
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename}" if error.filename else ""
        _report(f"Error: {session.command_path}:{where} {error.strerror}\n")
    else:
        _report(f"Error: {session.command_path}: internal error: {type(error).__name__}: {error}\n"
                f"Hint: Set PODLIKE_DEBUG=1 and run it again for a trace to report.\n")
    if os.environ.get("PODLIKE_DEBUG"):
        _trace()
    return 125


def _trace() -> None:
    import traceback

    traceback.print_exc()


def _report(text: str) -> None:
    """Write to standard error, after what is buffered for standard output."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _silence()
    try:
        sys.stderr.write(text)
    except (OSError, ValueError):
        pass


def _silence() -> None:
    """Point standard output at /dev/null, so that later writes and flushes cannot fail again."""
    null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, 1)
    os.close(null)


if __name__ == "__main__":
    main()
