"""The engine: the user's store and configuration, each part opened when it is first used."""

import os

from podlike.errors import ConfigError
from podlike.paths import Roots, default_roots, ensure_private_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from podlike.config import Config
    from podlike.store.artifacts import ArtifactStore
    from podlike.store.blobs import BlobStore
    from podlike.store.containers import ContainerStore
    from podlike.store.db import Database
    from podlike.store.images import ImageStore
    from podlike.store.layers import LayerStore
    from podlike.store.options import StoreOptions
    from podlike.store.pods import PodStore
    from podlike.store.volumes import VolumeStore


class Engine:
    """One user's podlike. Cheap to make: nothing is opened or created before it is needed."""

    def __init__(self, *, roots: Roots | None = None, config: "Config | None" = None, conmon: str = "",
                 events: str = "", cgroups: str = "", storage_driver: str = "", storage_opts: "Sequence[str]" = (),
                 volumes_root: str = "", modules: "Sequence[str]" = (), settings: "Mapping[str, str] | None" = None) -> None:
        """conmon: path of a monitor to be used instead of ours and of the configured one. events: file, journald or none,
        instead of the configured events_logger. cgroups: cgroupfs or systemd, instead of the configured cgroup_manager.
        storage_driver, storage_opts: as typed; over what storage.conf says. volumes_root: where new volumes are made,
        instead of the configured place. modules: of containers.conf, to be loaded too. settings: over what containers.conf
        says, by dotted key.
        """
        self.roots = roots or default_roots()
        self.conmon = conmon
        self.events = events
        self._cgroups = cgroups
        self._config = config
        self._modules, self._settings = modules, settings or {}
        self._db: "Database | None" = None
        self._storage_driver, self._storage_opts = storage_driver, storage_opts
        self._storage: "StoreOptions | None" = None
        self._volumes_root = volumes_root
        self._additional: "list[ImageStore] | None" = None
        self._session_joined = False
        self.held_pod = ""  # id of the pod whose lock this process holds

    @property
    def config(self) -> "Config":
        if self._config is None:
            from podlike.config import load_config

            self._config = load_config(self._modules)
            for dotted, value in self._settings.items():
                table, _, key = dotted.partition(".")
                setattr(getattr(self._config, table), key, value)
        return self._config

    @property
    def cgroup_manager(self) -> str:
        """systemd, cgroupfs, or "": what suits the caller's cgroup. Raises: ConfigError."""
        manager = self._cgroups or self.config.engine.cgroup_manager
        if manager not in ("", "systemd", "cgroupfs"):
            raise ConfigError(f'use cgroup_manager = "{manager}" of containers.conf: there is none of that name',
                              hint="Write systemd or cgroupfs.")
        return manager

    @property
    def storage(self) -> "StoreOptions":
        """Driver and options of the store. Raises: UsageError, ConfigError, StoreError for another driver's store."""
        if self._storage is None:
            from podlike.store.options import choose

            self._storage = choose(self.config.storage, self.roots.data, driver=self._storage_driver,
                                   options=self._storage_opts)
        return self._storage

    @property
    def db(self) -> "Database":
        if self._db is None:
            from podlike.store.db import Database

            driver = self.storage.driver  # a store of another driver is refused before anything is done
            ensure_private_dir(self.roots.data)
            if not os.path.exists(self.roots.database):
                from podlike.store.options import record_driver

                record_driver(self.roots.data, driver)
            self._db = Database(self.roots.database)
        return self._db

    @property
    def containers(self) -> "ContainerStore":
        from podlike.store.containers import ContainerStore

        return ContainerStore(self.db)

    @property
    def pods(self) -> "PodStore":
        from podlike.store.pods import PodStore

        return PodStore(self.db)

    @property
    def blobs(self) -> "BlobStore":
        from podlike.store.blobs import BlobStore

        return BlobStore(self.roots.blobs, tmp=self.roots.tmp,
                         additional=lambda: tuple(f"{root}/blobs" for root in self.storage.additional))

    @property
    def layers(self) -> "LayerStore":
        from podlike.store.layers import LayerStore

        return LayerStore(self.roots.layers, tmp=self.roots.tmp, db=self.db, options=lambda: self.storage)

    @property
    def images(self) -> "ImageStore":
        from podlike.store.images import ImageStore

        return ImageStore(self.db, additional=self._additional_images)

    def _additional_images(self) -> "list[ImageStore]":
        """Of storage.conf's additionalimagestores. Raises: StoreError."""
        if self._additional is None:
            from podlike.store.db import Database
            from podlike.store.images import ImageStore

            self._additional = [ImageStore(Database(f"{root}/db.sqlite", read_only=True), read_only=True)
                                for root in self.storage.additional]
        return self._additional

    @property
    def volumes(self) -> "VolumeStore":
        from podlike.store.volumes import VolumeStore

        return VolumeStore(self.db)

    @property
    def volumes_root(self) -> str:
        """Where new volumes are made: --volumepath, containers.conf's volume_path, or beside the images."""
        return self._volumes_root or self.config.engine.volume_path or f"{self.roots.data}/volumes"

    @property
    def artifacts(self) -> "ArtifactStore":
        from podlike.store.artifacts import ArtifactStore

        return ArtifactStore(self.db)

    def enter_session(self) -> None:
        """Join the user's session namespaces; does nothing the second time, and nothing for root.

        Must be called while the process has one thread. Afterwards files of subordinate ids can be owned,
        overlays mounted, containers reached. Raises: SessionError.
        """
        if not self._session_joined:
            from podlike.runtime.session import join_session

            join_session(self.roots)
            self._session_joined = True

    def close(self) -> None:
        """Let go of the database; it is opened again when it is needed."""
        if self._db is not None:
            self._db.close()
            self._db = None


def as_made(roots: Roots) -> Engine:
    """The engine of a store with the driver that it was made with, whatever storage.conf says by now."""
    from podlike.store.options import made_with

    return Engine(roots=roots, storage_driver=made_with(roots.data))
