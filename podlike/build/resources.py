"""What the steps of a build take files from: the context, named contexts, other stages, images."""

import hashlib
import os
import stat
from contextlib import ExitStack

from podlike.build.context import Context, is_remote
from podlike.build.mounts import Sources
from podlike.build.rootview import RootView
from podlike.build.sourcetree import SourceTree
from podlike.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from podlike.build.mounts import MountRequest
    from podlike.build.options import Options
    from podlike.engine.core import Engine
    from podlike.store.images import Image

_IMAGE = "docker-image://"


class Resources:
    """stages: the images of the stages so far, by name and by number. stack: what lives as long as the build."""

    def __init__(self, engine: "Engine", options: "Options", context: Context, stack: ExitStack) -> None:
        self._engine = engine
        self._options = options
        self._context = context
        self._stack = stack
        self.stages: "dict[str, Image]" = {}
        self._contexts: "dict[str, Context]" = {}

    def image(self, name: str) -> "Image":
        """A stage's, or an image of that name, pulled where that is wanted. Raises: NotFoundError, RegistryError."""
        if name.lower() in self.stages:
            return self.stages[name.lower()]
        given = self._options.contexts.get(name, "")
        if given.startswith(_IMAGE):
            name = given.removeprefix(_IMAGE)
        from podlike.engine.images import resolve
        from podlike.engine.pull import pull

        policy = self._options.pull
        if policy in ("missing", "never"):
            try:
                return resolve(self._engine, name)
            except NotFoundError as e:
                if policy == "never":
                    e.message, e.hint = f"{name}: image not known", None
                    raise
        return pull(self._engine, name, policy=policy, progress=self._options.progress, **self._options.registry)

    def tree(self, stack: ExitStack, origin: str) -> SourceTree:
        """Where COPY --from=ORIGIN copies from; "": the context. It lives as long as the stack."""
        context = self._named_context(origin)
        if context is not None:
            return context.tree(stack)
        image = self.image(origin)
        view = stack.enter_context(RootView(self._engine, image.layers, name=origin))
        return SourceTree(view.root, origin)

    def _named_context(self, origin: str) -> Context | None:
        """None: it is a stage or an image."""
        if not origin:
            return self._context
        given = self._options.contexts.get(origin, "")
        if not given or given.startswith(_IMAGE):
            return None
        if origin not in self._contexts:
            from podlike.build.context import open_context

            if not is_remote(given) and not os.path.isdir(given):
                raise NotFoundError(f"build context {origin}: {given}: no such directory")
            self._contexts[origin] = open_context(self._engine, self._stack, given, ignore_file="", files=[], stdin=None)
        return self._contexts[origin]

    def sources(self, workdir: str) -> Sources:
        return Sources(self._directory, self._options.secrets, self._options.agents, workdir)

    def _directory(self, stack: ExitStack, origin: str) -> str:
        context = self._named_context(origin)
        if context is not None:
            if not context.directory:
                raise NotFoundError("mount the build context: this build has none", hint="Give `build` a directory.")
            return context.directory
        return stack.enter_context(RootView(self._engine, self.image(origin).layers, name=origin)).path

    def checksums(self, requests: "Sequence[MountRequest]") -> str:
        """What tells whether the files that are mounted are other ones than before."""
        found = []
        for one in requests:
            if one.kind != "bind":
                continue
            origin = one.get("from")
            context = self._named_context(origin)
            found.append(self._sum(context, one.get("source", "src")) if context is not None else self.image(origin).id)
        return ":".join(found)

    def _sum(self, context: Context, path: str) -> str:
        digest = hashlib.sha256()
        with ExitStack() as stack:
            tree = context.tree(stack)
            for member in tree.walk(os.path.normpath("/" + path).lstrip("/")):
                digest.update(f"{member.path}\0{member.st.st_mode:o}\0".encode("utf-8", "surrogateescape"))
                if stat.S_ISREG(member.st.st_mode):
                    with open(f"/proc/self/fd/{member.fd}", "rb") as f:
                        digest.update(hashlib.file_digest(f, "sha256").digest())
                elif stat.S_ISLNK(member.st.st_mode):
                    digest.update(os.fsencode(os.readlink("", dir_fd=member.fd)))
        return digest.hexdigest()
