"""-v, --mount and --tmpfs into Mount values. No I/O: sources are not looked at, except where a glob asks for it."""

import os.path

from podlike.errors import UsageError
from podlike.spec.container import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, NoReturn

_PROPAGATION: "Final" = ("shared", "rshared", "private", "rprivate", "slave", "rslave", "unbindable", "runbindable")
# Options of -v that exclude each other, under the word that podman has for them in its message.
_KINDS: "Final" = (
    ("rw, ro", ("rw", "ro")),
    ("z, Z", ("z", "Z")),
    ("U", ("U",)),
    ("mount propagation", _PROPAGATION),
    ("dev, nodev", ("dev", "nodev")),
    ("exec, noexec", ("exec", "noexec")),
    ("suid, nosuid", ("suid", "nosuid")),
    ("bind, rbind", ("bind", "rbind")),
    ("copy, nocopy", ("copy", "nocopy")),
)
_KNOWN: "Final" = {option: kind for kind, options in _KINDS for option in options}
_PLAIN: "Final" = frozenset(("O", "idmap", "no-dereference", "relatime", "noatime", "strictatime", "nodiratime"))
_BAD: "Final" = "invalid mount option"
_ARG: "Final" = "must provide an argument for option"


def _fail(message: str, hint: str | None = None) -> "NoReturn":
    raise UsageError(message, hint=hint)


def parse_volume(text: str, *, cwd: str = "/") -> Mount:
    """One -v value: [SOURCE:]TARGET[:OPTIONS].

    A source with / or . in front is a host path (made absolute from cwd), any other a volume's name; no source is
    an anonymous volume. Raises: UsageError.
    """
    parts = text.split(":")
    if len(parts) > 3:
        _fail(f"{text}: incorrect volume format, should be [host-dir:]ctr-dir[:option]")
    options = check_volume_options(parts[2].split(",")) if len(parts) > 2 else []
    if len(parts) == 1:
        return Mount(type="volume", target=container_path(text))
    source = parts[0]
    if not source:
        _fail("host directory cannot be empty", f"Name a directory or a volume in front of the colon in {text}.")
    target = container_path(parts[1])
    if source[0] in "/.":
        return Mount(type="bind", source=os.path.normpath(os.path.join(cwd, source)), target=target, options=options)
    if source[0] == "~":
        _fail(f"use volume {source}: the shell did not expand ~", "Write $HOME, or put a blank after -v.")
    if "/" in source:
        _fail(f"use volume {source}: a volume's name has no slash",
              f"For a directory write ./{source} or its absolute path.")
    return Mount(type="volume", source=source, target=target, options=options)


def container_path(text: str) -> str:
    """A mount point inside a container, cleaned. Raises: UsageError."""
    if not text:
        _fail("container directory cannot be empty")
    if not text.startswith("/"):
        _fail(f'invalid container path "{text}", must be an absolute path')
    path = os.path.normpath(text)
    return path[1:] if path.startswith("//") else path


def check_volume_options(options: list[str]) -> list[str]:
    """The options without empty ones. Raises: UsageError for unknown ones and contradictions."""
    seen: dict[str, str] = {}
    out = []
    for option in options:
        if not option or option in ("cached", "delegated", "consistent"):  # docker on a Mac; without meaning here
            continue
        kind = _KNOWN.get(option)
        if kind is not None:
            if kind in seen:
                _fail(f'invalid options "{",".join(options)}", can only specify 1 \'{kind}\' option')
            seen[kind] = option
        elif option not in _PLAIN and not option.startswith(("idmap=", "upperdir=", "workdir=")):
            _fail(f'invalid option type "{option}"', "Options are ro, rw, z, Z, U, O, nocopy, [r]shared, [r]slave, "
                                                    "[r]private, [r]bind, [no]exec, [no]dev, [no]suid.")
        out.append(option)
    return out


def parse_tmpfs(text: str) -> tuple[str, str]:
    """One --tmpfs value, TARGET[:OPTIONS] -> (target, options). Raises: UsageError."""
    target, _, options = text.partition(":")
    return container_path(target), options


