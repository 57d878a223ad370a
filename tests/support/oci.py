"""Images made from nothing but Python: layers, OCI archives and layouts, docker archives.

Deterministic: equal input gives equal bytes, so digests can be asserted.

    image = Image(layers=[layer([File("hello", b"hi\\n")])], config={"Cmd": ["cat", "/hello"]})
    write_oci_archive(tmp_path / "x.tar", {"localhost/x:latest": image})
"""

import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.support.need import need

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EPOCH = 1_700_000_000  # mtime of every entry and "created" of every image: 2023-11-14


class Entry(NamedTuple):
    """One tar entry; use the functions below."""

    name: str
    type: bytes
    data: bytes = b""
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, str] = {}
    mtime: int = EPOCH


def File(
    name: str,
    data: bytes = b"",
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    *,
    xattrs: Mapping[str, str] | None = None,
    mtime: int = EPOCH,
) -> Entry:
    return Entry(name, tarfile.REGTYPE, data, mode=mode, uid=uid, gid=gid, xattrs=xattrs or {}, mtime=mtime)


def Dir(name: str, mode: int = 0o755, uid: int = 0, gid: int = 0, *, mtime: int = EPOCH) -> Entry:
    return Entry(name, tarfile.DIRTYPE, mode=mode, uid=uid, gid=gid, mtime=mtime)


def Symlink(name: str, target: str) -> Entry:
    return Entry(name, tarfile.SYMTYPE, link=target, mode=0o777)


def Hardlink(name: str, target: str) -> Entry:
    return Entry(name, tarfile.LNKTYPE, link=target)


def Fifo(name: str, mode: int = 0o644) -> Entry:
    return Entry(name, tarfile.FIFOTYPE, mode=mode)


def CharDevice(name: str, major: int, minor: int, mode: int = 0o666) -> Entry:
    return Entry(name, tarfile.CHRTYPE, mode=mode, device=(major, minor))


def Whiteout(path: str) -> Entry:
    """Delete path of the layers below (OCI image spec, layer.md)."""
    head, _, tail = path.rpartition("/")
    return File(f"{head}/.wh.{tail}" if head else f".wh.{tail}")


def Opaque(directory: str) -> Entry:
    """Hide everything that the layers below have in directory."""
    return File(f"{directory}/.wh..wh..opq")


