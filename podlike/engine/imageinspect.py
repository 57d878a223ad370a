"""What `image inspect`, `history` and `image tree` show of an image."""

from podlike.engine.core import Engine
from podlike.engine.images import read_manifest, repo_digests
from podlike.errors import StoreError
from podlike.store.images import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:
    from podlike.spec.record import NamedTuple


def inspect(engine: Engine, image: Image) -> "dict[str, Any]":
    """The document of `image inspect` as podman gives it."""
    from podlike.engine.kinship import Kinship

    config = image.config
    run = config.get("config") or {}
    try:
        manifest = read_manifest(engine, image)
        kind, annotations = manifest.media_type, manifest.annotations
    except StoreError:
        kind, annotations = "", {}
    parent = Kinship(engine.images.all()).parent(image)
    doc: "dict[str, Any]" = {
        "Id": image.id, "Digest": image.manifest_digest, "RepoTags": image.tags, "RepoDigests": repo_digests(image),
        "Parent": parent.id if parent else "", "Comment": _comment(config, kind),
        "Created": config.get("created") or "0001-01-01T00:00:00Z",
        "Config": {key: value for key, value in run.items() if value not in (None, "", [], {}, False)},
        "Version": config.get("docker_version") or "", "Author": config.get("author") or "",
        "Architecture": config.get("architecture") or "", "Os": config.get("os") or "",
        "Size": image.size, "VirtualSize": image.size, "GraphDriver": _graph_driver(engine, image),
        "RootFS": {"Type": "layers", "Layers": image.layers}, "Labels": run.get("Labels"), "Annotations": annotations,
        "ManifestType": kind, "User": run.get("User") or "", "History": config.get("history") or [],
        "NamesHistory": names_history(image)}
    if run.get("Healthcheck"):
        doc["Healthcheck"] = run["Healthcheck"]
    return doc


def docker_document(engine: Engine, image: Image) -> "dict[str, Any]":
    """The same as docker gives it."""
    from podlike.spec.durations import rfc3339
    from podlike.spec.reference import parse_reference

    podman = inspect(engine, image)
    config = image.config
    shown = {key: podman[key] for key in ("Parent", "Comment", "Created", "Author", "Architecture", "Os", "Size",
                                          "GraphDriver", "RootFS")}
    doc = {"Id": f"sha256:{image.id}", "RepoTags": [parse_reference(name).familiar for name in image.tags],
           "RepoDigests": [parse_reference(name).familiar for name in podman["RepoDigests"]],
           "DockerVersion": podman["Version"], **shown, "Config": config.get("config") or {},
           "Metadata": {"LastTagTime": rfc3339(image.pulled, utc=True)},
           "Descriptor": {"mediaType": podman["ManifestType"], "digest": image.manifest_digest,
                          "size": _manifest_size(engine, image)}}
    if doc["Parent"]:
        doc["Parent"] = f"sha256:{doc['Parent']}"
    if config.get("variant"):
        doc["Variant"] = config["variant"]
    return doc


def _manifest_size(engine: Engine, image: Image) -> int:
    try:
        return engine.blobs.size(image.manifest_digest)
    except StoreError:
        return 0


def names_history(image: Image) -> list[str]:
    """The names it has and those it had, the newest of them first."""
    return list(dict.fromkeys([*image.names, *image.history]))


def _comment(config: "dict[str, Any]", kind: str) -> str:
    """Docker's format has a comment of its own; else that of the first step counts, as for podman."""
    if "docker" in kind:
        return str(config.get("comment") or "")
    history = config.get("history") or [{}]
    return str(history[0].get("comment") or "")


def _graph_driver(engine: Engine, image: Image) -> "dict[str, Any]":
    paths = [engine.layers.path(diff_id) for diff_id in reversed(image.layers)]
    data = {"UpperDir": paths[0]} if paths else {}
    if len(paths) > 1:
        data["LowerDir"] = ":".join(paths[1:])
    return {"Name": engine.storage.driver, "Data": data}


# --- history ---

class Step(NamedTuple):
    """One entry of an image's history. id: of the image that ends there, or <missing>. created: as written."""

    id: str
    created: str
    created_by: str
    size: int
    comment: str
    tags: list[str]


