"""Services onto the disk, and the links that `systemctl enable` would make: units of a generator cannot be enabled."""

import os

from podlike.quadlet.unitfile import UnitFile, template_parts
from podlike.quadlet.words import WordError, split_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_LINKS: "Final" = (("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "upholds"))


def write_unit(directory: str, name: str, content: bytes) -> None:
    """Readers see the whole unit or none. Raises: OSError."""
    temporary = f"{directory}/.{name}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view):]
        finally:
            os.close(fd)
        os.rename(temporary, f"{directory}/{name}")
    except OSError:
        os.unlink(temporary)
        raise


def links(service: UnitFile) -> list[tuple[str, str]]:
    """(link, target), both relative to the directory of the service, for its group Install.

    A template without DefaultInstance gets none but its aliases. Names with a slash, and aliases that lead elsewhere, are
    left out.
    """
    found = []
    for alias in _words(service, "Alias"):
        alias = os.path.normpath(alias)
        if alias not in (".", service.name) and not alias.startswith(("/", "..")):
            found.append((alias, "../" * alias.count("/") + service.name))
    name = service.name
    base, instance, template = template_parts(name)
    if template and not instance:
        default = service.text("Install", "DefaultInstance")
        if default is None or "/" in default:
            return found
        name = f"{base}@{default}.service"
    for key, kind in _LINKS:
        found += [(f"{by}.{kind}/{name}", f"../{service.name}") for by in _words(service, key) if "/" not in by]
    return found


def _words(service: UnitFile, key: str) -> list[str]:
    out = []
    for line in service.lines("Install", key):
        try:
            out += split_words(line.value, unescape=False)
        except WordError:
            continue
    return out


def make_links(directory: str, service: UnitFile, log: "Callable[[str], None]", debug: "Callable[[str], None]") -> None:
    for link, target in links(service):
        path = f"{directory}/{link}"
        debug(f"Creating symlink {path} -> {target}")
        try:
            if "/" in link:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                os.symlink(target, path)
            except FileExistsError:
                os.unlink(path)
                os.symlink(target, path)
        except OSError as e:
            log(f"Failed creating symlink {path}: {e.strerror}")
