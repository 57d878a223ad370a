"""Where an image is, or is to go: TRANSPORT:DETAILS.

Source: containers-transports(5). What begins with none of these transports is a name of an image, or a path where a
path is expected: parse_place() says None then.
"""

import re

from podlike.errors import UsageError
from podlike.spec.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

# org.opencontainers.image.ref.name (annotations.md of the image specification)
_PART = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
_REF_NAME = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_REFUSED: "Final" = {
    "docker-daemon": "Write `docker save IMAGE | podlike load`, or `podlike save IMAGE | docker load`.",
    "ostree": "Copy the image to an oci: directory with a tool that knows it.",
    "atomic": "Name the image as docker://REGISTRY/REPOSITORY:TAG.",
    "sif": "Convert the image with `singularity build --sandbox` and `podlike import`.",
    "tarball": "Write `podlike import FILE`."}
TRANSPORTS: "Final" = ("docker", "docker-archive", "oci-archive", "oci", "dir", "containers-storage")


class StoreSpec(NamedTuple):
    """[DRIVER@]ROOT[+RUNROOT][:OPTION,...] of containers-storage; "" where it is left open."""

    driver: str = ""
    root: str = ""
    run_root: str = ""
    options: tuple[str, ...] = ()


class Place(NamedTuple):
    """One place.

    transport: one of TRANSPORTS. path: of the file or directory.
    reference: docker: the name as typed; docker-archive: a full name with its tag; oci, oci-archive: a ref.name;
    containers-storage: name, id or name@id. "": none given.
    position: of an image in its archive, instead of a reference.
    """

    transport: str
    path: str = ""
    reference: str = ""
    position: int | None = None
    store: StoreSpec = StoreSpec()

    def __str__(self) -> str:
        if self.transport == "docker":
            return f"docker://{self.reference}"
        if self.transport == "containers-storage":
            return f"containers-storage:{self.reference}"
        tail = f":@{self.position}" if self.position is not None else f":{self.reference}" if self.reference else ""
        return f"{self.transport}:{self.path}{tail}"


def parse_place(text: str) -> Place | None:
    """Read a place; None when no transport stands at its beginning. Raises: UsageError."""
    transport, colon, details = text.partition(":")
    if not colon:
        return None
    if transport == "docker":  # also the name of an image: docker:latest
        return _docker(details[2:]) if details.startswith("//") else None
    if transport in _REFUSED:
        raise UsageError(f"read {text[:200]}: {transport}: images are not supported", hint=_REFUSED[transport])
    if transport not in TRANSPORTS:
        return None
    if "\0" in details:
        raise _wrong(text, "it has a NUL character")
    if transport == "containers-storage":
        return _storage(text, details)
    path, colon, rest = details.partition(":")
    if not path:
        raise _wrong(text, "the path is missing", hint=f"Write {transport}:PATH.")
    if transport == "dir":
        return Place("dir", details)  # colons are a part of it
    if rest.startswith("@"):
        if transport == "oci-archive":
            raise _wrong(text, "an oci-archive takes a name and no index")
        return Place(transport, path, position=_position(text, rest[1:]))
    if transport == "docker-archive":
        return Place(transport, path, _tagged(text, rest) if colon else "")
    if rest and not _REF_NAME.fullmatch(rest):
        raise _wrong(text, f'"{rest[:100]}" is no reference name',
                     hint="Use letters and digits, with one of - . _ : @ + between them, and slashes.")
    return Place(transport, path, rest)


def _docker(reference: str) -> Place:
    parse_reference(reference)
    return Place("docker", reference=reference)


def _tagged(text: str, name: str) -> str:
    reference = parse_reference(name)
    if reference.digest:
        raise _wrong(text, "docker's archives know tags and no digests", hint="Name the image by its tag, or by @NUMBER.")
    return reference.name


def _position(text: str, digits: str) -> int:
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 9:
        raise _wrong(text, f'"@{digits[:20]}" is no position', hint="Positions are whole numbers from @0 on.")
    return int(digits)


def _storage(text: str, details: str) -> Place:
    store = StoreSpec()
    if details.startswith("["):
        inside, bracket, details = details[1:].partition("]")
        if not bracket or not inside:
            raise _wrong(text, "the store in [] is empty or does not end")
        store = _store(text, inside)
    if not details:
        raise _wrong(text, "the name of the image is missing", hint="Write containers-storage:NAME.")
    return Place("containers-storage", reference=details, store=store)


def _store(text: str, inside: str) -> StoreSpec:
    driver, at, rest = inside.rpartition("@") if "@" in inside.partition("/")[0] else ("", "", inside)
    if at and not driver:
        raise _wrong(text, "the driver before @ is missing")
    paths, _, options = rest.partition(":")
    root, _, run_root = paths.partition("+")
    for path in (root, run_root):
        if path and not path.startswith("/"):
            raise _wrong(text, f'"{path[:100]}" is no absolute path')
    if at and not root:
        raise _wrong(text, "the directory behind @ is missing")
    return StoreSpec(driver, root, run_root, tuple(options.split(",")) if options else ())


def _wrong(text: str, why: str, hint: str | None = None) -> UsageError:
    return UsageError(f"read {text[:200]!r}: {why}", hint=hint)
