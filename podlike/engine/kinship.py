"""Which image was made from which: nothing records it, layers and history tell.

An image is another's parent if the other has the same layers or one more, and the same history and one step more. That
is how podman finds the intermediate images of a build.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from podlike.store.images import Image

    Key = tuple[tuple[str, ...], tuple[Any, ...]]


class Kinship:
    """The relations among the images of a store at one moment."""

    def __init__(self, images: "Iterable[Image]") -> None:
        self._images = list(images)
        self._by_key: "dict[Key, list[Image]]" = {}
        self._children: "dict[str, list[Image]]" = {}
        self._listed: set[str] = set()
        for image in self._images:
            if image.index is not None:
                self._listed.update(entry["digest"] for entry in image.index["manifests"])
            else:
                self._by_key.setdefault(_key(image), []).append(image)
        for image in self._images:
            parent = self.parent(image)
            if parent is not None:
                self._children.setdefault(parent.id, []).append(image)

    def parent(self, image: "Image") -> "Image | None":
        """The image this one was made from, if it is here."""
        layers, history = _key(image)
        if not history or image.index is not None:
            return None
        for below in dict.fromkeys((layers, layers[:-1])):
            found = [i for i in self._by_key.get((below, history[:-1]), ()) if i.id != image.id]
            if found:
                return found[0]
        return None

    def children(self, image: "Image") -> "list[Image]":
        return self._children.get(image.id, [])

    def forget(self, image: "Image") -> None:
        """The image is gone: whoever it was made from has one child less."""
        parent = self.parent(image)
        if parent is not None:
            self._children[parent.id] = [c for c in self.children(parent) if c.id != image.id]
        key = _key(image)
        self._by_key[key] = [i for i in self._by_key.get(key, ()) if i.id != image.id]

    def is_dangling(self, image: "Image") -> bool:
        """No name leads to it, and no image and no list needs it."""
        return not image.names and not self.children(image) and image.manifest_digest not in self._listed

    def is_intermediate(self, image: "Image") -> bool:
        """A step of a build: no name, but an image was made from it."""
        return not image.names and bool(self.children(image))


def _key(image: "Image") -> "Key":
    history = image.config.get("history") or []
    steps = tuple((h.get("created") or "", h.get("created_by") or "", h.get("author") or "", h.get("comment") or "",
                   bool(h.get("empty_layer"))) for h in history if isinstance(h, dict))
    return tuple(image.layers), steps
