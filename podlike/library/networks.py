"""engine.networks: the networks there are; none can be made yet."""

from podlike.library.calling import Group, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterable, Mapping
    from typing import Any

    from podlike.engine.networks import Network


class Networks(Group):
    """Verbs for networks."""

    __slots__ = ()
    name = "networks"

    @reading
    def list(self, *, filters: "Iterable[str] | Mapping[str, str]" = (), docker: bool = False) -> "builtins.list[Network]":
        """Network has name, id, driver, interface, subnets ((subnet, gateway)), created (Unix seconds), containers.

        filters: keys as of `network ls --filter`. docker: those that docker has. Raises: UsageError for a bad filter.
        """
        from podlike.engine.networks import all_networks, select
        from podlike.library.containers import filter_words

        return select(all_networks(self._core, docker=docker), filter_words(filters))

    @reading
    def get(self, name: str, *, docker: bool = False) -> "Network":
        """By name, id or a unique beginning of an id. Raises: NotFoundError, ConflictError."""
        from podlike.engine.networks import find

        return find(self._core, name, docker=docker)

    def exists(self, name: str, *, docker: bool = False) -> bool:
        from podlike.errors import NotFoundError

        try:
            self.get(name, docker=docker)
        except NotFoundError:
            return False
        return True

    def inspect(self, name: str, *, docker: bool = False) -> "dict[str, Any]":
        """Everything about it: podman's document, or docker's. Raises: as get()."""
        from podlike.engine.networks import docker_document, document

        found = self.get(name, docker=docker)
        return docker_document(found) if docker else document(found, containers=True)
