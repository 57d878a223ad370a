"""podlike quadlet generator install, remove, status, run: what makes systemd services of Quadlets."""

from podlike import log
from podlike.cli.command import Call, Command, Flag, no_args


def install(call: Call) -> None:
    from podlike.engine.quadlet import setup, systemctl

    for path in setup.install() or [setup.state()]:
        call.out(path)
    if setup.left_out():
        log.warning(setup.left_out())
    if systemctl.is_running():
        setup.reload()


def remove(call: Call) -> None:
    from podlike.engine.quadlet import setup, systemctl

    for path in setup.remove():
        call.out(path)
    if systemctl.is_running():
        systemctl.reload()


def status(call: Call) -> int:
    from podlike.engine.quadlet import setup

    made_by = setup.state()
    call.out(f"Services are made of Quadlets by: {made_by or 'nothing'}")
    if not made_by:
        call.out("Left to do: podlike quadlet generator install")
    return 0 if made_by else 1


def run(call: Call) -> int:
    from podlike.engine.quadlet import setup, systemctl

    if setup.generator("user" if systemctl.caller() else "system"):
        setup.reload()
        return 0
    return setup.refresh(start=call.opts.start)


_WHAT = ("systemd calls generators when it starts and on every daemon-reload; they lie in directories of root's. A user "
         "without root gets a service instead, ~/.config/systemd/user/podlike-quadlet.service, which makes the same services "
         "when the user's systemd starts.")

install_command = Command(
    "install", install, args=no_args, summary="Have services made of Quadlets",
    description=f"Have services made of Quadlets. As root: for the system and for all users.\n\n{_WHAT}",
    examples=("quadlet generator install",))
remove_command = Command(
    "remove", remove, args=no_args, summary="Have no services made of Quadlets",
    description="Take away what `quadlet generator install` made.", examples=("quadlet generator remove",))
status_command = Command(
    "status", status, args=no_args, summary="Show what makes services of Quadlets",
    description=f"Show what makes services of Quadlets. The exit code is 0 if something does.\n\n{_WHAT}",
    examples=("quadlet generator status",))
run_command = Command(
    "run", run, args=no_args, summary="Make services of Quadlets now",
    description="Make services of Quadlets now. With a generator this is `systemctl daemon-reload`.",
    flags=(Flag("start", "", "bool", "Start the services that default.target wants"),),
    examples=("quadlet generator run",))
