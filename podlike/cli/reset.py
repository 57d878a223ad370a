"""podlike system reset, migrate, renumber."""

import sys

from podlike.cli.command import Call, Command, Flag, no_args
from podlike.errors import UsageError


def reset(call: Call) -> int:
    from podlike.engine.reset import reset as remove_everything

    if not call.opts.force and not _confirmed(call):
        return 0
    remove_everything(call.engine)
    return 0


def _confirmed(call: Call) -> bool:
    what = ("all containers", "all pods", "all images", "all networks", "all build cache", "all machines", "all volumes",
            f'the graphRoot directory: "{call.engine.roots.data}"', f'the runRoot directory: "{call.engine.roots.run}"')
    call.out("WARNING! This will remove:\n" + "\n".join(f"        - {item}" for item in what))
    sys.stdout.write("Are you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def migrate(call: Call) -> None:
    from podlike.engine.reset import migrate as stop_everything

    if call.opts.migrate_db:
        raise UsageError("use --migrate-db: there is no older kind of database", hint="A database of an older podlike is brought "
                         "up to date by the next command that opens it.")
    stop_everything(call.engine, runtime=call.opts.new_runtime, stopped=lambda cid: call.out(f"stopped {cid}"))


def renumber(call: Call) -> None:
    """Locks have names here, not numbers: there is nothing that could collide."""


command = Command(
    "reset", reset, args=no_args, summary="Reset podlike storage back to default state",
    description="Remove all containers, images, volumes and everything else that podlike keeps, and the session. Containers that "
                "run are killed. What is bound from elsewhere into containers and volumes is not touched.",
    flags=(Flag("force", "f", "bool", "Do not prompt for confirmation"),),
    examples=("system reset", "system reset --force"))

migrate_command = Command(
    "migrate", migrate, args=no_args, summary="Migrate containers",
    description="Stops all containers and ends the session, so that the next command makes a new one: after a change of the "
                "subordinate ids in /etc/subuid and /etc/subgid, or with another OCI runtime for the containers that exist.",
    flags=(Flag("migrate-db", "", "bool", "Migrate database to SQLite (there is no other)"),
           Flag("new-runtime", "", "string", "Specify a new runtime for all containers")),
    examples=("system migrate", "system migrate --new-runtime crun"))

renumber_command = Command(
    "renumber", renumber, args=no_args, summary="Migrate lock numbers",
    description="Migrate lock numbers. podlike's locks have names, which need no numbers: there is never anything to do.",
    examples=("system renumber",))
