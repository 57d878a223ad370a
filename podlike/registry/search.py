"""Searching a registry: docker's first protocol (/v1/search), which ranks, and the catalog of the second.

Source: docker registry API v1; OCI distribution's _catalog.
"""

import json
from urllib.parse import urlencode

from podlike import log
from podlike.errors import NotFoundError, RegistryError
from podlike.registry.client import next_page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, NamedTuple

    from podlike.registry.client import Client
else:
    from podlike.spec.record import NamedTuple

# A registry that always names a next page, or never a match, must not hold us for ever.
MAX_PAGES: "Final" = 1000
_TEXT_MAX: "Final" = 2000


class Found(NamedTuple):
    """One repository. The catalog knows names only."""

    name: str
    description: str = ""
    stars: int = 0
    official: bool = False
    automated: bool = False


def search(client: "Client", term: str, limit: int, *, catalog: bool = True) -> list[Found]:
    """At most limit repositories whose name or description the registry finds by term; "" finds all.

    catalog: whether the catalog may be asked where there is no search. Raises: RegistryError.
    """
    if term:
        try:
            return _by_v1(client, term, limit)
        except (RegistryError, NotFoundError) as e:
            if not catalog:
                raise
            log.debug(f"search {client.host}: no search by the first protocol: {e.message}")
    return _by_catalog(client, term, limit)


def _by_v1(client: "Client", term: str, limit: int) -> list[Found]:
    what = f"searching {client.host} for {term}"
    data, _ = client.read(f"/v1/search?{urlencode({'q': term, 'n': limit})}", what)
    rows = _object(data, what).get("results")
    if not isinstance(rows, list):
        raise RegistryError(f"{what}: the answer has no list of results", hint="Check that the address is a registry's.")
    return [_found(row) for row in rows if isinstance(row, dict) and isinstance(row.get("name"), str)][:limit]


def _found(row: "dict[str, Any]") -> Found:
    stars = row.get("star_count")
    return Found(_text(row["name"]), _text(row.get("description")), stars if type(stars) is int else 0,
                 row.get("is_official") is True, row.get("is_automated") is True)


def _by_catalog(client: "Client", term: str, limit: int) -> list[Found]:
    what = f"reading the catalog of {client.host}"
    found: dict[str, Found] = {}
    url: str | None = "/v2/_catalog"
    for _ in range(MAX_PAGES):
        if url is None or len(found) >= limit:
            break
        data, headers = client.read(url, what, scope="registry:catalog:*")
        names = _object(data, what).get("repositories")
        names = [] if names is None else names
        if not isinstance(names, list):
            raise RegistryError(f"{what}: the answer has no list of repositories",
                                hint="Check that the address is a registry's.")
        found.update({name: Found(_text(name)) for name in names if isinstance(name, str) and term in name})
        url = next_page(url, headers)
    # The exact name is what was meant.
    return sorted(found.values(), key=lambda f: f.name != term)[:limit]


def _object(data: bytes, what: str) -> "dict[str, Any]":
    try:
        doc = json.loads(data)
    except (ValueError, RecursionError):
        doc = None
    if not isinstance(doc, dict):
        raise RegistryError(f"{what}: the answer is not a JSON object", hint="Check that the address is a registry's.")
    return doc


def _text(value: object) -> str:
    """Words of strangers for a terminal: one line without control characters."""
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value[:_TEXT_MAX])
