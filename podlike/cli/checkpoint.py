"""podlike container checkpoint, podlike container restore."""

import time

from podlike.cli.command import Call, Command, Flag
from podlike.cli.options import LATEST, check_selection, select
from podlike.errors import PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from podlike.store.containers import Container

_COMPRESSIONS: "Final" = ("none", "gzip", "zstd")


def checkpoint(call: Call) -> int:
    from podlike.engine.checkpoint import Options, refuse_without_criu
    from podlike.engine.checkpoint import checkpoint as save

    o = call.opts
    check_selection(call)
    if call.changed("compress"):
        if not o.export:
            raise UsageError("--compress can only be used with --export")
        if o.compress.lower() not in _COMPRESSIONS:
            raise UsageError(f'selected compression algorithm ("{o.compress}") not supported. Please select one from: '
                             "gzip, none, zstd")
    refuse_without_criu("checkpointing")
    for name in ("ignore-rootfs", "ignore-volumes"):
        if call.changed(name) and not o.export:
            raise UsageError(f"--{name} can only be used with --export")
    if o.with_previous and o.pre_checkpoint:
        raise UsageError("--with-previous can not be used with --pre-checkpoint")
    _refuse(call, "export", "create-image")
    options = Options(keep=o.keep, leave_running=o.leave_running, tcp_established=o.tcp_established, file_locks=o.file_locks,
                      pre_checkpoint=o.pre_checkpoint, with_previous=o.with_previous)
    return _each(call, "checkpoint", lambda c: save(call.engine, c, options), ("running",))


def restore(call: Call) -> int:
    from podlike.engine.checkpoint import Options, has_checkpoint, refuse_without_criu
    from podlike.engine.checkpoint import restore as bring_back

    o = call.opts
    if not o.import_:
        check_selection(call)
    refuse_without_criu("restoring")
    if not o.import_:
        for name in ("import-previous", "ignore-rootfs", "ignore-volumes", "name", "pod"):
            if call.changed(name):
                raise UsageError(f"--{name} can only be used with image or --import")
    elif o.all or o.latest or call.args:
        raise UsageError(f"cannot use --import with {'positional arguments' if call.args else '--all or --latest'}")
    _refuse(call, "import", "publish", "ignore-static-ip", "ignore-static-mac")
    options = Options(keep=o.keep, tcp_established=o.tcp_established, tcp_close=o.tcp_close, file_locks=o.file_locks)

    def one(container: "Container") -> float | None:
        if o.all and not has_checkpoint(call.engine, container):
            return None
        return bring_back(call.engine, container, options)

    return _each(call, "restore", one, ("exited",))


def _refuse(call: Call, *names: str) -> None:
    """Flags of checkpoints that leave the machine."""
    for name in names:
        if call.changed(name):
            raise UsageError(f"--{name} is not supported by this version of podlike: a checkpoint stays with its container",
                             hint="Leave it out, and restore the container where it is.")


def _each(call: Call, verb: str, action: "Callable[[Container], float | None]", states: tuple[str, ...]) -> int:
    """Print what was typed, or with --print-stats how long each took in microseconds."""
    from podlike.cli.command import print_error
    from podlike.cli.output import print_json

    started, code = time.monotonic(), 0
    statistics = []
    for typed, container in select(call, default_states=states):
        try:
            took = action(container)
        except PodlikeError as e:
            print_error(e)
            code = e.exit_code
            continue
        if took is None:
            continue
        if call.opts.print_stats:
            statistics.append({"Id": container.id, f"runtime_{verb}_duration": int(took * 1e6), "criu_statistics": None})
        else:
            call.out(typed)
    if call.opts.print_stats:
        took_all = int((time.monotonic() - started) * 1e6)
        print_json({f"podman_{verb}_duration": took_all, "container_statistics": statistics}, indent=4)
    return code


_KEEP = Flag("keep", "k", "bool", "Keep all temporary checkpoint files")

checkpoint_command = Command(
    "checkpoint", checkpoint, usage="CONTAINER [CONTAINER...]", summary="Checkpoint one or more containers",
    description="Checkpoints one or more running containers. The container name or ID can be used.\n\nCRIU does it, for root.",
    flags=(Flag("all", "a", "bool", "Checkpoint all running containers"),
           Flag("compress", "c", "string", "Select compression algorithm (gzip, none, zstd) for checkpoint archive.", "zstd"),
           Flag("create-image", "", "string", "Create checkpoint image with specified name"),
           Flag("export", "e", "string", "Export the checkpoint image to a tar.gz"),
           Flag("file-locks", "", "bool", "Checkpoint a container with file locks"),
           Flag("ignore-rootfs", "", "bool", "Do not include root file-system changes when exporting"),
           Flag("ignore-volumes", "", "bool", "Do not export volumes associated with container"), _KEEP, LATEST,
           Flag("leave-running", "R", "bool", "Leave the container running after writing checkpoint to disk"),
           Flag("pre-checkpoint", "P", "bool", "Dump container's memory information only, leave the container running"),
           Flag("print-stats", "", "bool", "Display checkpoint statistics"),
           Flag("tcp-established", "", "bool", "Checkpoint a container with established TCP connections"),
           Flag("with-previous", "", "bool", "Checkpoint container with pre-checkpoint images")),
    examples=("container checkpoint --keep ctrID", "container checkpoint --all", "container checkpoint --leave-running --latest"))

restore_command = Command(
    "restore", restore, usage="CONTAINER [CONTAINER...]", summary="Restore one or more containers from a checkpoint",
    description="Restores a container from a checkpoint. The container name or ID can be used.\n\nCRIU does it, for root.",
    flags=(Flag("all", "a", "bool", "Restore all checkpointed containers"),
           Flag("file-locks", "", "bool", "Restore a container with file locks"),
           Flag("ignore-rootfs", "", "bool", "Do not apply root file-system changes when importing from exported checkpoint"),
           Flag("ignore-static-ip", "", "bool", "Ignore IP address set via --static-ip"),
           Flag("ignore-static-mac", "", "bool", "Ignore MAC address set via --mac-address"),
           Flag("ignore-volumes", "", "bool", "Do not export volumes associated with container"),
           Flag("import", "i", "string", "Restore from exported checkpoint archive (tar.gz)", dest="import_"),
           Flag("import-previous", "", "string", "Restore from exported pre-checkpoint archive (tar.gz)"), _KEEP, LATEST,
           Flag("name", "n", "string", "Specify new name for container restored from exported checkpoint (only works with "
                "image or --import)"),
           Flag("pod", "", "string", "Restore container into existing Pod (only works with image or --import)"),
           Flag("print-stats", "", "bool", "Display restore statistics"),
           Flag("publish", "p", "strings", "Publish a container's port, or a range of ports, to the host (default [])"),
           Flag("tcp-close", "", "bool", "Restore a container and close all TCP connections"),
           Flag("tcp-established", "", "bool", "Restore a container with established TCP connections")),
    examples=("container restore ctrID", "container restore --all"))
