"""engine.images: the verbs for images.

An image is named as on the command line: a name, with or without registry and tag, a digest, an id or a beginning of it.
"""

from podlike.library.calling import Group, in_session, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from podlike.engine.fetch import Progress
    from podlike.engine.imageinspect import Step
    from podlike.engine.imageremove import Removed
    from podlike.engine.kinship import Kinship
    from podlike.engine.pull import PullOptions
    from podlike.engine.push import Pushed, PushOptions
    from podlike.store.images import Image


class Images(Group):
    """Verbs for images."""

    __slots__ = ()
    name = "images"

    @reading
    def list(self, *, all: bool = False, filters: "Iterable[str] | Mapping[str, str]" = (),
             kinship: "Kinship | None" = None) -> "builtins.list[Image]":
        """The images that are here, newest name first. all: intermediate ones too. filters: keys as of `images --filter`.

        An Image has id (64 hex digits), names, digests, size (bytes of its layers' files), created and pulled (Unix
        seconds), layers (diff ids) and config (the whole document). kinship: their relations, if they are known already.
        Raises: UsageError for a bad filter.
        """
        from podlike.engine.imagefilters import select
        from podlike.engine.kinship import Kinship
        from podlike.library.containers import filter_words

        words = filter_words(filters)
        if not all and "intermediate=true" not in words:
            words.append("intermediate=false")
        found = self._core.images.all()
        return select(self._core, found, words, kinship=kinship or Kinship(found))

    @reading
    def get(self, name: str) -> "Image":
        """Raises: NotFoundError, ConflictError, UsageError for what cannot be a name."""
        from podlike.engine.images import resolve

        return resolve(self._core, name)

    def exists(self, name: str) -> bool:
        from podlike.errors import NotFoundError

        try:
            self.get(name)
        except NotFoundError:
            return False
        return True

    @reading
    def inspect(self, name: str) -> "dict[str, Any]":
        """Everything about it: podman's document. Raises: as get()."""
        from podlike.engine.imageinspect import inspect

        return inspect(self._core, self.get(name))

    @reading
    def history(self, name: str) -> "builtins.list[Step]":
        """Its steps, newest first: id, created, created_by, size (bytes), comment, tags. Raises: as get()."""
        from podlike.engine.imageinspect import history

        return history(self._core, self.get(name))

    @in_session
    def pull(self, name: str, *, policy: str = "always", options: "PullOptions | None" = None,
             progress: "Progress | None" = None) -> "Image":
        """Bring an image from a registry, or from a place like oci:DIR.

        policy: always, missing, never or newer. progress: a Progress whose methods are called while it arrives, in this
        thread. options: a PullOptions: platform ("linux/arm64"), tls_verify, creds ("USER:PASSWORD"), authfile, cert_dir,
        retries, retry_delay (seconds), signature_policy; as of `pull`.
        Raises: NotFoundError, RegistryError, StoreError, UsageError.
        """
        from podlike.engine.pull import PullOptions, pull

        return pull(self._core, name, policy=policy, progress=progress, **(options or PullOptions())._asdict())

    @in_session
    def pull_all_tags(self, name: str, *, options: "PullOptions | None" = None,
                      progress: "Progress | None" = None) -> "builtins.list[Image]":
        """The images of all tags of a repository. Arguments as of pull()."""
        from podlike.engine.pull import pull_all_tags

        return pull_all_tags(self._core, name, options=options, progress=progress)

    @in_session
    def push(self, name: str, destination: str | None = None, *, options: "PushOptions | None" = None,
             progress: "Progress | None" = None) -> "Pushed":
        """Send an image to a registry. destination: None: where its name says. Returns name, digest, size, media_type.

        Raises: NotFoundError, RegistryError, UsageError.
        """
        from podlike.engine.push import push

        return push(self._core, name, destination, options=options, progress=progress)

    @in_session
    def load(self, path: "str | os.PathLike[str]", *, progress: "Progress | None" = None) -> "builtins.list[str]":
        """Load all images of an archive or a directory; what they are called, sha256:ID without a name.

        Raises: StoreError; images recorded before stay.
        """
        import os

        from podlike.engine.load import load

        return load(self._core, os.fspath(path), progress=progress)

    @in_session
    def save(self, names: "Sequence[str]", output: "str | os.PathLike[str]", *, format: str = "docker-archive",
             progress: "Progress | None" = None) -> None:
        """Write images to a file, or a directory. format: docker-archive, oci-archive, oci-dir, docker-dir.

        Raises: NotFoundError, StoreError, UsageError; nothing is left of an output that was not completed.
        """
        import os

        from podlike.engine.save import save

        save(self._core, [names] if isinstance(names, str) else names, format=format, output=os.fspath(output), progress=progress)

    @in_session
    def tag(self, name: str, *targets: str) -> None:
        """Give it further names. Raises: NotFoundError, UsageError, before anything has changed."""
        from podlike.engine.images import tag

        tag(self._core, name, targets)

    @in_session
    def untag(self, name: str, *targets: str) -> None:
        """Take names from it, all without targets. Raises: NotFoundError, before anything has changed."""
        from podlike.engine.images import untag

        untag(self._core, name, targets)

    @in_session
    def remove(self, name: str, *, force: bool = False) -> "Removed":
        """Take a name from an image, and delete the image with its last name: (untagged, deleted, errors).

        force: containers that use it go too. Raises: NotFoundError, InUseError, ConflictError.
        """
        from podlike.engine.imageremove import remove

        return remove(self._core, name, force=force)

    @in_session
    def prune(self, *, all: bool = False,
              filters: "Iterable[str] | Mapping[str, str]" = ()) -> "tuple[builtins.list[Image], int]":
        """Remove images without a name, with all those that no container uses: (images, bytes freed)."""
        from podlike.engine.images import prune
        from podlike.library.containers import filter_words

        return prune(self._core, every=all, filters=filter_words(filters))
