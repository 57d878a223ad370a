"""podlike container runlabel: run the command that an image's label holds."""

import os
import sys

from podlike.cli.command import Call, Command, Flag, at_least
from podlike.errors import NotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.runlabel import LabelCommand
    from podlike.store.images import Image


def runlabel(call: Call) -> int:
    from podlike.spec.runlabel import VARIABLES, command_of, container_name, find_label

    if os.environ.get("PODMAN_RUNLABEL_NESTED") == "1":
        raise UsageError("nested runlabel calls not supported", hint="The label's command runs a label itself.")
    label, typed, *more = call.args
    image, o = _image(call, typed), call.opts
    text = find_label((image.config.get("config") or {}).get("Labels") or {}, label.removeprefix("/"))
    if not text:
        raise NotFoundError(f"cannot find the value of label: {label} in image: {typed}")
    shown = next(iter(image.history or image.names), image.id)
    variables = {"OPT1": o.opt1, "OPT2": o.opt2, "OPT3": o.opt3, "PWD": os.getcwd(), "HOME": os.path.expanduser("~")}
    assert set(variables) == set(VARIABLES)
    name = container_name(o.name, image_id=image.id, image_name=shown, typed=typed)
    command = command_of(text, image=shown, name=name, more=more, variables=variables)
    if o.display:
        call.out(f"command: {' '.join([_own_name(call), *command.args])}")
        return 0
    if o.replace:
        _remove_old(call, command)
    return _run(call, command, variables)


def _image(call: Call, typed: str) -> "Image":
    from podlike.cli.progress import make_progress
    from podlike.engine.images import resolve
    from podlike.engine.pull import pull

    o = call.opts
    if not o.pull:
        return resolve(call.engine, typed)
    progress = make_progress(quiet=o.quiet)
    try:
        return pull(call.engine, typed, policy="missing", progress=progress, authfile=o.authfile or None, creds=o.creds or None,
                    cert_dir=o.cert_dir or None, tls_verify=o.tls_verify if call.changed("tls-verify") else None,
                    signature_policy=o.signature_policy or None)
    finally:
        progress.close()


def _own_name(call: Call) -> str:
    """As we were called; a module that Python runs has no name of its own."""
    return call.session.prog if sys.argv[0].endswith("__main__.py") else sys.argv[0]


def _remove_old(call: Call, command: "LabelCommand") -> None:
    from podlike.engine.query import find
    from podlike.engine.remove import remove

    name = next((after for word, after in zip(command.args, command.args[1:], strict=False) if word == "--name"), "")
    try:
        remove(call.engine, find(call.engine, name), force=True)
    except NotFoundError:
        pass


def _run(call: Call, command: "LabelCommand", variables: "dict[str, str]") -> int:
    """The command's exit code."""
    import subprocess

    roots = call.engine.roots
    ourselves = [sys.executable, "-m", "podlike", "--root", roots.data, "--runroot", roots.run]
    argv = [command.program] if command.program else ourselves
    given = {name: variables[name] for name in ("OPT1", "OPT2", "OPT3") if variables[name]}
    quiet = subprocess.DEVNULL if call.opts.quiet else None
    sys.stdout.flush()
    try:
        done = subprocess.run([*argv, *command.args], env={**os.environ, **given, "PODMAN_RUNLABEL_NESTED": "1"}, stdin=quiet,
                              stdout=quiet, stderr=quiet)
    except OSError as e:
        raise UsageError(f"run {argv[0]}: {(e.strerror or str(e)).lower()}",
                         hint="The label's command is not installed here; see it with --display.") from e
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


command = Command(
    "runlabel", runlabel, usage="LABEL IMAGE [ARG...]", args=at_least(2), interspersed=True,
    summary="Execute the command described by an image label",
    description="Executes a command as described by a container image label.",
    flags=(Flag("authfile", "", "string", "Path of the authentication file. Use REGISTRY_AUTH_FILE environment variable to "
                "override"),
           Flag("cert-dir", "", "string", "Pathname of a directory containing TLS certificates and keys", metavar="Pathname"),
           Flag("creds", "", "string", "Credentials (USERNAME:PASSWORD) to use for authenticating to a registry",
                metavar="Credentials"),
           Flag("display", "", "bool", "Preview the command that the label would run"),
           Flag("name", "n", "string", "Assign a name to the container"),
           Flag("opt1", "", "string", "Optional parameter to pass for install", hidden=True),
           Flag("opt2", "", "string", "Optional parameter to pass for install", hidden=True),
           Flag("opt3", "", "string", "Optional parameter to pass for install", hidden=True),
           Flag("pull", "p", "bool", "Pull the image if it does not exist locally prior to executing the label contents", True,
                hidden=True),
           Flag("quiet", "q", "bool", "Suppress output information when installing images"),
           Flag("replace", "", "bool", "Replace existing container with a new one from the image"),
           Flag("signature-policy", "", "string", "Pathname of signature policy file (not usually used)", hidden=True),
           Flag("tls-verify", "", "bool", "Require HTTPS and verify certificates when contacting registries", True)),
    examples=("container runlabel run imageID", "container runlabel install imageID arg1 arg2",
              "container runlabel --display run myImage"))