def layer(entries: Iterable[Entry]) -> bytes:
    """An uncompressed layer. Names are written as given: `../x` and absolute names too."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for e in entries:
            info = tarfile.TarInfo(e.name)
            info.type, info.linkname, info.mode, info.uid, info.gid = e.type, e.link, e.mode, e.uid, e.gid
            info.mtime, info.size = e.mtime, len(e.data)
            info.devmajor, info.devminor = e.device
            info.pax_headers = {f"SCHILY.xattr.{k}": v for k, v in e.xattrs.items()}
            tar.addfile(info, io.BytesIO(e.data))
    return out.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def compress(data: bytes, how: str) -> bytes:
    """how: none, gzip or zstd (needs the zstd program)."""
    if how == "none":
        return data
    if how == "gzip":
        return gzip.compress(data, compresslevel=1, mtime=0)
    assert how == "zstd", how
    try:
        return subprocess.run(["zstd", "-q", "-1", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    except FileNotFoundError:
        need(False, "zstd layers need the zstd program (apt-get install zstd)")
        raise


def architecture() -> str:
    """This machine's name in images (Go's GOARCH)."""
    names = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
    return names.get(platform.machine(), platform.machine())


@dataclass(slots=True, kw_only=True)
class Image:
    """An image in memory.

    layers: uncompressed, lowest first. config: the "config" object (Env, Cmd, ...). arch, variant: platform.
    compression: of all layers in OCI archives; docker archives are always uncompressed.
    """

    layers: Sequence[bytes]
    config: dict[str, Any] = field(default_factory=dict)
    arch: str = field(default_factory=architecture)
    variant: str = ""
    compression: str = "gzip"
    annotations: dict[str, str] = field(default_factory=dict)

    def config_blob(self) -> bytes:
        created = "2023-11-14T22:13:20Z"
        doc: dict[str, Any] = {
            "created": created,
            "architecture": self.arch,
            "os": "linux",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in self.layers]},
            "history": [{"created": created, "created_by": f"layer {i}"} for i in range(len(self.layers))],
        }
        if self.variant:
            doc["variant"] = self.variant
        return _json(doc)

    @property
    def id(self) -> str:
        """Image id in hex: the digest of the config."""
        return digest(self.config_blob())[7:]

    def blobs(self) -> tuple[bytes, dict[str, bytes]]:
        """(manifest, every blob by digest, the manifest among them)."""
        config = self.config_blob()
        found = {digest(config): config}
        suffix = {"none": "", "gzip": "+gzip", "zstd": "+zstd"}[self.compression]
        described = []
        for data in self.layers:
            packed = compress(data, self.compression)
            found[digest(packed)] = packed
            described.append({"mediaType": LAYER + suffix, "digest": digest(packed), "size": len(packed)})
        doc: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
            "layers": described,
        }
        if self.annotations:
            doc["annotations"] = self.annotations
        manifest = _json(doc)
        found[digest(manifest)] = manifest
        return manifest, found


def layout(images: Mapping[str, Image]) -> dict[str, bytes]:
    """Files of an OCI image layout, by path; the keys of images become ref.name annotations."""
    files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"})}
    entries = []
    for name, image in images.items():
        manifest, blobs = image.blobs()
        files |= {"blobs/" + key.replace(":", "/"): data for key, data in blobs.items()}
        platform_of = {"architecture": image.arch, "os": "linux"} | (
            {"variant": image.variant} if image.variant else {}
        )
        entries.append(
            {
                "mediaType": MANIFEST,
                "digest": digest(manifest),
                "size": len(manifest),
                "platform": platform_of,
                "annotations": {"org.opencontainers.image.ref.name": name},
            }
        )
    files["index.json"] = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    return files


def write_oci_archive(path: str | os.PathLike[str], images: Mapping[str, Image]) -> None:
    _write_tar(path, layout(images))


def write_oci_layout(directory: str | os.PathLike[str], images: Mapping[str, Image]) -> None:
    for name, data in layout(images).items():
        target = os.path.join(directory, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as f:
            f.write(data)


def write_docker_archive(path: str | os.PathLike[str], images: Mapping[str, Image]) -> None:
    """What `docker save` writes: manifest.json, configs, layers as ID/layer.tar. Keys of images are repository tags."""
    files: dict[str, bytes] = {}
    manifest = []
    for name, image in images.items():
        config = image.config_blob()
        config_name = digest(config)[7:] + ".json"
        files[config_name] = config
        members = []
        for data in image.layers:
            member = f"{digest(data)[7:]}/layer.tar"
            files[member] = data
            members.append(member)
        manifest.append({"Config": config_name, "RepoTags": [name], "Layers": members})
    files["manifest.json"] = _json(manifest)
    _write_tar(path, files)


def busybox_layer() -> bytes:
    """A root file system around the machine's static busybox: shell, applets, two users, empty directories."""
    binary = next((p for p in ("/bin/busybox", "/usr/bin/busybox") if os.path.exists(p)), None)
    need(binary, "the test image needs a static busybox (apt-get install busybox-static)")
    assert binary is not None
    with open(binary, "rb") as f:
        data = f.read()
    need(b"ld-linux" not in data[:4096], f"{binary} is linked dynamically (apt-get install busybox-static)")
    applets = subprocess.run([binary, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    entries = [
        Dir(d)
        for d in (
            "bin",
            "sbin",
            "usr",
            "usr/bin",
            "usr/sbin",
            "etc",
            "dev",
            "proc",
            "sys",
            "var",
            "var/log",
            "mnt",
            "opt",
            "run",
            "lib",
            "srv",
        )
    ]
    entries += [
        Dir("root", 0o700),
        Dir("home"),
        Dir("home/user", 0o700, 1000, 1000),
        Dir("tmp", 0o1777),
        Dir("var/tmp", 0o1777),
    ]
    entries += [File("bin/busybox", data, 0o755)]
    entries += [Symlink(f"bin/{a}", "busybox") for a in sorted(set(applets)) if a != "busybox"]
    entries += [
        File(
            "etc/passwd",
            b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:A user:/home/user:/bin/sh\n"
            b"nobody:x:65534:65534:nobody:/:/bin/false\n",
        ),
        File("etc/group", b"root:x:0:\nuser:x:1000:\nextra:x:2000:user\nnogroup:x:65534:\n"),
        File("etc/os-release", b'ID=podlike-test\nPRETTY_NAME="podlike test image"\n'),
        File("etc/not-executable", b"#!/bin/sh\necho never\n", 0o644),
        File("home/user/mine", b"of user 1000\n", 0o600, 1000, 1000),
    ]
    return layer(entries)


def busybox_image(**config: Any) -> Image:
    """config: entries of the image's config object, over Cmd sh and a usual PATH."""
    base: dict[str, Any] = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"]}
    return Image(layers=[busybox_layer()], config=base | config)


def _json(doc: object) -> bytes:
    return json.dumps(doc, separators=(",", ":"), sort_keys=True).encode()


def _write_tar(path: str | os.PathLike[str], files: Mapping[str, bytes]) -> None:
    with open(path, "wb") as f:
        f.write(layer([File(name, data) for name, data in sorted(files.items())]))
