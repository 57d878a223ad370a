"""Names in policies and signatures: the scopes of an image, and whether a signature is for the name that was asked for.

Source: containers-policy.json(5).
"""

import re

from podlike.errors import UsageError
from podlike.spec.reference import Reference, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

MATCH_REPO_DIGEST_OR_EXACT: "Final" = "matchRepoDigestOrExact"
# type -> the keys that it has besides
_KINDS: "Final[dict[str, tuple[str, ...]]]" = {
    MATCH_REPO_DIGEST_OR_EXACT: (), "matchExact": (), "matchRepository": (), "exactReference": ("dockerReference",),
    "exactRepository": ("dockerRepository",), "remapIdentity": ("prefix", "signedPrefix")}
_PREFIX = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*", re.ASCII)


class Identity(NamedTuple):
    """How the name in a signature must fit. first, second: what the type has besides, in the manual's order."""

    type: str
    first: str = ""
    second: str = ""

    def accepts(self, intended: Reference | None, signed: str) -> bool:
        """intended: the image that is to be used, None where it has no name. signed: the name in the signature."""
        claim = _parse(signed)
        if claim is None:
            return False
        if self.type == "exactReference":
            wanted = _parse(self.first)
            return wanted is not None and bool(claim.tag or claim.digest) and claim == wanted
        if self.type == "exactRepository":
            wanted = _parse(self.first)
            return wanted is not None and claim.repository == wanted.repository
        if intended is None:
            return False
        if self.type == "matchRepository":
            return claim.repository == intended.repository
        if self.type == "matchExact":
            return bool(claim.tag or claim.digest) and bool(intended.tag or intended.digest) and claim == intended
        if self.type == "remapIdentity":
            remapped = self._remap(intended)
            return remapped is not None and _repo_digest_or_exact(remapped, claim)
        return _repo_digest_or_exact(intended, claim)

    def _remap(self, intended: Reference) -> Reference | None:
        name = intended.repository
        if name != self.first and not name.startswith(self.first + "/"):
            return intended
        domain, _, path = (self.second + name[len(self.first):]).partition("/")
        return intended._replace(domain=domain, path=path) if path else None


def parse_identity(table: "dict[str, str]") -> Identity:
    """signedIdentity of a policy. Raises: UsageError with the words behind the place."""
    kind = table.get("type", "")
    keys = _KINDS.get(kind)
    if keys is None:
        raise UsageError(f'has the type "{kind}", not one of {", ".join(_KINDS)}')
    if set(table) != {"type", *keys}:
        raise UsageError(f"of type {kind} must have the keys {', '.join(('type', *keys))} and no others")
    values = [table[key] for key in keys]
    if kind == "remapIdentity":
        for key, value in zip(keys, values, strict=True):
            if not _PREFIX.fullmatch(value):
                raise UsageError(f"has {key} {value!r}, which is no HOST[:PORT][/PATH]")
    for value in values if kind.startswith("exact") else ():
        parsed = _parse(value)
        if parsed is None or (kind == "exactReference" and not (parsed.tag or parsed.digest)):
            raise UsageError(f"has {keys[0]} {value!r}, which is no complete name"
                             + (" with a tag or digest" if kind == "exactReference" else ""))
    return Identity(kind, *values)


def scopes(reference: Reference) -> list[str]:
    """Scopes of transport "docker" that an image falls under, the most specific first."""
    tail = f"@{reference.digest}" if reference.digest else f":{reference.tag}"
    parts = reference.repository.split("/")
    found = [reference.repository + tail, *("/".join(parts[:n]) for n in range(len(parts), 0, -1))]
    host = reference.domain.partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        found.append(f"*.{host}")
    return found


def _repo_digest_or_exact(intended: Reference, claim: Reference) -> bool:
    if not (claim.tag or claim.digest):
        return False
    # The digest itself is compared with the signed one by who calls.
    return claim.repository == intended.repository if intended.digest and not intended.tag else claim == intended


def _parse(name: str) -> Reference | None:
    """A name as it is written, without a tag that it does not have."""
    try:
        parsed = parse_reference(name)
    except UsageError:
        return None
    return parsed if parsed.digest or name.endswith(f":{parsed.tag}") else parsed._replace(tag=None)