MISSING = "<missing>"


def history(engine: Engine, image: Image) -> list[Step]:
    """The steps, newest first; those that changed files have their layer's size. Raises: StoreError."""
    ends: "dict[tuple[str, ...], list[Image]]" = {}
    for other in [image, *(i for i in engine.images.all() if i.id != image.id and i.index is None)]:
        ends.setdefault(tuple(other.layers), []).append(other)
    left = list(image.layers)
    used: set[str] = set()
    steps = []
    for entry in reversed(image.config.get("history") or []):
        here = ends.get(tuple(left), []) if left else []
        step_id, size = MISSING, 0
        if here and here[0].id not in used:
            step_id = here[0].id
            used.add(step_id)
        if not entry.get("empty_layer"):
            if not left:
                raise StoreError(f"history of image {image.id[:12]}: no layer left for non-empty history entry",
                                 hint="Report this to the owner of the image.")
            size = _layer_size(engine, left.pop())
        steps.append(Step(step_id, entry.get("created") or "", entry.get("created_by") or "", size,
                          entry.get("comment") or "", [name for i in here for name in i.names]))
    return steps


def _layer_size(engine: Engine, diff_id: str) -> int:
    try:
        return engine.layers.size(diff_id)
    except StoreError:
        return 0


# --- tree ---

def tree(engine: Engine, image: Image, *, children: bool = False) -> str:
    """The layers of an image as lines of a tree; children: with all layers that were put on top of it."""
    from podlike.spec.sizes import human_size

    ends: "dict[tuple[str, ...], list[str]]" = {}
    for other in engine.images.all():
        if other.layers:
            ends.setdefault(tuple(other.layers), []).extend(other.tags)
    head = (f"Image ID: {image.id[:12]}\nTags:     [{' '.join(image.tags)}]\nSize:     {human_size(image.size)}\n"
            f"{'Image Layers' if image.layers else 'No Image Layers'}")

    def line(chain: tuple[str, ...]) -> str:
        tags = list(dict.fromkeys(ends.get(chain, ())))
        size = human_size(_layer_size(engine, chain[-1]))
        return f"ID: {chain_id(chain)[:12]} Size: {size:>7}" + (f" Top Layer of: [{' '.join(tags)}]" if tags else "")

    top = tuple(image.layers)
    root = _Node(head)
    if not children:
        for n in range(1, len(top) + 1):
            root.below.append(_Node(line(top[:n])))
    elif top:
        chains = {chain[:n] for chain in ends for n in range(1, len(chain) + 1)}
        _grow(root, top, sorted(chains), line)
    return root.text + "\n" + "".join(root.lines(""))


class _Node:
    def __init__(self, text: str) -> None:
        self.text = text
        self.below: "list[_Node]" = []

    def lines(self, indent: str) -> list[str]:
        """The nodes below this one, drawn."""
        out = []
        for node in self.below:
            last = node is self.below[-1]
            out.append(f"{indent}{'└── ' if last else '├── '}{node.text}\n")
            out += node.lines(indent + ("    " if last else "│   "))
        return out


def _grow(parent: _Node, chain: tuple[str, ...], chains: "list[tuple[str, ...]]", line: "Any") -> None:
    """Put a layer and what lies on it below a node; a layer without siblings stays on its level."""
    siblings = [c for c in chains if len(c) == len(chain) and c[:-1] == chain[:-1]]
    node = _Node(line(chain))
    parent.below.append(node)
    branch = node if len(chain) > 1 and len(siblings) > 1 else parent
    for child in (c for c in chains if len(c) == len(chain) + 1 and c[:-1] == chain):
        _grow(branch, child, chains, line)


def chain_id(layers: "tuple[str, ...]") -> str:
    """Hex of the chain ID: what identifies a layer together with all below it (OCI image spec, config.md)."""
    import hashlib

    chain = layers[0]
    for diff_id in layers[1:]:
        chain = f"sha256:{hashlib.sha256(f'{chain} {diff_id}'.encode()).hexdigest()}"
    return chain.partition(":")[2]
