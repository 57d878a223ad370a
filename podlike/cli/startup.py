"""podlike system startup: how containers come back after a reboot."""

import sys

from podlike import log
from podlike.cli.command import Call, Command, no_args, print_error
from podlike.cli.options import FORMAT
from podlike.errors import PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.startup import Startup
    from podlike.store.containers import Container


def set_up_once(call: Call, policy: str) -> "Startup | None":
    """Before the first container whose policy is to survive a reboot is made: see to it that it can.

    Returns what was set up now, for a caller who fails after it to forget(); None: nothing had to be.
    """
    from podlike.engine.boot import survives

    if not survives(policy):
        return None
    from podlike.engine.startup import Startup

    startup = Startup(call.engine.roots)
    if startup.done:
        return None
    try:
        startup.install()
    except PodlikeError as e:
        startup.give_up()
        log.warning(f"{e.message}. {e.hint}" if e.hint else e.message)
        return startup
    _tell(startup.hint())
    return startup


def _tell(text: str) -> None:
    """Once, as it is only called when something was set up; scripts that read standard error as well are spared."""
    if text and sys.stderr.isatty():
        sys.stderr.write(f"Hint: {text}.\n")


def run(call: Call) -> int:
    from podlike.engine.boot import bring_up

    failures: list[PodlikeError] = []

    def failed(container: "Container", error: PodlikeError) -> None:
        error.message = f"{container.name}: {error.message}"
        print_error(error)
        failures.append(error)

    def started(container: "Container") -> None:
        call.out(container.name)
        sys.stdout.flush()

    bring_up(call.engine, failed, started)
    return 125 if failures else 0


def stop(call: Call) -> int:
    from podlike.engine.boot import stop_all

    failures: list[PodlikeError] = []

    def failed(container: "Container", error: PodlikeError) -> None:
        print_error(error)
        failures.append(error)

    stop_all(call.engine, failed)
    return 125 if failures else 0


def install(call: Call) -> int:
    startup = _startup(call)
    kind = startup.install()
    if kind == "none":
        raise PodlikeError("set up the start of containers after a reboot: there is neither systemd nor cron",
                           hint=f"{startup.hint()[0].upper()}{startup.hint()[1:]}.")
    call.out(startup.unit if kind == "systemd" else "a line in your crontab")
    if startup.hint():
        log.warning(startup.hint())
    return 0


def remove(call: Call) -> None:
    _startup(call).remove()


def status(call: Call) -> int:
    """Exit code 0: containers come back when the machine boots."""
    from podlike.engine.boot import comes_back

    startup = _startup(call)
    document, code = startup.document(), 0 if startup.enabled and not startup.hint() else 1
    names = [c.name for c in call.engine.containers.all() if comes_back(c)]
    if call.opts.format:
        from podlike.cli.output import format_document

        format_document(call, document | {"containers": names}, call.opts.format)
        return code
    by = {"systemd": f"systemd unit {startup.unit}", "cron": "cron, by a line in your crontab"}.get(startup.done, "")
    call.out(f"Containers are started by: {by if startup.enabled else 'nobody'}")
    call.out(f"Containers that come back: {', '.join(names) or 'none'}")
    if startup.hint():
        call.out(f"Left to do: {startup.hint()}")
    return code


def _startup(call: Call) -> "Startup":
    from podlike.engine.startup import Startup

    return Startup(call.engine.roots)


_WHAT = ("Containers with the restart policy always, and those with unless-stopped that the user has not stopped, come back "
         "after a reboot. The first one that is created sets that up: a systemd unit of the user's "
         "(~/.config/systemd/user/podlike-restart.service), or a line in the user's crontab where there is no systemd.")

run_command = Command(
    "run", run, args=no_args, summary="Start the containers that come back after a reboot",
    description=f"Start the containers that come back after a reboot.\n\n{_WHAT}\n\nThis is what the unit calls. Containers "
                "that others need are started before them; one that cannot start is reported and holds up only those that "
                "need it. What runs already is left alone.", examples=("system startup run",))
stop_command = Command(
    "stop", stop, args=no_args, summary="Stop all containers because the machine goes down",
    description="Stop all containers as `podlike stop` does, but without counting them as stopped by the user: they come "
                "back. This is what the unit calls when the machine goes down.", examples=("system startup stop",))
install_command = Command(
    "install", install, args=no_args, summary="Have containers started after a reboot",
    description=f"Have containers started after a reboot, also after `system startup remove`.\n\n{_WHAT}",
    examples=("system startup install",))
remove_command = Command(
    "remove", remove, args=no_args, summary="Have no containers started after a reboot",
    description="Take the systemd unit or the line in the crontab away. No container brings it back.",
    examples=("system startup remove",))
status_command = Command(
    "status", status, args=no_args, summary="Show how containers are started after a reboot",
    description=f"Show how containers are started after a reboot, and which. {_WHAT}\n\nThe exit code is 0 if they come back "
                "without anybody logging in.",
    flags=(FORMAT,),
    examples=("system startup status", "system startup status --format json"))
