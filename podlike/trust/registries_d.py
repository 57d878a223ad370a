"""registries.d: where the signatures of images lie.

All *.yaml files of $XDG_CONFIG_HOME/containers/registries.d if there is that folder, else of /etc/containers/registries.d.
Source: containers-registries.d(5).
"""

import os
from urllib.parse import urlsplit

from podlike.errors import ConfigError
from podlike.paths import real_uid
from podlike.trust.identity import scopes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, NamedTuple

    from podlike.spec.reference import Reference
else:
    from podlike.spec.record import NamedTuple

SYSTEM_DIR: "Final" = "/etc/containers/registries.d"
_TOP: "Final" = ("default-docker", "docker")
_KEYS: "Final" = ("lookaside", "lookaside-staging", "sigstore", "sigstore-staging", "use-sigstore-attachments")


class Place(NamedTuple):
    """One namespace. read, write: URLs, "" where it says nothing; attachments: None where it says nothing."""

    read: str = ""
    write: str = ""
    attachments: bool | None = None


class RegistriesD(NamedTuple):
    """default: default-docker, None where no file has it. places: namespace -> what is said of it."""

    default: Place | None
    places: "dict[str, Place]"

    def lookaside(self, reference: "Reference", *, write: bool = False) -> str:
        """URL of the folder beside which a repository's signatures lie, without a final slash."""
        base = next((url for p in self._chain(reference) if (url := p.write if write and p.write else p.read)), "")
        return f"{(base or 'file://' + _built_in()).rstrip('/')}/{reference.path}"

    def attachments(self, reference: "Reference") -> bool:
        """Whether signatures lie in the registry, under tags of their own."""
        return next((p.attachments for p in self._chain(reference) if p.attachments is not None), False)

    def of_scope(self, scope: str) -> Place | None:
        """What `image trust show` tells of a scope of a policy."""
        parts = scope.split("/")
        return next((self.places[name] for n in range(len(parts), 0, -1) if (name := "/".join(parts[:n])) in self.places),
                    self.default)

    def _chain(self, reference: "Reference") -> list[Place]:
        found = [self.places[scope] for scope in scopes(reference) if scope in self.places]
        return [*found, self.default] if self.default else found


def directory() -> str:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    own = f"{home}/containers/registries.d"
    return own if os.path.isdir(own) else SYSTEM_DIR


def load_registries_d(named: str = "") -> RegistriesD:
    """named: another folder. Raises: ConfigError."""
    folder = named or directory()
    default: Place | None = None
    places: dict[str, Place] = {}
    sources: dict[str, str] = {}
    for path in _files(folder):
        document = read_yaml(path)
        for key in document:
            if key not in _TOP:
                raise _wrong(path, key, _unknown(key, _TOP))
        if document.get("default-docker") is not None:
            _once(sources, "default-docker", "default-docker", path)
            default = _place(document["default-docker"], "default-docker", path)
        namespaces = document.get("docker") or {}
        if not isinstance(namespaces, dict):
            raise _wrong(path, "docker", "must be a table of namespaces")
        for name, value in namespaces.items():
            _once(sources, f"docker.{name}", f'"docker" namespace "{name}"', path)
            places[str(name)] = _place(value, f"docker[{str(name)!r}]", path)
    return RegistriesD(default, places)


def local_path(url: str) -> str | None:
    """The path of a file: URL, else None."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "file" else None


def _files(folder: str) -> list[str]:
    try:
        return [f"{folder}/{name}" for name in sorted(os.listdir(folder)) if name.endswith(".yaml")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as e:
        raise ConfigError(f"read {folder}: {e.strerror}", hint="Correct its permissions.") from e


def read_yaml(path: str) -> "dict[str, Any]":
    """A table. Raises: ConfigError."""
    import yaml

    try:
        with open(path, encoding="utf-8") as f:
            document = yaml.load(f, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"read {path}: {e}", hint="Correct the file or its permissions.") from e
    except (yaml.YAMLError, RecursionError) as e:
        mark = getattr(e, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else path
        raise ConfigError(f"parsing {place}: {getattr(e, 'problem', None) or e}",
                          hint="Correct the file: it must be YAML.") from e
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise _wrong(path, "", "must be a table")
    return {str(key): value for key, value in document.items()}


def _place(value: "Any", where: str, path: str) -> Place:
    if value is None:
        return Place()
    if not isinstance(value, dict):
        raise _wrong(path, where, "must be a table")
    for key, v in value.items():
        if key not in _KEYS:
            raise _wrong(path, f"{where}.{key}", _unknown(str(key), _KEYS))
        if key == "use-sigstore-attachments":
            if not isinstance(v, bool):
                raise _wrong(path, f"{where}.{key}", "must be true or false")
        elif not isinstance(v, str):
            raise _wrong(path, f"{where}.{key}", "must be a string")
        elif v and urlsplit(v).scheme not in ("file", "http", "https"):
            raise _wrong(path, f"{where}.{key}", f"{v!r} is no file, http or https URL")
    return Place(value.get("lookaside") or value.get("sigstore") or "",
                 value.get("lookaside-staging") or value.get("sigstore-staging") or "",
                 value.get("use-sigstore-attachments"))


def _once(sources: "dict[str, str]", key: str, words: str, path: str) -> None:
    if key in sources:
        raise ConfigError(f'error parsing signature storage configuration: {words} defined both in "{sources[key]}" and '
                          f'"{path}"', hint="Remove one of them.")
    sources[key] = path


def _unknown(key: str, known: tuple[str, ...]) -> str:
    import difflib

    near = difflib.get_close_matches(key, known, n=1)
    return "is an unknown key" + (f': did you mean "{near[0]}"?' if near else f"; known are {', '.join(known)}")


def _wrong(path: str, where: str, what: str) -> ConfigError:
    return ConfigError(f"parsing {path}: {where + ' ' if where else ''}{what}",
                       hint="Correct the file; see containers-registries.d(5).")


def _built_in() -> str:
    return "/var/lib/containers/sigstore" if real_uid() == 0 else os.path.expanduser("~/.local/share/containers/sigstore")