def parse_mount(text: str, *, cwd: str = "/", rootless: bool = True,
                glob: "Callable[[str], list[str]] | None" = None) -> list[Mount]:
    """One --mount value: type=bind,src=/a,dst=/b,ro and so on; a glob may give several mounts.

    glob: finds the paths for type=glob. Raises: UsageError.
    """
    fields = _split(text)
    kind = next((value for name, value, _ in fields if name == "type"), "volume")
    rest = [f for f in fields if f[0] != "type"]
    if kind in ("image", "artifact"):
        return [_image(rest) if kind == "image" else _artifact(rest)]
    if kind not in ("bind", "glob", "tmpfs", "ramfs", "devpts", "volume"):
        _fail(f'invalid filesystem type "{kind}"', "Types are artifact, bind, devpts, glob, image, ramfs, tmpfs and volume.")
    parser = _MountOptions(kind, rootless=rootless)
    for name, value, has_value in rest:
        parser.take(name, value, has_value)
    return parser.result(cwd, glob)


def _split(text: str) -> "list[tuple[str, str, bool]]":
    """name=value fields, separated by commas as in CSV."""
    if '"' in text:
        import csv

        try:
            parts = next(csv.reader([text], strict=True))
        except csv.Error as e:
            _fail(f"parse --mount {text}: {e}")
    else:
        parts = text.split(",")
    fields = [p.partition("=") for p in parts if p]
    return [(name, value, bool(eq)) for name, eq, value in fields]


class _MountOptions:
    """Collects the fields of one --mount; each kind of option may be given once."""

    def __init__(self, kind: str, *, rootless: bool) -> None:
        self.kind = kind
        self.rootless = rootless
        self.source = ""
        self.target = ""
        self.options: list[str] = []
        self._seen: set[str] = set()

    def take(self, name: str, value: str, has_value: bool) -> None:
        name = _SPELLINGS.get(name, name)
        if name in ("src", "source", "target"):
            self._path(name, value, has_value)
        elif name in ("ro", "rw"):
            self._once("ro", "'readonly', 'ro', or 'rw'")
            self._access(name, value.lower() if has_value else "true")
        elif name in ("dev", "nodev", "exec", "noexec", "suid", "nosuid"):
            base = name.removeprefix("no")
            self._once(base, f"'no{base}' and '{base}'")
            self.options.append(name)
        elif name in _PROPAGATION or name in ("z", "Z", "no-dereference", "nocopy", "copy"):
            self.options.append(name)
        elif name == "bind-propagation":
            self._need("bind", name)
            if self._value(name, value, has_value) not in _PROPAGATION:
                _fail(f'invalid value "{name}={value}"')
            self.options.append(value)
        elif name == "bind-nonrecursive":
            self._need("bind", name)
            self.options.append("bind")
        elif name in ("tmpcopyup", "notmpcopyup"):
            self._need("tmpfs", name)
            self._once("tmpcopyup", "'tmpcopyup' and 'notmpcopyup'")
            self.options.append(name)
        elif name in ("tmpfs-mode", "tmpfs-size"):
            self._need("tmpfs", name)
            self.options.append(f"{name[6:]}={self._value(name, value, has_value)}")
        else:
            self._rest(name, value, has_value)

    def _rest(self, name: str, value: str, has_value: bool) -> None:
        if name == "relabel":
            if value not in ("private", "shared"):
                _fail(f"{name} mount option must be 'private' or 'shared': {_BAD}")
            self.options.append("Z" if value == "private" else "z")
        elif name == "U":
            self._once("U", "'U' or 'chown'")
            if has_value and value not in ("true", "false"):
                _fail(f"'U' or 'chown' must be set to true or false, instead received \"{value}\": {_ARG}")
            self.options += ["U"] if value != "false" else []
        elif name == "noswap":
            if self.rootless:
                _fail(f"the 'noswap' option is only allowed with rootful tmpfs mounts: {_ARG}")
            self.options.append(name)
        elif name == "idmap":
            self.options.append(f"idmap={value}" if has_value else "idmap")
        elif name == "subpath" and self.kind == "volume":
            self.options.append(f"subpath={self._value(name, value, has_value)}")
        elif name in ("uid", "gid", "mode", "max", "newinstance", "ptmxmode") and self.kind == "devpts":
            self.options.append(f"{name}={value}" if has_value else name)
        elif name in ("volume-opt", "volume-label", "volume-driver"):
            self._need("volume", name)
            _fail(f"--mount {name} is not supported by this version of podlike",
                  "Mount an existing directory with type=bind instead.")
        elif name != "consistency":  # docker on a Mac; docker itself ignores it elsewhere
            _fail(f"{name}: {_BAD}")

    def _path(self, name: str, value: str, has_value: bool) -> None:
        if name == "target":
            if self.target:
                _fail(f'cannot pass "{name}" option more than once: {_ARG}')
            self.target = container_path(self._value(name, value, has_value))
            return
        if self.kind == "tmpfs":
            _fail(f'"{name}" option not supported for "tmpfs" mount types')
        if self.source:
            _fail(f'cannot pass "{name}" option more than once: {_ARG}')
        if has_value and not value:
            _fail(f"host directory cannot be empty: {_ARG}")
        self.source = self._value(name, value, has_value)

    def _access(self, name: str, value: str) -> None:
        if value == "true":
            self.options.append(name)
        elif value != "false":
            _fail(f'{name}="{value}": must be true or false: {_BAD}')
        elif name == "rw":
            self.options.append("ro")

    def _once(self, key: str, words: str) -> None:
        if key in self._seen:
            _fail(f"cannot pass {words} mnt.Options more than once: {_ARG}")
        self._seen.add(key)

    def _need(self, kind: str, name: str) -> None:
        if self.kind != kind:
            _fail(f'"{name}" option not supported for "{self.kind}" mount types')

    def _value(self, name: str, value: str, has_value: bool) -> str:
        if not has_value or not value:
            _fail(f"{name}: {_ARG}")
        return value

    def result(self, cwd: str, glob: "Callable[[str], list[str]] | None") -> list[Mount]:
        if self.kind == "glob":
            return self._globbed(cwd, glob)
        if not self.target:
            _fail("must set volume destination")
        source = self.source
        if self.kind == "bind":
            source = os.path.normpath(os.path.join(cwd, source or self.target))
        return [Mount(type=self.kind, source=source, target=self.target, options=self.options)]

    def _globbed(self, cwd: str, glob: "Callable[[str], list[str]] | None") -> list[Mount]:
        found = sorted(glob(os.path.join(cwd, self.source))) if glob and self.source else []
        if not found:
            _fail(f'no file paths matching glob "{self.source}"')
        return [Mount(type="bind", source=path, options=list(self.options),
                      target=f"{self.target.rstrip('/')}/{os.path.basename(path)}" if self.target else path)
                for path in found]


