"""podlike volume create, exists, mount, prune, reload, rm, unmount."""

import sys

from podlike.cli.command import Call, Command, Flag, at_least, at_most, exactly, no_args
from podlike.errors import NotFoundError, PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.volumes import Volume

# Of docker's volumes in a swarm.
_CLUSTER = ("availability", "group", "limit-bytes", "required-bytes", "scope", "secret", "sharing", "topology-preferred",
            "topology-required", "type")


def create(call: Call) -> None:
    from podlike.engine.volumes import create_volume
    from podlike.spec.volumeopts import parse_pairs

    opts = call.opts
    for name in _CLUSTER:
        if call.changed(name):
            raise UsageError(f"use --{name}: it is for volumes of a cluster, and podlike runs on this machine only",
                             hint="Leave the option out.")
    name = call.args[0] if call.args else ""
    if getattr(opts, "name", ""):
        if name:
            raise UsageError("conflicting options: cannot specify a volume name through both --name and as a positional arg")
        name = opts.name
    volume = create_volume(
        call.engine, name, driver=opts.driver, labels=parse_pairs(opts.label, "labels"),
        options=parse_pairs(opts.opt, "options"), uid=opts.uid if call.changed("uid") else None,
        gid=opts.gid if call.changed("gid") else None, ignore=opts.ignore or call.docker)
    call.out(volume.name)


def exists(call: Call) -> int:
    return 0 if call.engine.volumes.get(call.args[0]) is not None else 1


def rm(call: Call) -> int:
    """Exit code: 0; 1 when all that failed did not exist; 2 in use; 125 otherwise (podman-volume-rm(1))."""
    from podlike.engine.volumes import remove_volume

    opts = call.opts
    if bool(call.args) == opts.all:
        raise UsageError("choose either one or more volumes or all", hint="Name volumes, or use --all.")
    if call.changed("time") and not opts.force:
        raise UsageError("--force option must be specified to use the --time option")
    timeout = opts.time if call.changed("time") else None
    # docker's --force is about volumes that are not there; what is in use stays.
    codes: list[int] = []
    for name in call.args or [v.name for v in call.engine.volumes.all()]:
        try:
            volume = call.engine.volumes.find(name)
            remove_volume(call.engine, volume, force=opts.force and not call.docker, timeout=timeout)
        except NotFoundError as e:
            if not (opts.force or opts.all):
                call.complain(e)
                codes.append(1)
        except PodlikeError as e:
            codes.append(call.complain(e))
        else:
            call.out(name if call.docker else volume.name)
    code = max((c for c in codes if c != 1), default=1 if codes else 0)
    return min(code, 1) if call.docker else code


def prune(call: Call) -> int:
    from podlike.engine.volumelist import prune_volumes
    from podlike.spec.sizes import human_size

    opts = call.opts
    if opts.dry_run:
        for volume in _doomed(call):
            call.out(volume.name)
        return 0
    if not opts.force and not (_docker_confirmed(call) if call.docker else _confirmed(call)):
        return 0
    gone, freed, failed = prune_volumes(call.engine, filters=opts.filter, anonymous_only=call.docker and not opts.all,
                                        docker=call.docker)
    if call.docker:
        if gone:
            call.out("\n".join(["Deleted Volumes:", *gone, ""]))
        call.out(f"Total reclaimed space: {human_size(freed, precision=4)}")
    else:
        for name in gone:
            call.out(name)
    codes = [call.complain(error) for error in failed]
    return codes[-1] if codes else 0


def _doomed(call: Call) -> "list[Volume]":
    from podlike.engine.volumelist import prunable

    return prunable(call.engine, call.opts.filter, anonymous_only=call.docker and not call.opts.all, docker=call.docker)


def _confirmed(call: Call) -> bool:
    call.out("WARNING! This will remove all volumes not used by at least one container. The following volumes will be removed:")
    doomed = _doomed(call)
    if not doomed:
        call.out("No dangling volumes found")
        return False
    for volume in doomed:
        call.out(volume.name)
    return _asked()


def _docker_confirmed(call: Call) -> bool:
    kind = "all" if call.opts.all else "anonymous"
    call.out(f"WARNING! This will remove {kind} local volumes not used by at least one container.")
    return _asked()


