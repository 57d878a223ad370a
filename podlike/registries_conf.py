"""registries.conf: short names, search registries, mirrors, insecure and blocked registries.

Files, of which the first that exists is read: $XDG_CONFIG_HOME/containers/registries.conf,
/etc/containers/registries.conf, /usr/share/containers/registries.conf; then the *.conf files of the
registries.conf.d folders beside them in the order of their names, where a file hides those of the same name
further down the list. $CONTAINERS_REGISTRIES_CONF names the only file to be read.
Source: containers-registries.conf(5), containers-registries.conf.d(5).
"""

import os
import re

from podlike.errors import ConfigError
from podlike.paths import real_uid
from podlike.toml_places import Document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final, NamedTuple
else:
    from podlike.spec.record import NamedTuple

SYSTEM_DIRS: "Final" = ("/etc/containers", "/usr/share/containers")
MODES: "Final" = ("enforcing", "permissive", "disabled")
_WHEN: "Final" = ("", "all", "digest-only", "tag-only")
_KEYS: "Final" = ("unqualified-search-registries", "credential-helpers", "short-name-mode", "registry", "aliases",
                  "additional-layer-store-auth-helper")
_REGISTRY_KEYS: "Final" = ("prefix", "location", "insecure", "blocked", "mirror", "mirror-by-digest-only",
                           "pull-from-mirror")
_MIRROR_KEYS: "Final" = ("location", "insecure", "pull-from-mirror")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?", re.ASCII)
# With no search registry configured anywhere a short name means what it means to docker.
DEFAULT_SEARCH: "Final" = ("docker.io",)


class Endpoint(NamedTuple):
    """Where a registry, or one of its mirrors, is to be reached.

    location: host[:port][/path] that takes the place of the prefix; "": the name stays as it is.
    when: "", "all", "digest-only" or "tag-only": the references that a mirror is asked for.
    """

    location: str
    insecure: bool = False
    when: str = ""


class Registry(NamedTuple):
    """One [[registry]] table."""

    prefix: str
    primary: Endpoint
    mirrors: tuple[Endpoint, ...] = ()
    blocked: bool = False
    source: str = ""


class Source(NamedTuple):
    """A place to pull from: the repository (domain/path) to ask for there."""

    repository: str
    insecure: bool


class RegistriesConf:
    """The files merged.

    search: unqualified-search-registries, or None where no file sets them; search_source: the file that does.
    aliases: short repository -> full repository. alias_sources: short repository -> file.
    sources: the files that were read, for messages.
    """

    __slots__ = ("search", "search_source", "credential_helpers", "mode", "aliases", "alias_sources", "registries", "sources")

    def __init__(self) -> None:
        self.search: tuple[str, ...] | None = None
        self.search_source = ""
        self.credential_helpers: tuple[str, ...] = ()
        self.mode = "permissive"
        self.aliases: dict[str, str] = {}
        self.alias_sources: dict[str, str] = {}
        self.registries: dict[str, Registry] = {}
        self.sources: list[str] = []

    @property
    def search_registries(self) -> tuple[str, ...]:
        """Registries in which short names are looked up."""
        return DEFAULT_SEARCH if self.search is None else self.search

    def find(self, repository: str) -> Registry | None:
        """The table with the longest prefix that matches domain/path, or None."""
        best = None
        for registry in self.registries.values():
            if _match(repository, registry.prefix) is not None \
                    and (best is None or len(registry.prefix) > len(best.prefix)):
                best = registry
        return best

    def pull_sources(self, repository: str, *, by_digest: bool) -> list[Source]:
        """Mirrors in order, then the registry itself.

        Raises: ConfigError when the registry is blocked.
        """
        registry = self.find(repository)
        if registry is None:
            return [Source(repository, False)]
        if registry.blocked:
            raise ConfigError(f"registry {registry.prefix} is blocked in {registry.source}",
                              hint=f'Set "blocked = false" for it in {registry.source}, or use another registry.')
        skip = "tag-only" if by_digest else "digest-only"
        endpoints = [m for m in registry.mirrors if m.when != skip]
        return [Source(_rewrite(repository, registry.prefix, e.location), e.insecure)
                for e in (*endpoints, registry.primary)]

    def resolve_short(self, repository: str) -> tuple[list[str], bool]:
        """(full repositories to try in order, whether the user has to choose one of them).

        repository: a short name without tag and digest.
        Raises: ConfigError when no registry is to be searched.
        """
        alias = self.aliases.get(repository)
        if alias:
            return [alias], False
        search = self.search_registries
        if not search:
            raise ConfigError(
                f'short-name "{repository}" did not resolve to an alias and no unqualified-search registries are '
                f'defined in "{self.search_source}"',
                hint=f'Write the registry too, for example "docker.io/{_hub(repository)}", or list registries in '
                     f'unqualified-search-registries.')
        return [f"{domain}/{repository}" for domain in search], len(search) > 1 and self.mode != "disabled"


