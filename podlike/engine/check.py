"""Whether everything that images and containers need is here and is what it was: `system check`.

Quick: existence, records and sizes. Thorough: also the digest of every blob, and of every layer's tree. A layer is compared with
what its blob unpacks to, packed again (equal trees give equal bytes); the result is kept beside the layer, so that the
next check reads the layer once.

Repair, from the least loss to the most: a layer is unpacked again from its blob; what has no good blob is pulled again
by its digest; an image that is still damaged then is removed, with force together with its containers.
"""

import os
import time

from podlike import log
from podlike.engine.core import Engine
from podlike.errors import PodlikeError, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NamedTuple

    from podlike.spec.image import Manifest
    from podlike.store.containers import Container
    from podlike.store.images import Image
else:
    from podlike.spec.record import NamedTuple

# Ages of layers that no image needs: younger ones may belong to a pull that was interrupted and will be continued.
MAX_AGE: "Final" = 86400.0


class Report(NamedTuple):
    """What is wrong with what, in words. unused: layers that nobody needs. done: what repairing did, line by line."""

    layers: "dict[str, list[str]]"
    blobs: "dict[str, list[str]]"
    images: "dict[str, list[str]]"
    containers: "dict[str, list[str]]"
    unused: "list[str]"
    done: "list[str]"

    @property
    def damaged(self) -> bool:
        return bool(self.layers or self.blobs or self.images or self.containers or self.unused)


def check(engine: Engine, *, quick: bool = False, max_age: float = MAX_AGE) -> Report:
    """Look; change nothing but the digests that are kept beside layers. Joins the session."""
    engine.enter_session()
    return _Check(engine, quick, max_age).run()


def repair(engine: Engine, report: Report, *, force: bool = False) -> "list[str]":
    """Mend what check() found; return a line for each thing done. force: containers may be lost.

    Raises: StoreError while another command builds on the store.
    """
    from podlike.store.locks import StoreLock

    lock = StoreLock(engine.roots.tmp)
    if not lock.try_exclusive():
        raise StoreError("repair the store: another command is using it", hint="Wait until pulls and builds have ended.")
    try:
        job = _Repair(engine, report, force)
        job.layers_and_blobs()
    finally:
        lock.release()
    job.images()  # pulls and removals take the lock themselves
    return job.done


