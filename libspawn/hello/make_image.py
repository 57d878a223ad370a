"""Wrap one static program into an OCI archive, at build time: make_image.py PROGRAM ARCH NAME OUTPUT.

Equal input gives equal bytes: no times, no owners of the builder, no compression (a few kilobytes need none).
"""

import hashlib
import io
import json
import sys
import tarfile

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CREATED = "2024-01-01T00:00:00Z"  # any fixed time
MTIME = 1704067200

# meson's cpu_family to Go's GOARCH
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "x86": "386", "ppc64": "ppc64le", "loongarch64": "loong64"}


def archive(files: dict[str, tuple[bytes, int]]) -> bytes:
    """An uncompressed tar of name -> (content, mode)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (data, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), mode, MTIME
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def document(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


class Layout:
    """The files of an image layout (image-layout.md), filled blob by blob."""

    def __init__(self) -> None:
        self.files = {"oci-layout": (document({"imageLayoutVersion": "1.0.0"}), 0o644)}

    def add(self, media_type: str, data: bytes) -> dict[str, object]:
        """Store a blob; its descriptor."""
        digits = hashlib.sha256(data).hexdigest()
        self.files[f"blobs/sha256/{digits}"] = (data, 0o644)
        return {"mediaType": media_type, "digest": f"sha256:{digits}", "size": len(data)}


def build(program: bytes, architecture: str, name: str) -> bytes:
    layout = Layout()
    layer = layout.add(LAYER, archive({"hello": (program, 0o755)}))
    config = layout.add(CONFIG, document({
        "created": CREATED, "architecture": architecture, "os": "linux",
        "config": {"Cmd": ["/hello"], "Env": ["PATH=/"],
                   "Labels": {"org.opencontainers.image.title": "podlike/hello",
                              "org.opencontainers.image.licenses": "Apache-2.0"}},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        "history": [{"created": CREATED, "created_by": "podlike: hello.c"}]}))
    manifest = layout.add(MANIFEST, document({"schemaVersion": 2, "mediaType": MANIFEST, "config": config,
                                              "layers": [layer]}))
    entry = manifest | {"annotations": {"org.opencontainers.image.ref.name": name},
                        "platform": {"architecture": architecture, "os": "linux"}}
    layout.files["index.json"] = (document({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}), 0o644)
    return archive(layout.files)


def main() -> None:
    program, family, name, output = sys.argv[1:]
    with open(program, "rb") as f:
        data = f.read()
    with open(output, "wb") as f:
        f.write(build(data, ARCHITECTURES.get(family, family), name))


if __name__ == "__main__":
    main()
