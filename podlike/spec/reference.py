"""Names of images: parsing, normalising to docker.io, and the order in which a short name is looked up.

Source: github.com/distribution/reference (grammar and normalisation), compat-surface of short names.
"""

import re

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

DEFAULT_DOMAIN: "Final" = "docker.io"
DEFAULT_TAG: "Final" = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
# distribution/reference counts the path only, not the domain.
_PATH_MAX = 255

_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?", re.ASCII)
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}", re.ASCII)
_HEX_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}
_IMAGE_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
# A tag that follows the last slash: what is cut off before a short name is looked up.
_TAIL = re.compile(r":[^/:]*$")


class Reference(NamedTuple):
    """A complete image name. At least one of tag and digest is set when it comes from parse_reference."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def repository(self) -> str:
        """domain/path"""
        return f"{self.domain}/{self.path}"

    @property
    def name(self) -> str:
        """domain/path[:tag][@digest]"""
        return self.repository + self._tail()

    @property
    def familiar(self) -> str:
        """The name as docker shows it: docker.io and library/ left out."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        path = self.path
        # docker.io/library/a/b is not the official image a/b, so only one-part names lose their prefix.
        if path.startswith(_OFFICIAL) and "/" not in path[len(_OFFICIAL):]:
            path = path[len(_OFFICIAL):]
        return path + self._tail()

    @property
    def identifier(self) -> str:
        """What a registry is asked for: the digest where there is one, else the tag."""
        return self.digest or self.tag or DEFAULT_TAG

    def with_digest(self, digest: str) -> "Reference":
        """domain/path@digest, without a tag: the form of RepoDigests."""
        return Reference(self.domain, self.path, None, digest)

    def _tail(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """Read a name as a user types it; docker.io, library/ and :latest are filled in.

    Raises: UsageError.
    """
    if _IMAGE_ID.fullmatch(text):
        raise UsageError(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    rest, tag, digest = _split_tail(text)
    domain, path = _split_domain(rest)
    if not _DOMAIN.fullmatch(domain):
        raise _invalid(text)
    if not _PATH.fullmatch(path):
        if _PATH.fullmatch(path.lower()):
            raise UsageError(f"parse image name {text}: repository name must be lowercase",
                             hint=f'Write it as "{rest.lower()}{text[len(rest):]}".')
        raise _invalid(text)
    if len(path) > _PATH_MAX:
        raise UsageError(f"parse image name {text[:60]}...: "
                         f"repository name must not be more than {_PATH_MAX} characters")
    if tag is None and digest is None:
        tag = DEFAULT_TAG
    return Reference(domain, path, tag, digest)


def check_digest(digest: str) -> None:
    """Raises: UsageError unless the digest is well formed and of a known algorithm."""
    if not _DIGEST.fullmatch(digest):
        raise UsageError(f"invalid digest {digest!r}: invalid reference format")
    algorithm, _, value = digest.partition(":")
    if algorithm not in _HEX_LENGTH:
        raise UsageError(f"invalid digest {digest}: unsupported digest algorithm {algorithm}")
    if len(value) != _HEX_LENGTH[algorithm] or value != value.lower():
        raise UsageError(f"invalid digest {digest}: invalid checksum digest format",
                         hint=f"{algorithm} needs {_HEX_LENGTH[algorithm]} lower-case hexadecimal digits.")


def is_short(text: str) -> bool:
    """Whether the name leaves the registry open: its first part has no dot, no colon and is not localhost."""
    first, slash, _ = text.partition("/")
    return not slash or not ("." in first or ":" in first or first == "localhost")


def split_short(text: str) -> tuple[str, str]:
    """(repository, rest) of a short name; rest is "", ":tag", "@digest" or both, to be put back later."""
    parse_reference(text)
    repository = _TAIL.sub("", text.partition("@")[0])
    return repository, text[len(repository):]


def candidates(text: str, *, alias: str | None = None, search: "Iterable[str]" = ()) -> list[str]:
    """Full names under which a local image may be known to the user as text, best first.

    alias: the repository that registries.conf gives for this short name.
    search: unqualified-search-registries. docker.io is always tried last, as docker means nothing else.
    Raises: UsageError.
    """
    if not is_short(text):
        return [parse_reference(text).name]
    repository, tail = split_short(text)
    names = [f"{alias}{tail}"] if alias else []
    names += [f"{domain}/{repository}{tail}" for domain in ("localhost", *search, DEFAULT_DOMAIN)]
    return list(dict.fromkeys(parse_reference(name).name for name in names))


def _split_tail(text: str) -> tuple[str, str | None, str | None]:
    rest, at, digest = text.partition("@")
    if at:
        try:
            check_digest(digest)
        except UsageError as e:
            raise UsageError(f"parse image name {text}: {e.message}", hint=e.hint) from None
    tail = _TAIL.search(rest)
    if not tail:
        return rest, None, digest if at else None
    tag = tail.group()[1:]
    if not _TAG.fullmatch(tag):
        raise _invalid(text)
    return rest[:tail.start()], tag, digest if at else None


def _split_domain(rest: str) -> tuple[str, str]:
    first, slash, path = rest.partition("/")
    # An upper-case first part can only be a host name, since paths are lower-case.
    if not slash or not ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        first, path = DEFAULT_DOMAIN, rest
    if first == _LEGACY_DOMAIN:
        first = DEFAULT_DOMAIN
    if first == DEFAULT_DOMAIN and path and "/" not in path:
        path = _OFFICIAL + path
    return first, path


def _invalid(text: str) -> UsageError:
    hint = "An image name has the form [registry/]name[:tag][@sha256:digest]."
    if "://" in text:
        hint = f'Leave out "{text.partition("://")[0]}://": {hint[:1].lower()}{hint[1:]}'
    return UsageError(f"parse image name {text!r}: invalid reference format", hint=hint)
