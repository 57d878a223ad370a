"""`build --output`: the image's files in a directory or an archive."""

import os

from podlike.build.rootview import RootView
from podlike.engine.core import Engine
from podlike.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.images import Image


def write_output(engine: Engine, image: "Image", kind: str, target: str) -> None:
    """kind: local (a directory, made where it is missing) or tar (a file, "-" for standard output). Raises: StoreError."""
    from podlike.engine.copying.tarstream import pack
    from podlike.engine.copying.tree import How, TreeCopy

    with RootView(engine, image.layers, name="build") as view:
        try:
            if kind == "tar":
                out = os.dup(1) if target == "-" else os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
                try:
                    pack(view.root, out, ["--plain", "--no-holes"], what=f"write {target}")
                finally:
                    os.close(out)
                return
            os.makedirs(target, exist_ok=True)
            directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as e:
            raise StoreError(f"build --output: {target}: {(e.strerror or '').lower()}") from e
        try:
            me = (os.geteuid(), os.getegid())
            TreeCopy(directory, How(owner=lambda st: me, to="host", shown=target, overwrite=True)).directory(view.root, "")
        finally:
            os.close(directory)
