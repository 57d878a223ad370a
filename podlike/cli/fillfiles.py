"""Volumes, mounts and other files as fields of a ContainerSpec."""

import os

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.cli.command import Call
    from podlike.spec.container import ContainerSpec


def fill_files(call: "Call", spec: "ContainerSpec") -> None:
    """Volumes, tmpfs and shm, the handling of the image's volumes. Raises: UsageError."""
    opts = call.opts
    if opts.volume or opts.mount or opts.tmpfs:
        _mounts(call, spec)
    if call.changed("shm-size"):
        spec.shm_size = _size("shm-size", opts.shm_size)
    if opts.shm_size_systemd:
        spec.shm_size_systemd = _size("shm-size-systemd", opts.shm_size_systemd)
    if opts.image_volume not in ("", "bind", "anonymous", "tmpfs", "ignore"):
        raise UsageError(f'invalid image-volume type "{opts.image_volume}". Pick one of bind, tmpfs, or ignore')
    spec.image_volume_mode = "anonymous" if opts.image_volume == "bind" else opts.image_volume
    spec.chroot_dirs = [os.path.normpath(path) for text in opts.chrootdirs for path in text.split(",") if path]
    for path in spec.chroot_dirs:
        if not path.startswith("/"):
            raise UsageError(f"--chrootdirs {path}: the directory is not absolute", hint="Write its path in the container.")
    if opts.volume_driver not in ("", "local"):
        from podlike.cli.refused import refuse

        refuse("volume-driver")


def _size(flag: str, text: str) -> int:
    from podlike.spec.sizes import parse_size

    try:
        return int(parse_size(text))
    except UsageError as e:
        raise UsageError(f"unable to translate --{flag}: {e.message}", hint=e.hint) from None


def _mounts(call: "Call", spec: "ContainerSpec") -> None:
    from podlike.spec import mounts

    opts, cwd = call.opts, os.getcwd()

    def glob(pattern: str) -> list[str]:
        import glob as globbing

        return globbing.glob(pattern)

    for text in opts.tmpfs:
        target, options = mounts.parse_tmpfs(text)
        if spec.tmpfs.get(target, options) != options:
            raise UsageError(f"{target}: duplicate mount destination")
        spec.tmpfs[target] = options
    found = [mounts.parse_volume(text, cwd=cwd) for text in opts.volume]
    rootless = os.geteuid() != 0
    for text in opts.mount:
        found += mounts.parse_mount(text, cwd=cwd, rootless=rootless, glob=glob)
    spec.mounts = mounts.check_duplicates(found, spec.tmpfs)
