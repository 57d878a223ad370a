"""engine.volumes: the verbs for volumes. A volume is named by its name, or a unique beginning of it."""

from podlike.library.calling import Group, in_session, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    import os
    from collections.abc import Iterable, Mapping
    from typing import Any

    from podlike.store.volumes import Volume


class Volumes(Group):
    """Verbs for volumes."""

    __slots__ = ()
    name = "volumes"

    @reading
    def list(self, *, filters: "Iterable[str] | Mapping[str, str]" = ()) -> "builtins.list[Volume]":
        """Volume has name, driver, created (Unix seconds), anonymous, labels, options. filters: as of `volume ls --filter`.

        Raises: UsageError for a bad filter.
        """
        from podlike.engine.volumelist import select
        from podlike.library.containers import filter_words

        return select(self._core, filter_words(filters))

    @reading
    def get(self, name: str) -> "Volume":
        """Raises: NotFoundError, ConflictError."""
        return self._core.volumes.get(name) or self._core.volumes.find(name)

    def exists(self, name: str) -> bool:
        from podlike.errors import NotFoundError

        try:
            self.get(name)
        except NotFoundError:
            return False
        return True

    @reading
    def inspect(self, name: str) -> "dict[str, Any]":
        """Everything about it: podman's document; Mountpoint is the directory of its contents. Raises: as get()."""
        from podlike.engine.volumelist import document, json_document

        return json_document(document(self._core, self.get(name)))

    @in_session
    def create(self, name: str = "", *, driver: str = "local", labels: "Mapping[str, str] | None" = None,
               options: "Mapping[str, str] | None" = None, ignore: bool = False) -> "Volume":
        """Make a volume; "": with a random name. driver: local or image. options: as of `volume create --opt`.

        ignore: the one that is there is fine. Raises: UsageError, ConflictError, NotFoundError, StoreError.
        """
        from podlike.engine.volumes import create_volume

        return create_volume(self._core, name, driver=driver, labels=dict(labels or {}), options=dict(options or {}),
                             ignore=ignore)

    @in_session
    def remove(self, name: str, *, force: bool = False, timeout: int | None = None) -> None:
        """Remove it with its contents. force: the containers that mount it go first, stopped within timeout seconds.

        Raises: NotFoundError, InUseError, StoreError.
        """
        from podlike.engine.volumes import remove_volume

        remove_volume(self._core, self.get(name), force=force, timeout=timeout)

    @in_session
    def prune(self, *, all: bool = True, filters: "Iterable[str] | Mapping[str, str]" = ()) -> "tuple[builtins.list[str], int]":
        """Remove those that no container mounts: (names, bytes freed). all: also those that were given a name."""
        from podlike.engine.volumelist import prune_volumes
        from podlike.library.containers import filter_words

        return prune_volumes(self._core, anonymous_only=not all, filters=filter_words(filters))[:2]

    @in_session
    def save(self, name: str, path: "str | os.PathLike[str]") -> None:
        """Write its contents as a tar file, as `volume export`. Raises: NotFoundError, StoreError."""
        import os

        from podlike.engine.volumetar import export

        export(self._core, self.get(name), os.fspath(path))

    @in_session
    def load(self, name: str, path: "str | os.PathLike[str]") -> None:
        """Add what a tar file holds, over what is there, as `volume import`. Raises: NotFoundError, StoreError."""
        import os

        from podlike.engine.volumetar import load
        from podlike.errors import StoreError

        volume = self.get(name)
        try:
            with open(path, "rb") as source:
                load(self._core, volume, source, shown=os.fspath(path))
        except OSError as e:
            raise StoreError(f"open {path}: {(e.strerror or str(e)).lower()}") from e
