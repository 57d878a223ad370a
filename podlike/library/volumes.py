"""engine.volumes: the verbs for named volumes."""

from podlike.library.calling import Group, in_session, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins


class Volumes(Group):
    """Verbs for volumes."""

    __slots__ = ()
    name = "volumes"

    @reading
    def list(self) -> "builtins.list[str]":
        """Their names, sorted."""
        return [row[0] for row in self._core.db.query("SELECT name FROM volumes ORDER BY name")]

    def exists(self, name: str) -> bool:
        return name in self.list()

    @in_session
    def create(self, name: str) -> str:
        """Make it if it is not there; returns the directory of its contents. Raises: UsageError, StoreError."""
        from podlike.engine.volumes import ensure_volume

        return ensure_volume(self._core, name)

    @in_session
    def remove(self, name: str) -> None:
        """Remove it with its contents. Raises: NotFoundError; InUseError when a container uses it."""
        from podlike.engine.volumes import remove_volume
        from podlike.errors import InUseError

        users = [c.id for c in self._core.containers.all()
                 if any(m.source == name and m.type == "volume" for m in c.spec.mounts)]
        if users:
            raise InUseError(f"volume {name} is being used by the following container(s): {', '.join(users)}: "
                             "volume is being used")
        self._core.enter_session()
        remove_volume(self._core, name)
