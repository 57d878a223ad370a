"""podlike unshare: a command in the user's session namespaces."""

import os
import sys

from podlike.cli.command import Call, Command, Flag
from podlike.errors import CannotExecuteError, CommandNotFoundError, UsageError


def unshare(call: Call) -> None:
    """Replaces this process: what the command ends with is what we end with. Raises: 126, 127 as a shell would."""
    if os.geteuid() == 0:
        raise UsageError("please use unshare with rootless",
                         hint="Root needs no namespaces to reach the files of its containers.")
    if call.opts.rootless_netns:
        raise UsageError("--rootless-netns is not supported by this version of podlike",
                         hint="Containers have no network namespace in common; see `podlike inspect` for their own.")
    args = call.args or [os.environ.get("SHELL") or "/bin/sh"]
    roots = call.engine.roots
    call.engine.enter_session()
    # A podlike inside finds the same store although its user is called root there; podman's tools look for the others.
    env = {**os.environ, "PODLIKE_ROOT": roots.data, "PODLIKE_RUNROOT": roots.run, "CONTAINERS_GRAPHROOT": roots.data,
           "CONTAINERS_RUNROOT": roots.run}
    sys.stdout.flush()
    try:
        os.execvpe(args[0], args, env)
    except FileNotFoundError:
        raise CommandNotFoundError(f'exec: "{args[0]}": executable file not found in $PATH') from None
    except OSError as e:
        raise CannotExecuteError(f"exec {args[0]}: {(e.strerror or '').lower()}") from None


command = Command(
    "unshare", unshare, usage="[COMMAND [ARG...]]", interspersed=False, summary="Run a command in a modified user namespace",
    description="Runs a command in the user and mount namespaces of your containers: there you are root, and the files "
                "of subordinate ids are yours. Without a command, runs your shell.",
    flags=(Flag("rootless-netns", "", "bool", "Join the rootless network namespace used for netavark networking"),),
    examples=("unshare id", "unshare cat /proc/self/uid_map", "unshare podlike-script.sh"))
