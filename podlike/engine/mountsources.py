"""What a container's mounts show: the host's files, volumes, images and artifacts, as paths that the runtime can bind.

What must be made for a mount (an overlay, an image's tree, the part of a tree that `subpath` names) lies in
containers/ID/mounts/N, where N counts the mounts of the request; it is made at each start and goes with the run.
"""

import os
import stat

from podlike.engine.core import Engine
from podlike.errors import StoreError, UsageError
from podlike.runtime import hostfacts, spawn
from podlike.spec.container import ContainerSpec, Mount
from podlike.spec.oci_mounts import NAMED_VOLUME_FLAGS, BoundPath
from podlike.spec.users import ResolvedUser
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

KINDS: "Final" = frozenset(("bind", "volume", "image", "artifact"))
# Words that are done here, or say where a thing comes from; the runtime sees the others.
_OURS: "Final" = frozenset(("O", "U", "anonymous"))
_OUR_KEYS: "Final" = frozenset(("subpath", "upperdir", "workdir", "title", "digest", "name", "image-id"))


class Sources:
    """The sources of one container's mounts, made one after the other."""

    def __init__(self, engine: Engine, container: Container, root_fd: int, user: ResolvedUser) -> None:
        """root_fd: the mounted root file system. user: whom the container runs as, for `U`."""
        self._engine = engine
        self._spec: ContainerSpec = container.spec
        self._cid = container.id
        self._base = _directory(engine, container.id)
        self._root = root_fd
        self._user = user

    def all(self) -> list[BoundPath]:
        """Raises: UsageError, StoreError."""
        found: list[BoundPath] = []
        for number, mount in enumerate(self._spec.mounts):
            if mount.type in KINDS:
                found += self._one(mount, f"{self._base}/{number}")
        return found

    def _one(self, mount: Mount, place: str) -> list[BoundPath]:
        plain = not any(o in _OURS and o != "anonymous" or o.partition("=")[0] in _OUR_KEYS for o in mount.options)
        if mount.type == "bind":
            bound = _bind(mount)
        elif mount.type == "volume":
            bound = self._volume(mount)
        elif mount.type == "image":
            return [self._image(mount, place)]
        else:
            return self._artifact(mount)
        return [bound] if plain else [self._treated(mount, bound, place)]

    def _volume(self, mount: Mount) -> BoundPath:
        path, flags = self.volume(mount)
        options = _passed_on(mount)
        if flags & os.ST_RDONLY and "rw" not in options and "ro" not in options:
            options.append("ro")  # a bind mount of its own would forget it
        return BoundPath(path, mount.target, options, NAMED_VOLUME_FLAGS | flags)

    def volume(self, mount: Mount) -> tuple[str, int]:
        """A volume's directory, filled and given to the container's user; and f_flag of statvfs(3)."""
        from podlike.engine.volumemount import prepare

        if _value(mount, "subpath"):  # what the image has at the mount point is not for the volume's top
            mount = Mount(type=mount.type, source=mount.source, target=mount.target, options=[*mount.options, "nocopy"])
        uid, gid = self._owner(needed="U" in mount.options)
        return prepare(self._engine, self._cid, mount, root_fd=self._root, uid=uid, gid=gid)

    def _treated(self, mount: Mount, bound: BoundPath, place: str) -> BoundPath:
        """subpath, then O, then U."""
        subpath = _value(mount, "subpath")
        if subpath:
            bound = bound._replace(source=_part(bound.source, subpath, place, what=f"volume {mount.source}"))
        if "O" in mount.options:
            upper, work = _value(mount, "upperdir"), _value(mount, "workdir")
            bound = bound._replace(source=_overlay([bound.source], place, upper=upper, work=work, what=mount.source), flags=0)
        if "U" in mount.options and (mount.type == "bind" or "O" in mount.options):
            from podlike.engine.volumemount import chown_source

            chown_source(bound.source, *self._owner(needed=True))
        return bound

    def _owner(self, *, needed: bool) -> tuple[int, int]:
        """The container's user in the session's terms. Raises: UsageError, if that is needed and not to be had."""
        from podlike.spec.userns import outside

        if not self._spec.uid_map:
            return self._user.uid, self._user.gid
        uid, gid = outside(self._spec.uid_map, self._user.uid), outside(self._spec.gid_map, self._user.gid)
        if not needed:
            return uid or 0, gid or 0
        if uid is None or gid is None:
            raise UsageError(f"use mount option U: user {self._user.uid}:{self._user.gid} is not in the container's user "
                             "namespace", hint="Map it, or leave U out.")
        return uid, gid

    def _image(self, mount: Mount, place: str) -> BoundPath:
        from dataclasses import replace

        from podlike.engine.images import resolve
        from podlike.engine.rootfs import mount_lower, mount_read_only

        image = resolve(self._engine, _value(mount, "image-id") or mount.source)
        spec = replace(self._spec, image_id=image.id, image_name=mount.source, layers=list(image.layers))
        lower = mount_lower(self._engine, spec, f"{place}/lower")
        writable = "rw" in mount.options
        path = (_overlay(lower, place, what=f"image {mount.source}") if writable
                else mount_read_only(self._engine, lower, place, name=f"image {mount.source}"))
        subpath = _value(mount, "subpath")
        if subpath:
            path = _part(path, subpath, place, what=f"image {mount.source}")
        return BoundPath(path, mount.target, [*_passed_on(mount), *([] if writable else ["ro"])], 0)

    def _artifact(self, mount: Mount) -> list[BoundPath]:
        from podlike.engine.artifacts import blob_files

        files = blob_files(self._engine, mount.source, digest=_value(mount, "digest"), title=_value(mount, "title"))
        kind = self._kind_in_root(mount.target)
        if kind == "file" or (kind == "" and len(files) == 1):
            if len(files) > 1:
                raise UsageError(f'artifact "{mount.source}" contains more than one blob and container path "{mount.target}" is '
                                 "a file", hint="Choose one with title= or digest=, or mount it on a directory.")
            targets = [mount.target]
        else:
            name = _value(mount, "name")
            names = ([f"{name}-{n}" if len(files) > 1 else name for n in range(len(files))] if name
                     else [file_name for file_name, _ in files])
            targets = [f"{mount.target.rstrip('/')}/{n}" for n in names]
        for _, path in files:
            _let_read(path)
        # Never writable: the blob is the store's.
        return [BoundPath(path, target, ["ro", "bind"], 0) for target, (_, path) in zip(targets, files, strict=True)]

    def _kind_in_root(self, path: str) -> str:
        """directory, file, or "" for what is not there."""
        try:
            fd = spawn.open_in_root(self._root, path, os.O_PATH)
        except spawn.SpawnError:
            return ""
        try:
            return "directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"
        finally:
            os.close(fd)