def _asked() -> bool:
    sys.stdout.write("Are you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def reload(call: Call) -> None:
    """There are no plugins whose volumes could have changed; those that are configured are named."""
    from podlike import log

    for name in call.engine.config.engine.volume_plugins:
        log.warning(f"volume plugin {name} of containers.conf is left out: podlike has the drivers local and image only")


def mount(call: Call) -> int:
    from podlike.engine import volumemount

    return call.each(call.args, lambda name: volumemount.mount(call.engine, call.engine.volumes.find(name)))


def unmount(call: Call) -> int:
    from podlike.engine import volumemount

    def one(name: str) -> str:
        volumemount.unmount(call.engine, call.engine.volumes.find(name))
        return name

    return call.each(call.args, one)


create_command = Command(
    "create", create, usage="[NAME]", args=at_most(1), summary="Create a new volume",
    description="If using the default driver, \"local\", the volume will be created on the host in the volumes directory "
                "under container storage.\n\nWith --opt type=, device= and o=, as after mount(8), it is a file system of its "
                "own, mounted while a container uses it. The driver \"image\" makes a volume with the files of an image "
                "(--opt image=NAME). An ordinary user can have volumes of type bind, tmpfs, ramfs, overlay and fuse.",
    flags=(Flag("driver", "d", "string", "Specify volume driver name", "local"),
           Flag("gid", "", "int", "Set the GID of the volume owner"),
           Flag("ignore", "", "bool", "Don't fail if volume already exists"),
           Flag("label", "l", "array", "Set metadata for a volume", default_text="[]"),
           Flag("name", "", "string", "Specify volume name", hidden=True),
           Flag("opt", "o", "array", "Set driver specific options", default_text="[]"),
           Flag("uid", "", "int", "Set the UID of the volume owner"),
           *(Flag(name, "", "string", "Of volumes in a cluster", hidden=True) for name in _CLUSTER)),
    examples=("volume create myvol", "volume create", "volume create --label foo=bar myvol",
              "volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=100m scratch",
              "volume create --opt type=bind --opt device=/srv/data data", "volume create --uid 4321 --gid 1234 myvol"))

exists_command = Command(
    "exists", exists, usage="VOLUME", args=exactly(1), summary="Check if volume exists",
    description="If the given volume exists, podlike volume exists exits with 0, otherwise the exit code will be 1.",
    examples=("volume exists myvol",))

mount_command = Command(
    "mount", mount, usage="VOLUME [VOLUME...]", args=at_least(1), summary="Mount volume",
    description="Mounts a volume and prints the path of its files. An ordinary user does this inside `podlike unshare`.",
    examples=("volume mount myVol", "unshare podlike volume mount myVol"))

unmount_command = Command(
    "unmount", unmount, usage="VOLUME [VOLUME...]", args=at_least(1), summary="Unmount volume",
    description="Takes back what `podlike volume mount` did. A volume stays mounted while a container that uses it runs.",
    examples=("volume unmount myvol",))

prune_command = Command(
    "prune", prune, args=no_args, summary="Remove all unused volumes",
    description="Volumes that are not currently owned by a container will be removed.\n\nThe command prompts for confirmation "
                "which can be overridden with the --force flag.\nNote all data will be destroyed.",
    flags=(Flag("all", "a", "bool", "Remove all unused volumes, not just anonymous ones"),
           Flag("dry-run", "", "bool", "Print what would be removed, and remove nothing"),
           Flag("filter", "", "array", "Provide filter values (e.g. 'label=<key>=<value>')"),
           Flag("force", "f", "bool", "Do not prompt for confirmation")),
    examples=("volume prune", "volume prune --force", "volume prune --filter label=stage=test"))

reload_command = Command(
    "reload", reload, args=no_args, summary="Reload all volumes from volume plugins",
    description="Checks all configured volume plugins and updates the database with all available volumes. podlike has no "
                "plugins: there is never anything to do.",
    examples=("volume reload",))

rm_command = Command(
    "rm", rm, usage="VOLUME [VOLUME...]", summary="Remove one or more volumes",
    description="Removes one or more existing volumes.\n\nBy default only volumes that are not being used by any containers "
                "will be removed. To remove the volumes anyways, use the --force flag.",
    flags=(Flag("all", "a", "bool", "Remove all volumes"),
           Flag("force", "f", "bool", "Remove a volume by force, even if it is being used by a container"),
           Flag("time", "t", "int", "Seconds to wait for running containers to stop before killing the container", 10,
                aliases=("timeout",))),
    examples=("volume rm myvol1 myvol2", "volume rm --all", "volume rm --force myvol"))
