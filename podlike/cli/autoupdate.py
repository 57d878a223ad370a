"""podlike auto-update: restart units whose images have a newer version."""

import sys

from podlike.cli.command import Call, Command, Flag, no_args
from podlike.errors import PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.autoupdate import Task


def auto_update(call: Call) -> int:
    from podlike.cli.progress import make_progress
    from podlike.engine.autoupdate import Wishes
    from podlike.engine.autoupdate import auto_update as update

    opts = call.opts
    if call.changed("authfile"):
        from podlike.cli.fillspec import check_authfile

        check_authfile(opts.authfile)
    wishes = Wishes(dry_run=opts.dry_run, rollback=opts.rollback, authfile=opts.authfile or None,
                    tls_verify=opts.tls_verify if call.changed("tls-verify") else None)
    progress = make_progress()
    try:
        tasks, errors = update(call.engine, wishes, progress)
    finally:
        progress.close()
    if tasks:
        _print(call, tasks)
        _tell_linger(call)
    if errors:
        raise _joined(errors)
    return 0


def _print(call: Call, tasks: "list[Task]") -> None:
    from podlike.cli.output import print_rows
    from podlike.spec.govalues import View

    rows = []
    for task in tasks:
        c = task.container
        doc = {"Unit": task.unit, "Container": f"{c.id[:12]} ({c.name})", "ContainerName": c.name, "ContainerID": c.id,
               "Image": task.name, "Policy": task.policy, "Updated": task.status}
        rows.append(View(doc, doc))
    print_rows(call, rows, "{{.Unit}}\t{{.Container}}\t{{.Image}}\t{{.Policy}}\t{{.Updated}}", format=call.opts.format)


def _tell_linger(call: Call) -> None:
    """Updates at night need a user whose units run at night."""
    from podlike.engine.startup import Startup

    sys.stdout.flush()
    if sys.stderr.isatty() and not Startup(call.engine.roots).lingering:
        sys.stderr.write("Hint: your units, and the timer podlike-auto-update.timer, run only while you are logged in, as your "
                         "user does not linger: run `loginctl enable-linger`.\n")


def _joined(errors: list[PodlikeError]) -> PodlikeError:
    """One as it is, several as podman lists them."""
    if len(errors) == 1:
        errors[0].exit_code = PodlikeError.exit_code
        return errors[0]
    return PodlikeError(f"{len(errors)} errors occurred:\n\t* " + "\n\t* ".join(e.message for e in errors),
                        hint=next((e.hint for e in errors if e.hint), None))


command = Command(
    "auto-update", auto_update, args=no_args, summary="Auto update containers according to their auto-update policy",
    description="Auto update containers according to their auto-update policy.\n\n  Auto-update policies are specified with the "
                '"io.containers.autoupdate" label.\n  Containers are expected to run in systemd units created with '
                '"podlike generate systemd --new",\n  or similar units that create new containers in order to run the updated '
                "images.\n  The timer podlike-auto-update.timer does it every day.",
    flags=(Flag("authfile", "", "string", "Path to the authentication file. Use REGISTRY_AUTH_FILE environment variable to "
                                          "override"),
           Flag("dry-run", "", "bool", "Check for pending updates"),
           Flag("format", "", "string", "Change the output format to JSON or a Go template"),
           Flag("rollback", "", "bool", "Rollback to previous image if update fails", True),
           Flag("tls-verify", "", "bool", "Require HTTPS and verify certificates when contacting registries", True)),
    examples=("auto-update", "auto-update --authfile ~/authfile.json"))