def _let_read(path: str) -> None:
    """Users of the container other than root, too. Others on this machine do not get through to the store."""
    mode = os.stat(path).st_mode
    if mode & 0o444 != 0o444:
        try:
            os.chmod(path, stat.S_IMODE(mode) | 0o444)
        except OSError:
            pass  # a store that belongs to others


def check(engine: Engine, mount: Mount) -> None:
    """What can be known to fail when the container is created; an image's id is recorded, so that it is not removed.

    Raises: UsageError, NotFoundError.
    """
    if mount.type == "image":
        from podlike.engine.images import resolve

        mount.options[:] = [o for o in mount.options if not o.startswith("image-id=")]
        mount.options.append(f"image-id={resolve(engine, mount.source).id}")
    elif mount.type == "artifact":
        from podlike.engine.artifacts import blob_files

        blob_files(engine, mount.source, digest=_value(mount, "digest"), title=_value(mount, "title"))
    for option in mount.options:
        if option == "idmap" or option.startswith("idmap="):
            _check_idmap(option)
    if "U" in mount.options and mount.type == "bind" and os.path.realpath(mount.source) in _SYSTEM:
        raise UsageError(f"use mount option U: changing the owner of {mount.source} is not allowed",
                         hint="Mount a directory of your own, not one of the system's.")


