"""registries.conf: short names, search registries, mirrors, insecure and blocked registries.

Files, of which the first that exists is read: $XDG_CONFIG_HOME/containers/registries.conf,
/etc/containers/registries.conf, /usr/share/containers/registries.conf; then the *.conf files of the
registries.conf.d folders beside them in the order of their names, where a file hides those of the same name
further down the list. $CONTAINERS_REGISTRIES_CONF names the only file to be read.
Source: containers-registries.conf(5), containers-registries.conf.d(5).
"""

import os
from typing import NamedTuple

from podlike.errors import ConfigError
from podlike.paths import real_uid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

SYSTEM_DIRS: "Final" = ("/etc/containers", "/usr/share/containers")
MODES: "Final" = ("enforcing", "permissive", "disabled")
_WHEN: "Final" = ("", "all", "digest-only", "tag-only")
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

    search: unqualified-search-registries, or None where no file sets them.
    aliases: short repository -> full repository. alias_sources: short repository -> file.
    sources: the files that were read, for messages.
    """

    __slots__ = ("search", "credential_helpers", "mode", "aliases", "alias_sources", "registries", "sources")

    def __init__(self) -> None:
        self.search: tuple[str, ...] | None = None
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
                f'defined in "{self.sources[0] if self.sources else "registries.conf"}"',
                hint=f'Write the registry too, for example "docker.io/{_hub(repository)}", or list registries in '
                     f'unqualified-search-registries.')
        return [f"{domain}/{repository}" for domain in search], len(search) > 1 and self.mode != "disabled"


def load_registries_conf() -> RegistriesConf:
    """Read the user's or the system's files. Raises: ConfigError."""
    conf = RegistriesConf()
    only = os.environ.get("CONTAINERS_REGISTRIES_CONF") or os.environ.get("REGISTRIES_CONF")
    for path in [only] if only else _files():
        _apply(conf, _read(path), path)
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


def _read(path: str) -> "dict[str, Any]":
    import tomllib

    try:
        with open(path, "rb") as f:
            return tomllib.load(f)
    except OSError as e:
        raise ConfigError(f"read {path}: {e.strerror}",
                          hint="Correct CONTAINERS_REGISTRIES_CONF or the file's permissions.") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"read {path}: {e}", hint="Correct the file: it must be TOML.") from e


def _apply(conf: RegistriesConf, doc: "dict[str, Any]", path: str) -> None:
    """Merge one file over what was read before: lists are replaced, tables are replaced one by one."""
    conf.sources.append(path)
    if "registries" in doc and isinstance(doc["registries"], dict):
        doc = _from_v1(doc["registries"])
    if "unqualified-search-registries" in doc:
        conf.search = tuple(_trim(s, path) for s in _strings(doc, "unqualified-search-registries", path))
    if "credential-helpers" in doc:
        conf.credential_helpers = tuple(_strings(doc, "credential-helpers", path))
    if "short-name-mode" in doc:
        conf.mode = doc["short-name-mode"]
        if conf.mode not in MODES:
            raise ConfigError(f"read {path}: short-name-mode {conf.mode!r} is unknown",
                              hint=f"Use one of {', '.join(MODES)}.")
    tables = doc.get("registry", [])
    if not isinstance(tables, list):
        raise _wrong(path, "registry", "must be a list of tables: [[registry]]")
    for i, table in enumerate(tables):
        registry = _registry(table, f"registry[{i}]", path)
        conf.registries[registry.prefix] = registry
    _apply_aliases(conf, doc.get("aliases", {}), path)


def _apply_aliases(conf: RegistriesConf, aliases: object, path: str) -> None:
    if not isinstance(aliases, dict):
        raise _wrong(path, "aliases", "must be a table")
    for short, full in aliases.items():
        if not isinstance(full, str):
            raise _wrong(path, f"aliases.{short}", "must be a string")
        if not full:
            conf.aliases.pop(short, None)
        elif "/" not in full or "@" in full or ":" in full.rpartition("/")[2]:
            raise _wrong(path, f"aliases.{short}", f"{full!r} must be registry/repository without a tag")
        else:
            conf.aliases[short] = full
            conf.alias_sources[short] = path


def _apply_cached_aliases(conf: RegistriesConf) -> None:
    path = cached_aliases_path()
    if os.path.exists(path):
        _apply_aliases(conf, _read(path).get("aliases", {}), path)


def _registry(table: "Any", where: str, path: str) -> Registry:
    if not isinstance(table, dict):
        raise _wrong(path, where, "must be a table")
    location = _trim(_string(table, "location", where, path), path)
    prefix = _trim(_string(table, "prefix", where, path), path) or location
    if not prefix:
        raise _wrong(path, where, "has neither location nor prefix")
    if "*" in prefix and (not prefix.startswith("*.") or any(c in prefix[1:] for c in "*/@:")):
        raise _wrong(path, f"{where}.prefix", f"{prefix!r} is not of the form *.example.com")
    if not location and not prefix.startswith("*."):
        raise _wrong(path, where, f"prefix {prefix!r} has no location")
    digest_only = _bool(table, "mirror-by-digest-only", where, path)
    mirrors = tuple(_mirror(m, f"{where}.mirror[{i}]", path, digest_only)
                    for i, m in enumerate(table.get("mirror", [])))
    return Registry(prefix, Endpoint(location, _bool(table, "insecure", where, path)), mirrors,
                    _bool(table, "blocked", where, path), path)


def _mirror(table: "Any", where: str, path: str, digest_only: bool) -> Endpoint:
    if not isinstance(table, dict) or not table.get("location"):
        raise _wrong(path, where, "must be a table with a location")
    when = _string(table, "pull-from-mirror", where, path)
    if when not in _WHEN:
        raise _wrong(path, f"{where}.pull-from-mirror", f"{when!r} is not one of all, digest-only, tag-only")
    if when and digest_only:
        raise _wrong(path, f"{where}.pull-from-mirror", "cannot be set together with mirror-by-digest-only")
    return Endpoint(_trim(_string(table, "location", where, path), path), _bool(table, "insecure", where, path),
                    "digest-only" if digest_only else when)


def _from_v1(registries: "dict[str, Any]") -> "dict[str, Any]":
    """The old form, [registries.search|insecure|block] registries = [...], as the new one."""
    def names(kind: str) -> list[str]:
        table = registries.get(kind, {})
        return list(table.get("registries", [])) if isinstance(table, dict) else []

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


def _trim(location: str, path: str) -> str:
    location = location.rstrip("/")
    if "://" in location:
        raise ConfigError(f"read {path}: {location!r} must not start with a protocol",
                          hint=f'Write "{location.partition("://")[2]}".')
    return location


def _typed(kind: type, words: str) -> "Callable[[dict[str, Any], str, str, str], Any]":
    def get(table: "dict[str, Any]", key: str, where: str, path: str) -> "Any":
        value = table.get(key, kind())
        if not isinstance(value, kind):
            raise _wrong(path, f"{where}.{key}", f"must be {words}")
        return value

    return get


_string = _typed(str, "a string")
_bool = _typed(bool, "true or false")


def _strings(doc: "dict[str, Any]", key: str, path: str) -> list[str]:
    value = doc[key]
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise _wrong(path, key, "must be a list of strings")
    return value


def _wrong(path: str, where: str, what: str) -> ConfigError:
    return ConfigError(f"read {path}: {where} {what}", hint="Correct the file; see containers-registries.conf(5).")
