"""`quadlet rm`: take files away, with all that was installed together with them."""

import os

from podlike.engine.quadlet import systemctl
from podlike.engine.quadlet.listing import Apps, Quadlets
from podlike.errors import ConflictError, NotFoundError, PodlikeError
from podlike.quadlet.keys import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Removal:
    """What goes together: the Quadlets (paths) and the names of other files beside them."""

    __slots__ = ("name", "paths", "others")

    def __init__(self, name: str, paths: list[str], others: list[str]) -> None:
        self.name = name
        self.paths = paths
        self.others = others


class Remover:
    __slots__ = ("quadlets", "apps")

    def __init__(self) -> None:
        self.quadlets = Quadlets()
        self.apps = Apps()

    def all_names(self) -> list[str]:
        return list(dict.fromkeys(path.rpartition("/")[2] for path in self.quadlets.paths))

    def plan(self, name: str) -> Removal:
        """name: of a Quadlet's file, or of an app (.web.app). Raises: PodlikeError."""
        app = name if name.startswith(".") and name.endswith(".app") else self.apps.app_of.get(name, "")
        if not app:
            return Removal(name, [self.quadlets.find(name)], self._assets(name))
        members = self.apps.files.get(app)
        if members is None:
            raise NotFoundError(f'could not locate quadlet application "{app}": no such application',
                                hint="`podlike quadlet list` shows the applications.")
        paths, others = [], [app]
        for member in members:
            if kind_of(member) is None:
                others.append(member)
                continue
            others += self._assets(member)
            try:
                paths.append(self.quadlets.find(member))
            except NotFoundError:
                continue  # taken away by hand
        return Removal(name, paths, others)

    def _assets(self, name: str) -> list[str]:
        asset = f".{name}.asset"
        members = self.apps.files.get(asset)
        return [] if members is None else [*(m for m in members if kind_of(m) is None), asset]

    def remove(self, removal: Removal, *, force: bool, removed: "Callable[[str], None]") -> None:
        """Take it away. removed: called with the name of each Quadlet. Raises: PodlikeError; then all of it is still there."""
        services = {path: self.quadlets.service(path) for path in removal.paths}
        states = systemctl.states([s for s in services.values() if s])
        running = [path for path, service in services.items() if service and states[service].is_up]
        if running and not force:
            name = running[0].rpartition("/")[2]
            raise ConflictError(f"quadlet {name} is running and force is not set, refusing to remove: quadlet is running",
                                hint=f"Stop it (`systemctl stop {services[running[0]]}`), or remove it with --force.")
        for path in running:
            systemctl.stop(services[path])
        for path in removal.paths:
            _unlink(path)
            removed(path.rpartition("/")[2])
        for name in removal.others:
            _unlink(f"{self.apps.directory}/{name}")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise PodlikeError(f"removing quadlet {path}: {(e.strerror or '').lower()}",
                           hint="Only who may write to its directory can remove it.") from e
