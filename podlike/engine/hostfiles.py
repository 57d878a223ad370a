"""mounts.conf: files of the host, such as credentials for package managers, that every container gets a copy of.

Source: containers-mounts.conf(5): lines SOURCE:TARGET. The copies are the container's own: it cannot write to the
host's files, and what is readable to nobody but their owner is not left readable to more.
"""

import os

from podlike.errors import ConfigError
from podlike.files import read_text
from podlike.spec.container import ContainerSpec

_FILES_LIMIT = 4096  # of one source; a mistake like "/:/host" must not fill the runtime directory
_BYTES_LIMIT = 16 << 20


def copied_mounts(spec: ContainerSpec, directory: str) -> dict[str, str]:
    """Copy the sources below directory; return the copies by their path in the container.

    A missing file or source is nothing to speak of. Raises: ConfigError.
    """
    out: dict[str, str] = {}
    for number, (source, target) in enumerate(_entries(_conf_files(spec))):
        copy = f"{directory}/mounts/{number}"
        if target not in out and os.path.exists(source):
            os.makedirs(f"{directory}/mounts", mode=0o700, exist_ok=True)
            try:
                _copy(source, copy, [_FILES_LIMIT, _BYTES_LIMIT])
            except OSError as e:
                raise ConfigError(f"copy {source} for {target} (mounts.conf): {e.strerror or e}",
                                  hint="Take the line out of mounts.conf, or give yourself access to the source.") from None
            out[target] = copy
    return out


def _conf_files(spec: ContainerSpec) -> list[str]:
    if spec.mounts_file:
        return [spec.mounts_file]
    home = os.environ.get("HOME", "")
    return [*([f"{home}/.config/containers/mounts.conf"] if home else []), "/etc/containers/mounts.conf",
            "/usr/share/containers/mounts.conf"]


def _entries(paths: list[str]) -> list[tuple[str, str]]:
    """(source, target) of every line; the target is the source where none is given."""
    out = []
    for path in paths:
        try:
            text = read_text(path)
        except OSError:
            continue
        for line in text.splitlines():
            source, _, target = line.strip().partition(":")
            if source.startswith("/") and (not target or target.startswith("/")):
                out.append((source, target or source))
    return out


def _copy(source: str, target: str, left: list[int]) -> None:
    """left: files and bytes that may still be copied."""
    if os.path.isdir(source):
        os.mkdir(target, 0o755)
        for name in os.listdir(source):
            _copy(f"{source}/{name}", f"{target}/{name}", left)
        os.chmod(target, os.stat(source).st_mode & 0o777)
        return
    if not os.path.isfile(source):
        return  # sockets, devices, links to nowhere
    with open(source, "rb") as f:
        data = f.read(left[1] + 1)
        mode = os.fstat(f.fileno()).st_mode & 0o777
    left[0] -= 1
    left[1] -= len(data)
    if min(left) < 0:
        raise OSError(f"more than {_FILES_LIMIT} files or {_BYTES_LIMIT >> 20} MiB")
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as f:
        f.write(data)
        os.fchmod(fd, mode)
