"""`export`: a container's files as a tar, the same bytes whenever they are the same files."""

from podlike.engine import events
from podlike.engine.copying.tarstream import id_words, pack
from podlike.engine.copying.view import View
from podlike.engine.core import Engine
from podlike.store.containers import Container


def export(engine: Engine, container: Container, out: int | str) -> None:
    """Write the container's root file system, without what is mounted into it, to an fd, or a file that appears complete.

    Raises: StoreError.
    """
    engine.enter_session()
    if isinstance(out, str):
        from podlike.transports.output import OutputFile

        with OutputFile(out) as fd:
            _write(engine, container, fd)
    else:
        _write(engine, container, out)
    events.container(engine, container, "export")


def _write(engine: Engine, container: Container, out: int) -> None:
    with View(engine, container, own_files=True) as view:
        args = ["--plain", "--no-holes", *owner_words(container), *(["--live"] if view.running else [])]
        pack(view.root, out, args, what=f"export {container.name}")


def owner_words(container: Container) -> list[str]:
    """For podlike-layer pack: owners by the ids that the container has for them."""
    spec = container.spec
    if not spec.uid_map:
        return []
    return ["--map-uids", id_words(spec.uid_map, inwards=True), "--map-gids", id_words(spec.gid_map, inwards=True)]
