"""The engine: the user's store and configuration, each part opened when it is first used."""

from podlike.paths import Roots, default_roots, ensure_private_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.config import Config
    from podlike.store.blobs import BlobStore
    from podlike.store.containers import ContainerStore
    from podlike.store.db import Database
    from podlike.store.images import ImageStore
    from podlike.store.layers import LayerStore


class Engine:
    """One user's podlike. Cheap to make: nothing is opened or created before it is needed."""

    def __init__(self, *, roots: Roots | None = None, config: "Config | None" = None, conmon: str = "",
                 events: str = "", cgroups: str = "") -> None:
        """conmon: path of a monitor to be used instead of ours and of the configured one. events: file, journald or none,
        instead of the configured events_logger. cgroups: cgroupfs or systemd, instead of the configured cgroup_manager."""
        self.roots = roots or default_roots()
        self.conmon = conmon
        self.events = events
        self._cgroups = cgroups
        self._config = config
        self._db: "Database | None" = None
        self._session_joined = False

    @property
    def config(self) -> "Config":
        if self._config is None:
            from podlike.config import load_config

            self._config = load_config()
        return self._config

    @property
    def cgroup_manager(self) -> str:
        """systemd, cgroupfs, or "": what suits the caller's cgroup."""
        return self._cgroups or self.config.engine.cgroup_manager

    @property
    def db(self) -> "Database":
        if self._db is None:
            from podlike.store.db import Database

            ensure_private_dir(self.roots.data)
            self._db = Database(self.roots.database)
        return self._db

    @property
    def containers(self) -> "ContainerStore":
        from podlike.store.containers import ContainerStore

        return ContainerStore(self.db)

    @property
    def blobs(self) -> "BlobStore":
        from podlike.store.blobs import BlobStore

        return BlobStore(self.roots.blobs, tmp=self.roots.tmp)

    @property
    def layers(self) -> "LayerStore":
        from podlike.store.layers import LayerStore

        return LayerStore(self.roots.layers, tmp=self.roots.tmp, db=self.db)

    @property
    def images(self) -> "ImageStore":
        from podlike.store.images import ImageStore

        return ImageStore(self.db)

    def enter_session(self) -> None:
        """Join the user's session namespaces; does nothing the second time, and nothing for root.

        Must be called while the process has one thread. Afterwards files of subordinate ids can be owned,
        overlays mounted, containers reached. Raises: SessionError.
        """
        if not self._session_joined:
            from podlike.runtime.session import join_session

            join_session(self.roots)
            self._session_joined = True
