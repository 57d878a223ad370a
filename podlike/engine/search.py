"""search: which images registries have."""

import re

from podlike.engine.access import Access, open_client, open_registry
from podlike.errors import ConfigError, NotFoundError, PodlikeError, RegistryError, UsageError
from podlike.registries_conf import RegistriesConf, load_registries_conf
from podlike.spec.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final, NamedTuple

    from podlike.registry.search import Found
else:
    from podlike.spec.record import NamedTuple

DEFAULT_LIMIT: "Final" = 25
# As many registries are asked at once.
_PARALLEL: "Final" = 6
_FALSE: "Final" = ("false", "0")


class Hit(NamedTuple):
    """One image, or with tags one tag of it. name: complete."""

    registry: str
    name: str
    description: str = ""
    stars: int = 0
    official: bool = False
    automated: bool = False
    tag: str = ""


class Filters(NamedTuple):
    stars: int = 0
    official: bool | None = None
    automated: bool | None = None

    def fit(self, found: "Found") -> bool:
        return found.stars >= self.stars and self.official in (None, found.official) \
            and self.automated in (None, found.automated)


def parse_filters(texts: "Iterable[str]") -> Filters:
    """--filter of search. Raises: UsageError."""
    filters = Filters()
    for text in texts:
        key, _, value = text.partition("=")
        if key == "stars":
            if not re.fullmatch(r"[+-]?\d+", value, re.ASCII):
                raise UsageError(f'incorrect value type for stars filter: "{value}" is no number',
                                 hint="Write it as stars=NUMBER.")
            filters = filters._replace(stars=int(value))
        elif key in ("is-official", "is-automated"):
            filters = filters._replace(**{key.removeprefix("is-"): value not in _FALSE})
        else:
            raise UsageError(f'invalid filter type "{text}"', hint="Use stars=NUMBER, is-official or is-automated.")
    return filters


def search(term: str, *, access: Access, limit: int = 0, filters: Filters | None = None, tags: bool = False) -> list[Hit]:
    """Ask the registry in front of the term's first slash, or all search registries.

    limit: hits of each registry, 0: DEFAULT_LIMIT. tags: the tags of the repository called term instead.
    Raises: UsageError, ConfigError, RegistryError, NotFoundError; one registry that answers is enough.
    """
    from concurrent.futures import ThreadPoolExecutor

    if limit < 0:
        raise UsageError(f"invalid value {limit} for limit: it is negative", hint="Give the number of results that you want.")
    conf = load_registries_conf()
    domain, slash, rest = term.partition("/")
    registries, rest = ([domain], rest) if slash else (list(conf.search_registries), term)
    if not registries:
        raise ConfigError(f'search {term}: no unqualified-search-registries are defined in "{conf.sources[0]}"',
                          hint=f"Name the registry: podlike search docker.io/{term}.")
    ask = _Search(conf, access, limit or DEFAULT_LIMIT, filters or Filters())
    with ThreadPoolExecutor(_PARALLEL) as pool:
        answers = list(pool.map(lambda r: _or_error(ask.tags if tags else ask.images, r, rest), registries))
    hits = [hit for answer in answers if isinstance(answer, list) for hit in answer]
    errors = [answer for answer in answers if isinstance(answer, PodlikeError)]
    if hits or not errors:
        return hits
    if len(errors) == 1:
        raise errors[0]
    raise RegistryError(f"{len(errors)} errors occurred:" + "".join(f"\n\t* {e.message}" for e in errors), hint=errors[0].hint)


def _or_error(ask: "Callable[[str, str], list[Hit]]", registry: str, term: str) -> "list[Hit] | PodlikeError":
    try:
        return ask(registry, term)
    except PodlikeError as e:
        return e


class _Search(NamedTuple):
    conf: RegistriesConf
    access: Access
    limit: int
    filters: Filters

    def images(self, registry: str, term: str) -> list[Hit]:
        from podlike.registry.search import search

        hub = registry == "docker.io"
        # The hub searches at another address, has no catalog, and does not know official images by their full name.
        client = open_registry(self.conf, "index.docker.io" if hub else registry, access=self.access)
        try:
            found = search(client, term.removeprefix("library/") if hub else term, self.limit, catalog=not hub)
        except (RegistryError, NotFoundError) as e:
            raise RegistryError(f'couldn\'t search registry "{registry}": {e.message}', hint=e.hint) from e
        finally:
            client.close()
        return [Hit(registry, f"{registry}/{'library/' if hub and '/' not in f.name else ''}{f.name}", f.description,
                    f.stars, f.official, f.automated) for f in found if self.filters.fit(f)]

    def tags(self, registry: str, term: str) -> list[Hit]:
        reference = parse_reference(f"{registry}/{term}")
        place = self.conf.pull_sources(reference.repository, by_digest=False)[-1]
        client, path = open_client(self.conf, place.repository, access=self.access, insecure=place.insecure)
        try:
            tags = client.tags(path)
        except (RegistryError, NotFoundError) as e:
            raise type(e)(f"getting repository tags: {e.message}", hint=e.hint) from e
        finally:
            client.close()
        return [Hit(registry, reference.repository, tag=tag) for tag in tags[:self.limit]]
