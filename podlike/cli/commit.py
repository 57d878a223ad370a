"""podlike commit: an image from a container."""

from podlike.cli.command import Call, Command, Flag, between
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.commit import Options

_CHANGES = "CMD | ENTRYPOINT | ENV | EXPOSE | LABEL | ONBUILD | STOPSIGNAL | USER | VOLUME | WORKDIR"


def commit(call: Call) -> None:
    from podlike.engine.commit import Options

    o = call.opts
    options = Options(name=_name(call), format=o.format, author=o.author, message=o.message, changes=o.change,
                      config=_read(o.config) if o.config else "", pause=o.pause, squash=o.squash,
                      include_volumes=o.include_volumes)
    image = _run(call, options, quiet=o.quiet)
    if o.iidfile:
        try:
            with open(o.iidfile, "w") as f:
                f.write(image)
        except OSError as e:
            raise UsageError(f"failed to write image ID: open {o.iidfile}: {e.strerror}",
                             hint="The image was made; give a path that can be written.") from e
    call.out(image)


def docker_commit(call: Call) -> None:
    from podlike.engine.query import find

    o = call.opts
    made_by = " ".join(find(call.engine, call.args[0].removeprefix("/")).spec.args)
    options = _docker_options(call, created_by=made_by or "/bin/sh", pause=o.pause and not o.no_pause)
    call.out(f"sha256:{_run(call, options, quiet=True)}")


def _docker_options(call: Call, *, created_by: str, pause: bool) -> "Options":
    from podlike.engine.commit import Options

    o = call.opts
    return Options(name=_name(call), format="docker", author=o.author, message=o.message, changes=o.change, pause=pause,
                   created_by=created_by, from_comment=False)


def _name(call: Call) -> str:
    return call.args[1] if len(call.args) > 1 else ""


def _run(call: Call, options: "Options", *, quiet: bool) -> str:
    from podlike.cli.options import one_container
    from podlike.cli.progress import make_progress
    from podlike.cli.signals import unwinding
    from podlike.engine.commit import commit as make

    container = one_container(call, call.args[0].removeprefix("/"))
    progress = make_progress(quiet=quiet)
    try:
        with unwinding():
            return make(call.engine, container, options, progress=progress).id
    finally:
        progress.close()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except (OSError, UnicodeDecodeError) as e:
        why = (e.strerror or str(e)).lower() if isinstance(e, OSError) else "it is no UTF-8"
        raise UsageError(f"--config: open {path}: {why}") from e


_AUTHOR = Flag("author", "a", "string", "Set the author for the image committed")
_CHANGE = Flag("change", "c", "array", f"Apply the following possible instructions to the created image (default []): {_CHANGES}")
_ABOUT = ("Create an image from a container's changes. Optionally tag the image created, set the author with the --author flag, "
          "set the commit message with the --message flag, and make changes to the instructions with the --change flag.")
_EXAMPLES = ('commit -q --message "committing container to image" reverent_golick image-committed',
             'commit -q --author "firstName lastName" reverent_golick image-committed',
             "commit -q --pause=false containerID image-committed", "commit containerID")

command = Command(
    "commit", commit, usage="CONTAINER [IMAGE]", args=between(1, 2),
    summary="Create new image based on the changed container", description=_ABOUT, examples=_EXAMPLES,
    flags=(_AUTHOR, _CHANGE,
           Flag("config", "", "string", "file containing a container configuration to merge into the image", metavar="file"),
           Flag("format", "f", "string", "Format of the image manifest and metadata", "oci", metavar="Format"),
           Flag("iidfile", "", "string", "file to write the image ID to", metavar="file"),
           Flag("include-volumes", "", "bool", "Include container volumes as image volumes"),
           Flag("message", "m", "string", "Set commit message for imported image"),
           Flag("pause", "p", "bool", "Pause container during commit"), Flag("quiet", "q", "bool", "Suppress output"),
           Flag("squash", "s", "bool", "squash newly built layers into a single new layer")))

docker_command = Command(
    "commit", docker_commit, usage="CONTAINER [REPOSITORY[:TAG]]", args=between(1, 2),
    summary="Create a new image from a container's changes", description=_ABOUT,
    flags=(Flag("author", "a", "string", "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")"),
           Flag("change", "c", "array", "Apply Dockerfile instruction to the created image", metavar="list"),
           Flag("message", "m", "string", "Commit message"),
           Flag("no-pause", "", "bool", "Disable pausing container during commit"),
           Flag("pause", "p", "bool", "Pause container during commit", True)))