def load_registries_conf() -> RegistriesConf:
    """Read the user's or the system's files. Raises: ConfigError."""
    conf = RegistriesConf()
    only = os.environ.get("CONTAINERS_REGISTRIES_CONF") or os.environ.get("REGISTRIES_CONF")
    for path in [only] if only else _files():
        _apply(conf, _open(path))
    _apply_cached_aliases(conf)
    return conf


def cached_aliases_path() -> str:
    """Where choices made at a prompt are kept. Beats [aliases] of registries.conf."""
    if real_uid() == 0:
        return "/var/cache/containers/short-name-aliases.conf"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return f"{cache}/containers/short-name-aliases.conf"


def record_alias(short: str, repository: str) -> None:
    """Remember that the short name means this repository. Raises: ConfigError."""
    path = cached_aliases_path()
    conf = RegistriesConf()
    _apply_cached_aliases(conf)
    conf.aliases[short] = repository
    text = "[aliases]\n" + "".join(f'  "{k}" = "{v}"\n' for k, v in sorted(conf.aliases.items()))
    tmp = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(tmp, "w") as f:
            f.write(text)
        os.rename(tmp, path)
    except OSError as e:
        raise ConfigError(f"record short name {short} in {path}: {e.strerror}",
                          hint="Make the directory writable, or use the full name.") from e


def _files() -> list[str]:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    dirs = (f"{home}/containers", *SYSTEM_DIRS)
    files = [f for d in dirs if os.path.isfile(f := f"{d}/registries.conf")][:1]
    dropins: dict[str, str] = {}
    for d in reversed(dirs):
        try:
            names = os.listdir(f"{d}/registries.conf.d")
        except OSError:
            continue
        dropins.update({n: f"{d}/registries.conf.d/{n}" for n in names if n.endswith(".conf")})
    return files + [dropins[n] for n in sorted(dropins)]


def _open(path: str) -> Document:
    return Document(path, "containers-registries.conf(5)",
                    hint="Correct CONTAINERS_REGISTRIES_CONF or the file's permissions.")


def _apply(conf: RegistriesConf, doc: Document) -> None:
    """Merge one file over what was read before: lists are replaced, tables are replaced one by one."""
    conf.sources.append(doc.path)
    tables = doc.tables
    if isinstance(tables.get("registries"), dict):
        if tables.keys() - {"registries"}:
            raise doc.wrong("registries", "is of the old form (version 1), which cannot be mixed with the new one")
        tables = _from_v1(doc)
    doc.check_keys(tables, _KEYS)
    if "unqualified-search-registries" in tables:
        conf.search = tuple(_domain(s, doc) for s in doc.strings(tables, "unqualified-search-registries"))
        conf.search_source = doc.path
    if "credential-helpers" in tables:
        conf.credential_helpers = tuple(doc.strings(tables, "credential-helpers"))
    if "short-name-mode" in tables:
        conf.mode = doc.string(tables, "short-name-mode")
        if conf.mode not in MODES:
            raise doc.wrong("short-name-mode", f"{conf.mode!r} is unknown: it must be one of {', '.join(MODES)}")
    registries = tables.get("registry", [])
    if not isinstance(registries, list):
        raise doc.wrong("registry", "must be a list of tables: [[registry]]")
    found: dict[str, Registry] = {}
    for i, table in enumerate(registries):
        registry = _registry(table, f"registry[{i}]", doc)
        _check_conflict(registry, found.values(), f"registry[{i}]", doc)
        found.setdefault(registry.prefix, registry)
    conf.registries.update(found)
    _apply_aliases(conf, doc)


def _domain(text: str, doc: Document) -> str:
    domain = _trim(text, "unqualified-search-registries", doc)
    if not _DOMAIN.fullmatch(domain):
        raise doc.wrong("unqualified-search-registries", f"has an entry {text!r}, which is no host[:port]")
    return domain


def _check_conflict(registry: Registry, others: "Iterable[Registry]", where: str, doc: Document) -> None:
    """One host cannot be insecure or blocked by one table and not so by another of the same file."""
    own = registry.primary.location or registry.prefix
    for other in others:
        if (other.primary.location or other.prefix) != own:
            continue
        for key, differs in (("insecure", other.primary.insecure != registry.primary.insecure),
                             ("blocked", other.blocked != registry.blocked)):
            if differs:
                raise doc.wrong(where, f"defines registry {own!r} once more, with another {key!r} setting")


