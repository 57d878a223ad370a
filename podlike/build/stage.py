"""One stage of a build: instruction by instruction from its base to its image."""

import copy
import json
import os
import time
from contextlib import ExitStack

from podlike.build.options import Options
from podlike.engine.newimage import NewLayer, NoLayer, put_together
from podlike.errors import PodlikeError, UsageError
from podlike.spec import image as spec
from podlike.spec import shellwords
from podlike.spec.buildargs import BuildArgs, StageArgs
from podlike.spec.buildconfig import BuildConfig
from podlike.spec.dockerfile import Dockerfile, Instruction, Stage, parse_trigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

    from podlike.build.copystep import Copying
    from podlike.build.resources import Resources
    from podlike.build.rootview import RootView
    from podlike.engine.core import Engine
    from podlike.store.images import Image

_LAYERED: "Final" = ("RUN", "COPY", "ADD")


class StageBuild:
    """prefix: of each STEP line. last: this stage's image is the build's. resources: contexts, other stages, images."""

    def __init__(self, engine: "Engine", options: Options, file: Dockerfile, stage: Stage, args: BuildArgs,
                 resources: "Resources", *, prefix: str, last: bool) -> None:
        self._engine = engine
        self._options = options
        self._file = file
        self._stage = stage
        self._args = StageArgs(args)
        self._resources = resources
        self._prefix = prefix
        self._last = last
        self._image: "Image | None" = None  # what has been put into the store so far
        self._base: "Image | None" = None
        self._base_doc: "dict[str, Any]" = {}
        self._layers: list[str] = []
        self._history: "list[dict[str, Any]]" = []
        self._config = BuildConfig({})
        self._reuse = options.layers and options.cache  # until the first step that had to be done
        self._made: list[str] = []  # ids of images that only this build needs

    def run(self, base: "Image | None") -> "Image":
        """base: None for scratch. Raises: PodlikeError with the step's place."""
        self._begin(base)
        triggers = [parse_trigger(text, f"ONBUILD of {self._stage.base}", self._stage.line) for text in self._config.triggers]
        steps = [*triggers, *self._stage.instructions]
        self._say(1, len(steps), f"FROM {self._stage.base}{f' AS {self._stage.name}' if self._stage.name else ''}")
        done: "Image | None" = None
        for n, one in enumerate(steps, 2):
            self._say(n, len(steps), _shown(one))
            try:
                done = self._step(one, final=n == len(steps) + 1)
            except PodlikeError as e:
                e.message = f'building at STEP "{_shown(one)}": {e.message}'
                e.hint = e.hint or (f"See {self._file.path}:{one.line}." if one.line else None)
                raise
        if done is None:
            done = self._finish()
        return done

    def _begin(self, base: "Image | None") -> None:
        self._image = self._base = base
        if base is not None:
            self._base_doc = base.config
            self._layers = list(base.layers)
            self._history = copy.deepcopy(base.config.get("history") or [])
        run = dict(self._base_doc.get("config") or {})
        if not self._options.inherit_labels:
            run.pop("Labels", None)
        self._config = BuildConfig(run)
        for name, value in self._options.env.items():
            self._config.set_env(name, value)

    def _say(self, n: int, steps: int, text: str) -> None:
        self._options.say(f"{self._prefix}STEP {n}/{steps + 1}: {text}")

    # --- steps ---

    def _step(self, one: Instruction, *, final: bool) -> "Image | None":
        """The image, if this was the last step and made it."""
        if one.name == "RUN":
            return self._run(one, final=final)
        if one.name in _LAYERED:
            return self._copy(one, final=final)
        escape, env = self._file.escape, self._config.env
        if one.name == "ARG":
            self._args.declare(one.text, env, escape)
            self._note(f"ARG {' '.join(sorted(self._args.declared))}".strip())
            return None
        said = self._config.apply(one, self._args.visible(env), escape)
        if one.name == "WORKDIR" and (image := self._make_workdir(said, final=final)):
            return image
        if one.name != "WORKDIR" or self._history_end() != said:
            self._note(said)
        return None

    def _history_end(self) -> str:
        return str(self._history[-1].get("created_by", "")).removeprefix("/bin/sh -c #(nop) ") if self._history else ""

    def _note(self, said: str) -> None:
        self._history.append(self._entry(f"/bin/sh -c #(nop) {said}", empty=True))

    def _entry(self, created_by: str, *, empty: bool) -> "dict[str, Any]":
        entry: "dict[str, Any]" = {"created": self._now(), "created_by": created_by}
        if self._config.author:
            entry["author"] = self._config.author
        if empty:
            entry["empty_layer"] = True
        return entry

    def _now(self) -> str:
        from datetime import UTC, datetime

        if self._options.epoch is not None:
            return datetime.fromtimestamp(self._options.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _make_workdir(self, said: str, *, final: bool) -> "Image | None":
        """A working directory that is not there yet is a layer of its own."""
        from podlike.build.rootview import RootView
        from podlike.build.tarlayer import TarLayer

        with RootView(self._engine, self._layers, name="build") as view:
            path, st = view.resolve(self._config.workdir)
            if st is not None:
                return None
            layer = TarLayer(self._engine.roots.tmp)
            try:
                _with_parents(layer, view, path, self._options.epoch or 0)
                layer.finish()
                new = NewLayer(layer.fd, layer.diff_id, "working directory")
                image = self._add(f"/bin/sh -c #(nop) {said}", lambda: new, final=final, close=False)
            finally:
                layer.close()
        return image if final and self._whole_at_once else None

    def _expand(self, text: str) -> str:
        return shellwords.expand(text, self._args.visible(self._config.env), escape=self._file.escape)

    # --- RUN ---

    def _run(self, one: Instruction, *, final: bool) -> "Image | None":
        from podlike.build import mounts, runstep

        more, shown = self._args.of_run(self._config.env)
        argv, script, text = self._command(one)
        requests = [mounts.parse(self._expand(word)) for word in one.repeated("mount")]
        network = {"default": "", "none": "none", "host": "host"}.get(one.flag("network") or "default")
        if network is None:
            raise UsageError(f"RUN --network={one.flag('network')[:40]}: it must be default, none or host")
        if one.flag("security") not in ("", "sandbox", "insecure"):
            raise UsageError(f"RUN --security={one.flag('security')[:40]}: it must be sandbox or insecure")
        if one.repeated("device"):
            raise UsageError("RUN --device: devices for a single step are not there yet", hint="Give --device to `build`.")
        flags = "".join(f"--mount={word} " for word in one.repeated("mount"))
        created_by = f"{f'|{len(shown.split())} {shown} ' if shown else ''}/bin/sh -c {flags}{text}"
        sums = self._resources.checksums(requests)
        if sums:
            created_by += f" # mounts {sums}"

        def work() -> NewLayer:
            if self._image is None and not self._layers:
                raise UsageError("RUN in an empty image: there is nothing to run in it", hint="COPY a program in first.")
            assert self._image is not None
            running = runstep.Running(self._image.id, self._image.layers, argv, {**self._config.env, **more}, self._config.user,
                                      self._config.workdir, requests, network, one.flag("security") == "insecure", script)
            return runstep.run(self._engine, running, self._options.run, self._resources.sources(self._config.workdir))

        image = self._add(created_by, work, final=final)
        return image if final and self._whole_at_once else None

    def _command(self, one: Instruction) -> "tuple[list[str], str, str]":
        """(argv, text of a program for SCRIPT, what the history shows)."""
        from podlike.build.runstep import SCRIPT

        if one.words is not None:
            return list(one.words), "", json.dumps(list(one.words), ensure_ascii=False)
        if not one.heredocs:
            return [*self._config.shell, one.text], "", one.text
        whole = f"{one.text}\n" + "".join(f"{h.content}{h.name}\n" for h in one.heredocs)
        only = one.heredocs[0]
        if len(one.heredocs) == 1 and one.text.lstrip("0123456789").startswith("<<") and len(one.text.split()) == 1:
            # The here-document is the command: a script with an interpreter of its own, or lines for the shell.
            if only.content.startswith("#!"):
                return [SCRIPT], only.content, whole
            return [*self._config.shell, only.content], "", whole
        return [*self._config.shell, whole], "", whole

    # --- COPY, ADD ---

    def _copy(self, one: Instruction, *, final: bool) -> "Image | None":
        from podlike.build.copystep import CopyStep
        from podlike.build.rootview import RootView
        from podlike.build.tarlayer import TarLayer

        words = self._words(one)
        if not one.heredocs and len(words) < 2:
            raise UsageError(f"{one.name} needs at least a source and a destination")
        with ExitStack() as stack:
            origin = self._expand(one.flag("from"))
            tree = self._resources.tree(stack, origin)
            view = stack.enter_context(RootView(self._engine, self._layers, name="build"))
            how = self._copying(stack, one, words, view, from_elsewhere=bool(origin))
            layer = TarLayer(self._engine.roots.tmp)
            stack.callback(layer.close)
            CopyStep(layer, view, tree, how).run()
            kind = "multi" if len(words) > 2 else "dir" if "dir" in layer.kinds else "file"
            link = " --link" if one.flag("link") == "true" else ""
            created_by = f"/bin/sh -c #(nop) {one.name}{link} {kind}:{layer.content} in {words[-1]} "
            new = NewLayer(layer.fd, layer.diff_id, f"layer of {one.name}")
            image = self._add(created_by, lambda: new, final=final, close=False)
        return image if final and self._whole_at_once else None

    def _words(self, one: Instruction) -> list[str]:
        raw = list(one.words) if one.words is not None else shellwords.split(one.text, escape=self._file.escape)
        return [word if one.heredocs and "<<" in word else self._expand(word) for word in raw]

    def _copying(self, stack: ExitStack, one: Instruction, words: "Sequence[str]", view: "RootView", *,
                 from_elsewhere: bool) -> "Copying":
        from podlike.build.copystep import Copying
        from podlike.spec.ignorefile import Ignored

        *sources, target = words
        urls = [word for word in sources if word.startswith(("http://", "https://"))]
        if urls and one.name == "COPY":
            raise UsageError("source can't be a URL for COPY", hint="ADD fetches URLs.")
        if one.flag("checksum") and len(urls) != 1:
            raise UsageError("ADD --checksum is for one URL")
        if one.flag("keep-git-dir") == "true" or any(url.partition("#")[0].endswith(".git") for url in urls):
            raise UsageError("ADD of a git repository is not supported", hint="Clone it in a RUN, or before the build.")
        plain = [word for word in sources if word not in urls and not (one.heredocs and "<<" in word)]
        files = [(h.name, (self._expand_text(h.content) if h.expand else h.content).encode()) for h in one.heredocs]
        excluded = [self._expand(word) for word in one.repeated("exclude")]
        owner = self._owner(one, view, keep=from_elsewhere)
        place = target if target.startswith("/") else f"{self._config.workdir.rstrip('/')}/{target}"
        if target in (".", "./") or place.endswith("/.") or len(files) > 1:
            place = place.rstrip("/.") + "/"
        unpack = one.flag("unpack")
        return Copying(plain, place or "/", files, [self._download(stack, url, one, target) for url in urls], owner,
                       self._expand(one.flag("chmod")), one.flag("parents") == "true",
                       Ignored(excluded, f"{one.name} --exclude") if excluded else None,
                       one.name == "ADD" and unpack != "false", from_elsewhere, self._options.epoch)

    def _expand_text(self, text: str) -> str:
        """A here-document: variables are replaced, quotes stay."""
        variables = self._args.visible(self._config.env)
        quoted = text.replace("'", "\0s").replace('"', "\0d")
        return shellwords.expand(quoted, variables, escape=self._file.escape).replace("\0s", "'").replace("\0d", '"')

    def _owner(self, one: Instruction, view: "RootView", *, keep: bool) -> "tuple[int, int] | None":
        text = self._expand(one.flag("chown"))
        if not text:
            return None if keep else (0, 0)
        from podlike.engine.users import lookup_user

        found = lookup_user(view.root, text, groups=[])
        return found.uid, found.gid if ":" in text or not text.isdigit() else found.uid

    def _download(self, stack: ExitStack, url: str, one: Instruction, target: str) -> tuple[str, int, int]:
        import hashlib
        from urllib.parse import unquote, urlsplit

        from podlike.engine.download import download

        fd = download(self._engine, url)
        stack.callback(os.close, fd)
        if wanted := self._expand(one.flag("checksum")):
            algorithm, digits = spec.split_digest(wanted)
            digest = hashlib.new(algorithm)
            while piece := os.read(fd, 1 << 20):
                digest.update(piece)
            if digest.hexdigest() != digits:
                raise PodlikeError(f"ADD {url}: its digest is {algorithm}:{digest.hexdigest()}, and not {wanted}",
                                   hint="Check what changed there before you change --checksum.")
            os.lseek(fd, 0, os.SEEK_SET)
        name = unquote(urlsplit(url).path).rsplit("/", 1)[-1]
        if not name and target.endswith("/"):
            raise UsageError(f"ADD {url}: the URL has no file name", hint="Name the file in the destination.")
        return name, fd, 0

    # --- images ---

    def _add(self, created_by: str, work: "Callable[[], NewLayer]", *, final: bool, close: bool = True) -> "Image":
        """Take the step from an earlier build, or do it; the stage goes on from there."""
        history = [*self._history, self._entry(created_by, empty=False)]
        final = final and self._whole_at_once
        cached = self._cached(history, None, final=final) if self._reuse else None
        if cached is not None:
            self._options.say(f"--> Using cache {cached.id}")
            self._history = copy.deepcopy(cached.config.get("history") or history)
            self._image, self._layers = cached, list(cached.layers)
            if final:
                self._tell(cached)
            return cached
        self._reuse = False
        layer = work()
        try:
            self._history = history
            image = self._put(layer, final=final)
        finally:
            if close:
                os.close(layer.fd)
        self._image, self._layers = image, list(image.layers)
        if final:
            self._tell(image)
        else:
            self._made.append(image.id)
            if self._options.layers:
                self._options.say(f"--> {image.id[:12]}")
        return image

    @property
    def _whole_at_once(self) -> bool:
        """Whether the last step's image is the stage's: nothing has to be made of it afterwards."""
        return self._options.layers and not self._options.squash

    def _cached(self, history: "Sequence[dict[str, Any]]", layers: "list[str] | None", *, final: bool) -> "Image | None":
        """An image of an earlier build that has the same history on the same layers, and the same config.

        layers: of that image; None: one more than those so far.
        """
        wanted = [(e.get("created_by"), bool(e.get("empty_layer"))) for e in history]
        run = self._run_config(final=final)
        for image in self._engine.images.all():
            doc = image.config
            have = [(e.get("created_by"), bool(e.get("empty_layer"))) for e in doc.get("history") or [] if isinstance(e, dict)]
            fits = image.layers == layers if layers is not None else image.layers[:-1] == self._layers
            if (have == wanted and fits and (doc.get("config") or {}) == run
                    and not image.read_only and all(self._engine.layers.has(d) for d in image.layers)):
                return image
        return None

    def _run_config(self, *, final: bool) -> "dict[str, Any]":
        run = json.loads(json.dumps(self._config.run))
        if final and self._last:
            labels = {**(run.get("Labels") or {}), **self._options.labels}
            if self._options.identity_label:
                from podlike import __version__

                labels["io.buildah.version"] = __version__
            run["Labels"] = {k: v for k, v in labels.items() if k not in self._options.unset_labels}
            run["Env"] = [e for e in run.get("Env") or [] if e.partition("=")[0] not in self._options.unset_env]
        return {key: value for key, value in run.items() if value not in (None, [], {}, "")}

    def _document(self, layers: "Sequence[str]", *, final: bool) -> "dict[str, Any]":
        host = self._options.platform or spec.host_platform()
        base = self._base_doc
        doc: "dict[str, Any]" = {"created": self._now(), "author": self._config.author or base.get("author") or "",
                                 "architecture": base.get("architecture") or host.architecture, "os": base.get("os") or host.os,
                                 "variant": base.get("variant") or (host.variant if not base else ""),
                                 "config": self._run_config(final=final),
                                 "rootfs": {"type": "layers", "diff_ids": list(layers)}, "history": self._history}
        if final and self._last and self._options.omit_history:
            doc["history"] = []
        return {key: value for key, value in doc.items() if value or key in ("config", "rootfs", "history")}

    def _put(self, layer: NewLayer | None, *, final: bool, base: "Image | None" = None, bare: bool = False) -> "Image":
        """Store the image. base: whose layers lie below, instead of the last one; bare: none."""
        from podlike.engine.intake import Intake

        below = None if bare else base or self._image
        layers = [*(below.layers if below else []), *([layer.digest] if layer else [])]
        annotations = {**self._options.annotations} if final and self._last else {}
        if final and self._last and not self._options.docker_format and self._base is not None:
            annotations = {"org.opencontainers.image.base.digest": self._base.manifest_digest,
                           "org.opencontainers.image.base.name": next(iter(self._base.names), ""), **annotations}
        found = put_together(self._engine, below, layer, self._document(layers, final=final), annotations=annotations,
                             oci=not self._options.docker_format)
        with Intake(self._engine) as intake:
            return intake.take(layer or NoLayer(), found, [])

    def _finish(self) -> "Image":
        """The stage's image, where the last step has not made it."""
        image = self._image
        if not self._options.layers or (self._options.squash and self._last):
            image = self._squash()
        elif image is None or self._changed(image):
            known = self._cached(self._history, self._layers, final=True) if self._reuse else None
            image = known or self._put(None, final=True)
        self._tell(image)
        return image

    def _changed(self, image: "Image") -> bool:
        have = image.config
        if image is self._base and not self._stage.instructions and not self._last:
            return False
        only_name = image is self._base and not self._stage.instructions and not any((
            self._options.labels, self._options.annotations, self._options.unset_env, self._options.unset_labels,
            self._options.env, not self._options.inherit_labels, self._options.epoch is not None))
        return not only_name and ((have.get("config") or {}) != self._run_config(final=True)
                                  or (have.get("history") or []) != self._history)

    def _squash(self) -> "Image":
        """All that is above the base as one layer, or with --squash-all everything."""
        from podlike.build.squash import squashed

        whole = self._options.squash == "all" and self._last
        below = [] if whole or self._base is None else list(self._base.layers)
        above = self._layers[len(below):]
        if whole:
            self._history = [self._entry("/bin/sh -c #(nop) squashed", empty=not above)]
        else:
            kept = len(self._base_doc.get("history") or [])
            said = [str(e.get("created_by", "")) for e in self._history[kept:]]
            self._history = [*self._history[:kept], self._entry(" && ".join(said)[:4096] or "/bin/sh", empty=not above)]
        base = self._base if not whole else None
        if not above:
            return self._put(None, final=True, base=base, bare=base is None)
        layer = squashed(self._engine, above, whole=not below)
        try:
            return self._put(layer, final=True, base=base, bare=base is None)
        finally:
            os.close(layer.fd)

    def _tell(self, image: "Image") -> None:
        if self._last:
            self._options.say(f"COMMIT{''.join(f' {name}' for name in self._options.names[:1])}")
        self._options.say(f"--> {image.id[:12]}")

    @property
    def passing(self) -> list[str]:
        """Ids of images that need not stay: without --layers nothing of them is used again."""
        return [] if self._options.layers else self._made


def _with_parents(layer: "Any", view: "RootView", path: str, mtime: int) -> None:
    above = os.path.dirname(path)
    if above != "/" and view.resolve(above)[1] is None:
        _with_parents(layer, view, above, mtime)
    layer.directory(path, mtime=mtime)


def _shown(one: Instruction) -> str:
    text = str(one)
    for h in one.heredocs:
        lines = h.content.strip().splitlines()
        text += f" ({lines[0] if lines else ''}{'...' if len(lines) > 1 else ''})"
    return text