_SPELLINGS: "Final" = {"readonly": "ro", "dst": "target", "dest": "target", "destination": "target", "chown": "U",
                       "volume-subpath": "subpath", "volume-nocopy": "nocopy"}


def _artifact(fields: "list[tuple[str, str, bool]]") -> Mount:
    source = target = ""
    options: list[str] = []
    for name, value, has_value in fields:
        name = _SPELLINGS.get(name, name)
        if name not in ("src", "source", "target", "title", "digest", "name"):
            _fail(f"{name}: {_BAD}")
        if not has_value or not value:
            _fail(f"{name}: {_ARG}")
        if name in ("src", "source"):
            source = value
        elif name == "target":
            target = container_path(value)
        else:
            if name == "name" and ("/" in value or value in (".", "..")):
                _fail(f'name "{value}" of an artifact\'s file: {_BAD}', "Write a file name without a slash.")
            options.append(f"{name}={value}")
    if not source or not target:
        _fail("must set source and destination for artifact mount")
    return Mount(type="artifact", source=source, target=target, options=options)


def _image(fields: "list[tuple[str, str, bool]]") -> Mount:
    source = target = ""
    options: list[str] = []
    for name, value, has_value in fields:
        name = _SPELLINGS.get(name, name)
        if name in ("src", "source"):
            source = value
        elif name == "target":
            target = container_path(value)
        elif name in ("rw", "readwrite"):
            if has_value and value not in ("true", "false"):
                _fail(f'invalid rw value "{value}": {_BAD}')
            options += ["rw"] if value != "false" else []
        elif name == "subpath":
            if not value.startswith("/"):
                _fail(f'volume subpath "{value}" must be an absolute path')
            options.append(f"subpath={value}")
        elif name != "consistency":
            _fail(f"{name}: {_BAD}")
    if not source or not target:
        _fail("must set source and destination for image volume")
    return Mount(type="image", source=source, target=target, options=options)


def check_duplicates(mounts: list[Mount], tmpfs: "dict[str, str]") -> list[Mount]:
    """Mounts without exact repetitions. Raises: UsageError when a target has two meanings."""
    seen: dict[str, Mount] = {}
    for mount in mounts:
        old = seen.get(mount.target)
        if old is None and mount.target not in tmpfs:
            seen[mount.target] = mount
        elif old is None or (old.type, old.source, old.options) != (mount.type, mount.source, mount.options):
            _fail(f"{mount.target}: duplicate mount destination")  # scripts compare these words
    return list(seen.values())