def _apply_aliases(conf: RegistriesConf, doc: Document) -> None:
    aliases = doc.tables.get("aliases", {})
    if not isinstance(aliases, dict):
        raise doc.wrong("aliases", "must be a table")
    for short in aliases:
        full, where = doc.string(aliases, short, "aliases"), f"aliases.{short}"
        if _has_registry(short) or ":" in short or "@" in short:
            raise doc.wrong(where, "must be a name without a registry, tag or digest")
        if not full:
            conf.aliases.pop(short, None)
            continue
        if not _has_registry(full) or "@" in full or ":" in full.rpartition("/")[2]:
            raise doc.wrong(where, f"{full!r} must be registry/repository without a tag")
        conf.aliases[short] = full
        conf.alias_sources[short] = doc.path


def _has_registry(name: str) -> bool:
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def _apply_cached_aliases(conf: RegistriesConf) -> None:
    path = cached_aliases_path()
    if os.path.exists(path):
        _apply_aliases(conf, _open(path))


def _registry(table: object, where: str, doc: Document) -> Registry:
    if not isinstance(table, dict):
        raise doc.wrong(where, "must be a table")
    doc.check_keys(table, _REGISTRY_KEYS, where)
    location = _trim(doc.string(table, "location", where), where, doc)
    prefix = _trim(doc.string(table, "prefix", where), where, doc) or location
    if not prefix:
        raise doc.wrong(where, "has neither location nor prefix")
    if "*" in prefix and (not prefix.startswith("*.") or any(c in prefix[1:] for c in "*/@:")):
        raise doc.wrong(f"{where}.prefix", f"{prefix!r} is not of the form *.example.com")
    if not location and not prefix.startswith("*."):
        raise doc.wrong(where, f"prefix {prefix!r} has no location")
    if table.get("pull-from-mirror"):
        raise doc.wrong(f"{where}.pull-from-mirror", "belongs into a [[registry.mirror]]")
    digest_only = doc.boolean(table, "mirror-by-digest-only", where)
    mirrors = table.get("mirror", [])
    if not isinstance(mirrors, list):
        raise doc.wrong(f"{where}.mirror", "must be a list of tables: [[registry.mirror]]")
    return Registry(prefix, Endpoint(location, doc.boolean(table, "insecure", where)),
                    tuple(_mirror(m, f"{where}.mirror[{i}]", doc, digest_only) for i, m in enumerate(mirrors)),
                    doc.boolean(table, "blocked", where), doc.path)


def _mirror(table: object, where: str, doc: Document, digest_only: bool) -> Endpoint:
    if not isinstance(table, dict) or not table.get("location"):
        raise doc.wrong(where, "must be a table with a location")
    doc.check_keys(table, _MIRROR_KEYS, where)
    when = doc.string(table, "pull-from-mirror", where)
    if when not in _WHEN:
        raise doc.wrong(f"{where}.pull-from-mirror", f"{when!r} is not one of all, digest-only, tag-only")
    if when and digest_only:
        raise doc.wrong(f"{where}.pull-from-mirror", "cannot be set together with mirror-by-digest-only")
    return Endpoint(_trim(doc.string(table, "location", where), where, doc), doc.boolean(table, "insecure", where),
                    "digest-only" if digest_only else when)


def _from_v1(doc: Document) -> "dict[str, Any]":
    """The old form, [registries.search|insecure|block] registries = [...], as the new one."""
    def names(kind: str) -> list[str]:
        table, where = doc.tables["registries"].get(kind, {}), f"registries.{kind}"
        if not isinstance(table, dict):
            raise doc.wrong(where, "must be a table")
        return doc.strings(table, "registries", where)

    insecure, blocked = set(names("insecure")), set(names("block"))
    return {"unqualified-search-registries": names("search"),
            "registry": [{"location": n, "insecure": n in insecure, "blocked": n in blocked}
                         for n in sorted(insecure | blocked)]}


def _match(repository: str, prefix: str) -> int | None:
    """Length of the part of the repository that the prefix stands for, or None."""
    if prefix.startswith("*."):
        at = repository.find(prefix[1:])
        if at < 1 or "/" in repository[:at]:
            return None
        end = at + len(prefix) - 1
    elif repository.startswith(prefix):
        end = len(prefix)
    else:
        return None
    return end if repository[end:end + 1] in ("", ":", "/", "@") else None


def _rewrite(repository: str, prefix: str, location: str) -> str:
    end = _match(repository, prefix)
    return location + repository[end:] if location and end is not None else repository


def _hub(repository: str) -> str:
    return repository if "/" in repository else f"library/{repository}"


def _trim(location: str, where: str, doc: Document) -> str:
    location = location.rstrip("/")
    if "://" in location:
        raise doc.wrong(where, f'{location!r} must not start with a protocol: write "{location.partition("://")[2]}"')
    return location