class _Check:
    def __init__(self, engine: Engine, quick: bool, max_age: float) -> None:
        self._engine = engine
        self._quick = quick
        self._max_age = max_age
        self.report = Report({}, {}, {}, {}, [], [])
        self._expected: "dict[str, int]" = {}  # sizes of blobs by the manifests

    def run(self) -> Report:
        engine, report = self._engine, self.report
        images = [i for i in engine.images.all() if not i.read_only]
        for image in images:
            self._image_documents(image)
        for diff_id in sorted({*engine.layers.all(), *(d for image in images for d in image.layers)}):
            self._layer(diff_id)
        for digest in sorted({*engine.blobs.all(), *self._expected}):
            self._blob(digest)
        for image in images:
            self._image_parts(image)
        for container in engine.containers.all():
            self._container(container)
        self._unused()
        return report

    def _image_documents(self, image: "Image") -> None:
        from podlike.engine.images import blobs_of, read_manifest

        if image.index is not None:  # a manifest list: its entries are images of their own
            self._expected.update(dict.fromkeys(blobs_of(self._engine, image), -1))
            return
        try:
            manifest: "Manifest" = read_manifest(self._engine, image)
        except PodlikeError as e:
            _add(self.report.images, image.id, f"image data item is missing or has incorrect content: {e.message}")
            return
        self._expected[image.manifest_digest] = -1
        for part in (manifest.config, *manifest.layers):
            self._expected[part.digest] = part.size

    def _layer(self, diff_id: str) -> None:
        engine, found = self._engine, self.report.layers
        if not engine.layers.has(diff_id):
            _add(found, diff_id, "image layer is missing")
            return
        path = engine.layers.path(diff_id)
        try:
            record = engine.layers.record(diff_id)
            if not os.path.isdir(path):
                _add(found, diff_id, "layer content is missing")
            elif record.get("diff_id") != diff_id:
                _add(found, diff_id, "its record is of another layer")
            elif not self._quick:
                self._layer_tree(diff_id, record.get("blob"))
        except PodlikeError as e:
            _add(found, diff_id, f"layer data item is missing: {e.message}")

    def _layer_tree(self, diff_id: str, blob: object) -> None:
        engine = self._engine
        known = engine.layers.known_tree(diff_id)
        if known is None:
            if not isinstance(blob, str) or not engine.blobs.has(blob) or not _blob_is_good(engine, blob):
                return  # nothing to compare with; a bad blob is told by itself
            known = expected_tree(engine, diff_id, blob)
        try:
            actual = engine.layers.digest_tree(engine.layers.path(diff_id))
        except StoreError as e:
            _add(self.report.layers, diff_id, f"layer content cannot be read: {e.message}")
            return
        if actual == known:
            engine.layers.remember_tree(diff_id, known)
        else:
            _add(self.report.layers, diff_id, f"layer content modified, checksum failed: the tree is {actual}, expected {known}")

    def _blob(self, digest: str) -> None:
        engine, found = self._engine, self.report.blobs
        if not engine.blobs.has(digest):
            _add(found, digest, "blob is missing")
            return
        size, expected = engine.blobs.size(digest), self._expected.get(digest, -1)
        if expected >= 0 and size != expected:
            _add(found, digest, f"blob has {size} bytes, expected {expected}")
        elif not self._quick and not _blob_is_good(engine, digest):
            _add(found, digest, "blob has incorrect content, checksum failed")

    def _image_parts(self, image: "Image") -> None:
        from podlike.engine.images import blobs_of

        report = self.report
        for diff_id in dict.fromkeys(image.layers):
            for words in report.layers.get(diff_id, ()):
                _add(report.images, image.id, f"layer {diff_id}: {words}")
        for digest in sorted(blobs_of(self._engine, image)):
            for words in report.blobs.get(digest, ()):
                _add(report.images, image.id, f"blob {digest}: {words}")

    def _container(self, container: "Container") -> None:
        report = self.report
        if container.image and self._engine.images.get(container.image) is None:
            _add(report.containers, container.id, "image missing")
        for diff_id in dict.fromkeys(container.spec.layers):
            words = report.layers.get(diff_id) or ([] if self._engine.layers.has(diff_id) else ["image layer is missing"])
            for line in words:
                _add(report.containers, container.id, f"layer {diff_id}: {line}")

    def _unused(self) -> None:
        engine = self._engine
        for diff_id in sorted(set(engine.layers.all()) - engine.images.layers_in_use()):
            try:
                age = time.time() - os.stat(os.path.dirname(engine.layers.path(diff_id))).st_mtime
            except OSError:
                continue
            if age >= self._max_age:
                self.report.unused.append(diff_id)


class _Repair:
    def __init__(self, engine: Engine, report: Report, force: bool) -> None:
        self._engine = engine
        self._report = report
        self._force = force
        self._busy = _layers_of_running(engine)
        self.done: "list[str]" = []

    def layers_and_blobs(self) -> None:
        engine, report = self._engine, self._report
        for diff_id in report.unused:
            engine.layers.remove(diff_id)
            self.done.append(f"Deleted unused layer: {diff_id}")
        for digest in report.blobs:
            if engine.blobs.has(digest):
                engine.blobs.delete(digest)
                self.done.append(f"Deleted damaged blob: {digest}")
        for diff_id in report.layers:
            self._layer(diff_id)

    def _layer(self, diff_id: str) -> None:
        engine = self._engine
        if diff_id in self._busy and not self._force:
            log.warning(f"layer {diff_id} is damaged, and a container that runs uses it: "
                        "stop it and repair again, or use --force")
            return
        source = _source_of(engine, diff_id)
        if engine.layers.has(diff_id):
            engine.layers.remove(diff_id)
            if source is None:
                self.done.append(f"Deleted damaged layer: {diff_id}")
        if source is not None:
            _unpack(engine, diff_id, *source)
            self.done.append(f"Repaired layer from its blob: {diff_id}")

    def images(self) -> None:
        for image_id in self._report.images:
            image = self._engine.images.get(image_id)
            if image is None or not _still_damaged(self._engine, image):
                continue
            if self._pulled_again(image):
                self.done.append(f"Repaired image by pulling it again: {image_id}")
            elif _can_run(self._engine, image) and not self._force:
                log.warning(f"image {image_id[:12]} can be run, but no longer be pushed or saved: pull or load it again")
            else:
                self._remove(image)
        if self._force:
            for container_id in self._report.containers:
                self._container(container_id)

    def _pulled_again(self, image: "Image") -> bool:
        """By digest: it becomes what it was, whatever its names lead to by now."""
        from podlike.engine.pull import pull

        for name in image.digests:
            try:
                pull(self._engine, name)
                if self._drop_layers_without_blob(image):  # only now: the registry answers
                    pull(self._engine, name)
            except PodlikeError as e:
                log.warning(f"repair image {image.id[:12]}: {e.message}")
            if not _still_damaged(self._engine, image):
                return True
        return False

    def _drop_layers_without_blob(self, image: "Image") -> int:
        """A pull takes a blob and its layer together, and neither when the layer is here."""
        lost = [d for d in dict.fromkeys(image.layers) if self._engine.layers.has(d)
                and not _has_blob(self._engine, image, d) and (d not in self._busy or self._force)]
        for diff_id in lost:
            self._engine.layers.remove(diff_id)
        return len(lost)

    def _remove(self, image: "Image") -> None:
        from podlike.engine.imageremove import remove_image

        try:
            remove_image(self._engine, image, force=self._force)
        except PodlikeError as e:
            log.warning(f"remove damaged image {image.id[:12]}: {e.message}")
        else:
            self.done.append(f"Deleted damaged image: {image.id}")

    def _container(self, container_id: str) -> None:
        from podlike.engine.remove import remove

        container = self._engine.containers.get(container_id)
        if container is None:
            self.done.append(f"Deleted damaged container: {container_id}")
        elif not all(self._engine.layers.has(d) for d in container.spec.layers) or (
                container.image and self._engine.images.get(container.image) is None):
            remove(self._engine, container, force=True, timeout=0)
            self.done.append(f"Deleted damaged container: {container_id}")


