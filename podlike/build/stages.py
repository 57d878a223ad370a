"""A whole build: which stages are wanted, and one after the other."""

import os
import re
from contextlib import ExitStack

from podlike.build.context import find_dockerfiles, open_context
from podlike.build.options import Options
from podlike.build.resources import Resources
from podlike.build.stage import StageBuild
from podlike.errors import NotFoundError, PodlikeError, UsageError
from podlike.spec import image as spec
from podlike.spec import shellwords
from podlike.spec.buildargs import BuildArgs, platform_arguments
from podlike.spec.dockerfile import Dockerfile, Stage, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from podlike.engine.core import Engine
    from podlike.store.images import Image


def build(engine: "Engine", options: Options, *, stdin: "BinaryIO | None" = None) -> "Image":
    """The image that was built, with its names. stdin: for the context "-".

    Raises: UsageError with the Dockerfile's place, and whatever a step raises. What earlier steps made stays for the next
    build, and goes with `image prune`.
    """
    from podlike.build import rootview
    from podlike.engine import events
    from podlike.engine.images import local_name
    from podlike.engine.sweep import sweep
    from podlike.runtime.oci import find_runtime

    names = [local_name(name) for name in options.names]
    table = engine.config.engine
    find_runtime(options.run.runtime or table.runtime, roots=engine.roots, runtimes=table.runtimes)
    engine.enter_session()
    sweep(engine)
    rootview.sweep(engine)
    with ExitStack() as stack:
        context = open_context(engine, stack, options.context, ignore_file=options.ignore_file, files=list(options.files),
                               stdin=stdin)
        texts = find_dockerfiles(engine, context, options.context, list(options.files))
        file = parse("\n".join(text for _, text in texts), texts[0][0])
        resources = Resources(engine, options, context, stack)
        image = _Build(engine, options, file, resources).run()
    for name in names:
        engine.images.tag(image.id, name)
        options.say(f"Successfully tagged {name}")
    events.image(engine, "build", id=image.id, name=names[0] if names else "")
    return engine.images.get(image.id) or image


class _Build:
    def __init__(self, engine: "Engine", options: Options, file: Dockerfile, resources: Resources) -> None:
        self._engine = engine
        self._options = options
        self._file = file
        self._resources = resources
        host = spec.host_platform()
        self._args = BuildArgs(options.args, platform_arguments(options.platform or host, host))

    def run(self) -> "Image":
        for one in self._file.arguments:
            try:
                self._args.declare_global(one.text, self._file.escape)
            except UsageError as e:
                raise self._file.wrong(one.line, e.message, hint=e.hint) from e
        stages = [stage._replace(base=self._expand(stage, stage.base)) for stage in self._file.stages]
        target = self._target(stages)
        if self._options.base:
            stages[target] = stages[target]._replace(base=self._options.base)
        wanted = sorted(_needed(stages, target)) if self._options.skip_unused_stages else list(range(target + 1))
        passing: list[str] = []
        image: "Image | None" = None
        for n, index in enumerate(wanted, 1):
            stage = stages[index]
            prefix = f"[{n}/{len(wanted)}] " if len(wanted) > 1 else ""
            work = StageBuild(self._engine, self._options, self._file, stage, self._args, self._resources, prefix=prefix,
                              last=index == target)
            image = work.run(self._base(stage))
            passing += work.passing
            self._resources.stages[str(index)] = image
            if stage.name:
                self._resources.stages[stage.name] = image
        assert image is not None
        for name in self._args.unused():
            self._options.say(f"[Warning] one or more build args were not consumed: [{name}]")
        self._drop([i for i in passing if i != image.id])
        return image

    def _expand(self, stage: Stage, text: str) -> str:
        try:
            found = shellwords.expand(text, self._args.for_from, escape=self._file.escape)
        except UsageError as e:
            raise self._file.wrong(stage.line, e.message, hint=e.hint) from e
        if not found:
            raise self._file.wrong(stage.line, f"FROM {text}: no image is left when its variables are replaced",
                                   hint="Give their ARGs before the first FROM a value.")
        return found

    def _target(self, stages: "list[Stage]") -> int:
        wanted = self._options.target
        if not wanted:
            return len(stages) - 1
        for n, stage in enumerate(stages):
            if stage.name == wanted.lower() or str(n) == wanted:
                return n
        known = ", ".join(stage.name for stage in stages if stage.name)
        raise NotFoundError(f"the target {wanted!r} was not found in the provided Dockerfile",
                            hint=f"Its stages are {known}." if known else "None of its stages has a name (FROM ... AS name).")

    def _base(self, stage: Stage) -> "Image | None":
        if stage.base == "scratch":
            return None
        if stage.platform and spec.parse_platform(self._expand(stage, stage.platform)) != spec.host_platform():
            raise self._file.wrong(stage.line, f"FROM --platform={stage.platform}: other platforms cannot be built for yet",
                                   hint="Build on a machine of that platform.")
        try:
            return self._resources.image(stage.base)
        except PodlikeError as e:
            e.message = f"creating build container: {e.message}"
            raise

    def _drop(self, ids: "list[str]") -> None:
        """Images of steps that nobody will use again."""
        from podlike.engine.imageremove import remove_all

        found = [image for image_id in reversed(ids) if (image := self._engine.images.get(image_id)) is not None]
        remove_all(self._engine, [image.id for image in found if not image.names], ignore=True, prune=False)


def _needed(stages: "list[Stage]", target: int) -> set[int]:
    """The stage and all that it takes something from."""
    found: set[int] = set()
    todo = [target]
    while todo:
        index = todo.pop()
        if index in found:
            continue
        found.add(index)
        todo += [n for name in _references(stages[index]) if (n := _stage_of(stages[:index], name)) is not None]
    return found


def _references(stage: Stage) -> "list[str]":
    names = [stage.base]
    for one in stage.instructions:
        names += [one.flag("from")] if one.flag("from") else []
        for word in one.repeated("mount"):
            names += re.findall(r"(?:^|,)from=([^,]+)", word)
    return names


def _stage_of(before: "list[Stage]", name: str) -> int | None:
    for n in range(len(before) - 1, -1, -1):
        if name.lower() == before[n].name or name == str(n):
            return n
    return None


def agents(words: "list[str]") -> "dict[str, str]":
    """--ssh default|ID[=SOCKET]: id -> socket. Raises: UsageError."""
    import stat

    out = {}
    for word in words:
        name, equals, path = word.partition("=")
        path = path if equals else os.environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise UsageError(f"--ssh {word}: no ssh agent is running here", hint="Start one: eval $(ssh-agent); ssh-add.")
        try:
            if not stat.S_ISSOCK(os.stat(path).st_mode):
                raise UsageError(f"--ssh {word}: {path} is no agent's socket: keys as files are not supported",
                                 hint="Start an agent and give it the key: eval $(ssh-agent); ssh-add KEY.")
        except OSError as e:
            raise UsageError(f"--ssh {word}: {path}: {(e.strerror or '').lower()}") from e
        out[name] = path
    return out
