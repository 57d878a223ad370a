"""podlike build: an image from a Dockerfile."""

import os
import sys

from podlike.cli.buildflags import FLAGS, HARMLESS, OF_RUN, REFUSED
from podlike.cli.command import Call, Command, Options, Parser, at_most
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.build.mounts import Secret
    from podlike.build.options import Options as BuildOptions
    from podlike.spec.container import ContainerSpec
    from podlike.store.images import Image


def build(call: Call) -> None:
    from podlike.build.stages import build as run
    from podlike.cli.signals import unwinding

    _refuse(call)
    out = _Output(call)
    try:
        options = _options(call, out)
        with unwinding():
            image = run(call.engine, options, stdin=sys.stdin.buffer)
        _write(call, image)
    finally:
        out.close()
    call.out(image.id)


class _Output:
    """Where STEP lines and the output of RUN go: with --quiet nowhere, with --logfile into the file."""

    def __init__(self, call: Call) -> None:
        self._kept: list[int] = []
        path = call.opts.logfile or (os.devnull if call.opts.quiet else "")
        if not path:
            return
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise UsageError(f"open logfile {path}: {(e.strerror or '').lower()}") from e
        sys.stdout.flush()
        self._kept = [os.dup(1), os.dup(2)]
        os.dup2(fd, 1)
        if call.opts.logfile:
            os.dup2(fd, 2)
        os.close(fd)

    def say(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()  # before what the container writes next

    def close(self) -> None:
        sys.stdout.flush()
        for number, fd in enumerate(self._kept, 1):
            os.dup2(fd, number)
            os.close(fd)
        self._kept = []


def _refuse(call: Call) -> None:
    for name in REFUSED:
        if call.changed(name) and str(getattr(call.opts, name.replace("-", "_"))) not in HARMLESS.get(name, ()):
            raise UsageError(f"build --{name}: this is not there yet", hint="Leave it away, or build with buildah and "
                             "`podlike pull containers-storage:IMAGE`.")
    o = call.opts
    if o.squash and o.squash_all:
        raise UsageError("cannot specify --squash-all with --squash")
    if o.isolation not in ("", "oci", "rootless", "default"):
        raise UsageError(f"build --isolation={o.isolation}: only oci is there",
                         hint="Leave it away: RUN has containers of its own.")
    if o.format not in ("oci", "docker"):
        raise UsageError(f'unrecognized image type "{o.format}"', hint="Use oci or docker.")
    if o.authfile and not os.path.exists(o.authfile):
        raise UsageError(f"credential file is not accessible: faccessat {o.authfile}: no such file or directory")
    if o.output and not all(_local_output(word) for word in o.output):
        raise UsageError(f"build --output={o.output[0]}: only type=local,dest=DIRECTORY and type=tar,dest=FILE are there")


def _options(call: Call, out: _Output) -> "BuildOptions":
    from podlike.build.options import Options as BuildOptions
    from podlike.build.stages import agents
    from podlike.cli.progress import make_progress
    from podlike.spec.buildargs import read_build_args
    from podlike.spec.environ import key_values

    o = call.opts
    files, context = _place(call)
    layers = o.layers if call.changed("layers") else _env_layers()
    epoch = o.timestamp or o.source_date_epoch or os.environ.get("SOURCE_DATE_EPOCH", "")
    return BuildOptions(
        context=context, files=files, names=_names(o.tag), target=o.target,
        args={**_argument_files(o.build_arg_file), **read_build_args(o.build_arg, os.environ)},
        contexts=dict(_pair("build-context", word) for word in o.build_context),
        labels=key_values(o.label), annotations=dict(_pair("annotation", word) for word in o.annotation),
        env=read_build_args(o.env, os.environ), unset_env=o.unsetenv, unset_labels=o.unsetlabel,
        inherit_labels=o.inherit_labels,
        identity_label=o.identity_label and (call.changed("identity-label") or not o.timestamp),
        platform=None, pull=_pull(call), ignore_file=o.ignorefile, layers=layers and not o.squash_all, cache=not o.no_cache,
        squash="all" if o.squash_all else "new" if o.squash else "", epoch=_seconds(epoch) if epoch else None,
        omit_history=o.omit_history, docker_format=(o.format if call.changed("format") else
                                                    os.environ.get("BUILDAH_FORMAT", o.format)) == "docker",
        skip_unused_stages=o.skip_unused_stages, base=getattr(o, "from"),
        secrets={s.id: s for s in map(_secret, o.secret)}, agents=agents(o.ssh), run=_template(call), say=out.say,
        registry=_registry(call), progress=make_progress(quiet=o.quiet))


def _place(call: Call) -> "tuple[list[str], str]":
    """(files, context): what is given, else what podman makes of it."""
    from podlike.engine.download import is_url

    _check_platform(call)
    context = call.args[0] if call.args else ""
    files = list(call.opts.file)
    if not context:
        # With a Dockerfile alone its directory is the context; from standard input there is none but this one.
        here = not files or files[0] == "-" or is_url(files[0])
        context = os.getcwd() if here else os.path.dirname(os.path.abspath(files[0]))
    if context == "-" and files:
        raise UsageError("reading the context and a Dockerfile from standard input", hint="Give one of them as a file.") \
            if "-" in files else UsageError("build -f FILE -: the context from standard input has a Dockerfile of its own",
                                            hint="Put the file into the archive, and leave -f away.")
    return files, context


def _check_platform(call: Call) -> None:
    from podlike.cli.pull import platform_words
    from podlike.spec.image import host_platform, parse_platform

    wanted = platform_words(call)
    if wanted and any(parse_platform(word) != host_platform() for word in wanted.split(",")):
        raise UsageError(f"build for {wanted}: other platforms than {host_platform()} cannot be built for yet",
                         hint="Build on a machine of that platform, and put the images together with `podlike manifest`.")


def _names(words: "list[str]") -> "list[str]":
    return [word for text in words for word in text.split(",")]


def _env_layers() -> bool:
    return os.environ.get("BUILDAH_LAYERS", "true").lower() not in ("false", "0", "f")


def _pull(call: Call) -> str:
    o = call.opts
    if o.pull_always:
        return "always"
    if o.pull_never:
        return "never"
    typed: str = o.pull.lower()
    policy = {"true": "always", "false": "missing", "ifmissing": "missing", "ifnewer": "newer"}.get(typed, typed)
    if policy not in ("always", "missing", "never", "newer"):
        raise UsageError(f'unrecognized pull policy "{o.pull}"', hint="Use always, missing, never or newer.")
    return policy


def _pair(flag: str, word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not key or (not equals and flag == "build-context"):
        raise UsageError(f"build --{flag}={word[:60]}: it must be NAME=VALUE")
    return key, value


def _argument_files(paths: "list[str]") -> "dict[str, str]":
    out: "dict[str, str]" = {}
    for path in paths:
        try:
            with open(path, encoding="utf-8") as f:
                lines = f.read().splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise UsageError(f"build --build-arg-file={path}: {getattr(e, 'strerror', None) or e}") from e
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            name, equals, value = text.partition("=")
            if not equals:
                raise UsageError(f"{path}:{number}: it must be NAME=VALUE")
            out[name.strip()] = value
    return out


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise UsageError(f"build: {text[:40]} is no number of seconds after the epoch")
    return int(text)


def _secret(text: str) -> "Secret":
    from podlike.build.mounts import Secret

    values = dict(_pair("secret", word) for word in text.split(","))
    name, kind = values.get("id", ""), values.get("type", "")
    if not name:
        raise UsageError(f"build --secret={text[:60]}: it has no id", hint="Write --secret id=NAME,src=FILE.")
    if kind == "env" or "env" in values:
        return Secret(name, variable=values.get("env") or values.get("src") or name)
    path = values.get("src") or values.get("source") or ""
    if not path:
        if name in os.environ:
            return Secret(name, variable=name)
        raise UsageError(f"build --secret={text[:60]}: it has no source",
                         hint="Write --secret id=NAME,src=FILE, or env=VARIABLE.")
    if not os.path.exists(path):
        raise UsageError(f"build --secret={text[:60]}: stat {path}: no such file or directory")
    return Secret(name, path=os.path.abspath(path))


def _template(call: Call) -> "ContainerSpec":
    """What RUN is given, read as `create` reads its own flags."""
    from podlike.cli.fillspec import fill_spec
    from podlike.cli.options import CREATE_ONLY, CREATE_TABLE, create_flags

    words: list[str] = []
    for name in OF_RUN:
        if not call.changed(name):
            continue
        value: "Any" = getattr(call.opts, name.replace("-", "_"))
        words += [f"--{name}={one}" for one in (value if isinstance(value, list) else [str(value)])]
    parser = Parser(create_flags(CREATE_TABLE, CREATE_ONLY), None)
    rest = parser.parse([*words, "build"], interspersed=False)
    spec = fill_spec(Call(call.command, call.path, Options(parser.values), rest, parser.given, call.session), CREATE_ONLY)
    spec.runtime_flags = [*spec.runtime_flags, *call.opts.runtime_flag]
    return spec


def _registry(call: Call) -> "dict[str, Any]":
    from podlike.cli.pull import registry_options

    return registry_options(call)


def _local_output(word: str) -> "tuple[str, str] | None":
    """(kind, destination) of --output, None for what is not there."""
    values = dict(part.partition("=")[::2] for part in word.split(",")) if "=" in word else {"type": "local", "dest": word}
    kind, dest = values.get("type", ""), values.get("dest", "")
    return (kind, dest) if kind in ("local", "tar") and dest else None


def _write(call: Call, image: "Image") -> None:
    import json

    o = call.opts
    for path, text in ((o.iidfile, f"sha256:{image.id}"), (o.iidfile_raw, image.id),
                       (o.metadata_file, json.dumps({"containerimage.digest": image.manifest_digest,
                                                     "containerimage.config.digest": f"sha256:{image.id}"}))):
        if not path:
            continue
        try:
            with open(path, "w") as f:
                f.write(text)
        except OSError as e:
            raise UsageError(f"failed to write to {path}: {(e.strerror or '').lower()}",
                             hint="The image was built; give a path that can be written.") from e
    for word in o.output:
        from podlike.build.output import write_output

        found = _local_output(word)
        assert found is not None
        write_output(call.engine, image, *found)


command = Command(
    "build", build, usage="[CONTEXT]", args=at_most(1), summary="Build an image using instructions from Containerfiles",
    description="Builds an OCI or Docker image using instructions from one or more Containerfiles and a specified build context "
                "directory.",
    flags=FLAGS,
    examples=("build .", "build --creds=username:password -t imageName -f Containerfile.simple .",
              "build --layers --force-rm --tag imageName ."))