def _check_idmap(option: str) -> None:
    from podlike.runtime.idmap import host_uid

    if host_uid() != 0:
        raise UsageError("use mount option idmap: the kernel has mounts with shifted ids for root only",
                         hint="Leave it out; --userns=keep-id makes your files yours in the container.")
    if option == "idmap":
        raise UsageError("use mount option idmap: the container has no user namespace of its own whose ids it could take",
                         hint="Write the ranges: idmap=uids=0-1000-1;gids=0-1000-1.")


# Whoever changes the owner of one of these has no system any more.
_SYSTEM: "Final" = frozenset(("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc",
                              "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/log"))


def forget(engine: Engine, cid: str) -> None:
    """Unmount and remove what was made for the mounts of a run. Raises: SpawnError, OSError."""
    base = _directory(engine, cid)
    try:
        names = os.listdir(base)
    except FileNotFoundError:
        return
    from podlike.store.trees import remove_tree

    for name in names:
        spawn.umount(f"{base}/{name}/part")
        spawn.umount(f"{base}/{name}/merged")
    remove_tree(base)


def _directory(engine: Engine, cid: str) -> str:
    return f"{engine.roots.container(cid)}/mounts"


def _passed_on(mount: Mount) -> list[str]:
    return [o for o in mount.options if o not in _OURS and o.partition("=")[0] not in _OUR_KEYS
            and not (mount.type == "image" and o == "rw")]


def _value(mount: Mount, key: str) -> str:
    return next((o[len(key) + 1:] for o in mount.options if o.startswith(f"{key}=")), "")


def _bind(mount: Mount) -> BoundPath:
    # A link that is to be copied is looked at from beside.
    looked_at = os.path.dirname(mount.source) if "no-dereference" in mount.options else mount.source
    try:
        return hostfacts.bound_path(looked_at, mount.target, _passed_on(mount))._replace(source=mount.source)
    except OSError as e:
        raise UsageError(f"statfs {mount.source}: {(e.strerror or str(e)).lower()}",
                         hint="It was there when the container was created: bring it back.") from e


def _overlay(lower: list[str], place: str, *, what: str, upper: str = "", work: str = "") -> str:
    """A writable layer over directories; its own, which goes with the run, or the user's. Raises: StoreError, UsageError."""
    from podlike.engine.rootfs import copy_root_attributes
    from podlike.runtime.session import rootless

    if bool(upper) != bool(work):
        raise UsageError("cannot specify only upperdir or only workdir for an overlay volume",
                         hint="Give both, on one file system.")
    if len(lower) == 1 and not os.path.isdir(lower[0]):
        raise UsageError(f"use mount option O with {what}: it is no directory", hint="Mount a directory, or leave O out.")
    os.makedirs(f"{place}/merged", exist_ok=True)
    if not upper:
        upper, work = f"{place}/upper", f"{place}/work"
        os.makedirs(upper, exist_ok=True)
        os.makedirs(work, exist_ok=True)
        copy_root_attributes(lower, upper)
    try:
        spawn.overlay_mount(f"{place}/merged", lower=lower, upper=upper, work=work, options="userxattr" if rootless() else "")
    except spawn.SpawnError as e:
        raise StoreError(f"mount an overlay over {what}: {e.message}",
                         hint="Its source must be a directory whose file system overlayfs takes.") from e
    return f"{place}/merged"


def _part(tree: str, subpath: str, place: str, *, what: str) -> str:
    """Something beneath a tree, found by the kernel so that no link leads out, and bound where nobody can exchange it."""
    root = os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = spawn.open_in_root(root, subpath, os.O_PATH)
    except spawn.SpawnError as e:
        raise UsageError(f"use subpath {subpath} of {what}: {os.strerror(e.errno).lower()}",
                         hint="Name something that is in it; links must not lead out of it.") from e
    finally:
        os.close(root)
    try:
        target = f"{place}/part"
        os.makedirs(place, exist_ok=True)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.makedirs(target, exist_ok=True)
        else:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        spawn.bind_mount(f"/proc/self/fd/{fd}", target)
    finally:
        os.close(fd)
    return target
