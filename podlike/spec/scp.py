"""The two sides of `image scp`: IMAGE, USER@localhost::[IMAGE] for another user here, [USER@]HOST[:PORT]::[IMAGE]."""

from typing import NamedTuple

from podlike.errors import UsageError


class Place(NamedTuple):
    """One side. user: a user of this machine; host: [USER@]HOST[:PORT] or a connection's name; neither: this store.

    image: the name there: of what is copied, or what the copy is to be called; "": the name that it has.
    """

    user: str = ""
    host: str = ""
    image: str = ""

    @property
    def shown(self) -> str:
        return f"{self.user}@localhost" if self.user else self.host or "this store"


def parse_sides(source: str, target: str) -> tuple[Place, Place]:
    """target: "" when it was not given. Raises: UsageError."""
    here = _parse(source)
    if not here.image:
        raise UsageError("no source image specified: invalid argument" if not target
                         else "a source image must be specified: invalid argument",
                         hint="Write the image behind the two colons: HOST::IMAGE.")
    if not target:
        if not (here.host or here.user):
            raise UsageError("must specify a destination: invalid argument",
                             hint="Write where to copy it, for instance user@host:: .")
        return here, Place()
    return here, _parse(target)


def _parse(text: str) -> Place:
    if "::" not in text:
        return Place(image=text)
    where, _, image = text.partition("::")
    if not where or where.startswith("-") or any(c.isspace() or not c.isprintable() for c in where):
        raise UsageError(f'copy image: "{where}" is neither a host nor a connection',
                         hint="Write HOST::, USER@HOST:: or USER@localhost::.")
    if image.startswith("-"):
        raise UsageError(f'copy image: "{image}" cannot be the name of an image')
    if where.endswith("@localhost"):
        return Place(user=where.removesuffix("@localhost"), image=image)
    return Place(host=where, image=image)