def expected_tree(engine: Engine, diff_id: str, blob: str) -> str:
    """The tree digest that the layer must have: of its blob, unpacked anew for this. Raises: StoreError."""
    with engine.layers.unpack(diff_id, blob=blob, media_type="") as job:
        _feed(engine, blob, job.write)
        job.verify()
        return engine.layers.digest_tree(job.tree)


def _unpack(engine: Engine, diff_id: str, blob: str, media_type: str) -> None:
    with engine.layers.unpack(diff_id, blob=blob, media_type=media_type) as job:
        _feed(engine, blob, job.write)
        job.finish()


def _feed(engine: Engine, blob: str, write: "object") -> None:
    fd = engine.blobs.open(blob)
    try:
        while piece := os.read(fd, 1 << 20):
            write(piece)  # type: ignore[operator]
    finally:
        os.close(fd)


def _blob_is_good(engine: Engine, digest: str) -> bool:
    import hashlib

    algorithm, digits = digest.split(":")
    with open(engine.blobs.path(digest), "rb") as f:
        return hashlib.file_digest(f, algorithm).hexdigest() == digits


def _source_of(engine: Engine, diff_id: str) -> "tuple[str, str] | None":
    """(blob, media type) to unpack the layer from, if it is here and good."""
    from podlike.engine.images import read_manifest

    for image in engine.images.all():
        if diff_id not in image.layers:
            continue
        try:
            part = read_manifest(engine, image).layers[image.layers.index(diff_id)]
            if engine.blobs.has(part.digest) and _blob_is_good(engine, part.digest):
                return part.digest, part.media_type
        except (PodlikeError, IndexError):
            continue
    return None


def _can_run(engine: Engine, image: "Image") -> bool:
    """The config is in the database; the manifest and the blobs are for pushing and saving."""
    return all(map(engine.layers.has, image.layers))


def _has_blob(engine: Engine, image: "Image", diff_id: str) -> bool:
    from podlike.engine.images import read_manifest

    try:
        part = read_manifest(engine, image).layers[image.layers.index(diff_id)]
    except (PodlikeError, IndexError):
        return False
    return engine.blobs.has(part.digest)


def _still_damaged(engine: Engine, image: "Image") -> bool:
    """By existence: what had wrong content is gone since."""
    from podlike.engine.images import blobs_of, read_manifest

    if image.index is not None:
        return not all(map(engine.blobs.has, blobs_of(engine, image)))
    try:
        read_manifest(engine, image)
    except PodlikeError:
        return True
    return not all(map(engine.layers.has, image.layers)) or not all(map(engine.blobs.has, blobs_of(engine, image)))


def _layers_of_running(engine: Engine) -> "set[str]":
    from podlike.engine import query

    return {d for c in engine.containers.all() if query.status(engine, c).running for d in c.spec.layers}


def _add(found: "dict[str, list[str]]", key: str, words: str) -> None:
    found.setdefault(key, []).append(words)
