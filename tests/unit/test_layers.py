"""The house's rules about imports: direction, no cycles, one home for each heavy module (docs/ARCHITECTURE.md)."""

import ast
from pathlib import Path

import pytest

import podlike

ROOT = Path(podlike.__file__).parent
# A room may use the rooms below it. Rooms of one floor never use each other.
MAY_USE = {
    "__main__": {"cli", "ground"},
    "generator": {"engine", "quadlet", "ground"},
    "cli": {"library", "engine", "build", "quadlet", "spec", "config", "ground"},
    "library": {"engine", "store", "spec", "config", "ground"},
    "engine": {"build", "quadlet", "store", "transports", "registry", "trust", "net", "runtime", "spec", "config", "ground"},
    "build": {"engine", "store", "transports", "registry", "trust", "net", "runtime", "spec", "config", "ground"},
    "store": {"spec", "config", "ground"},
    "transports": {"store", "spec", "config", "ground"},
    "registry": {"spec", "config", "ground"},
    "trust": {"spec", "config", "ground"},
    "net": {"spec", "config", "ground"},
    "runtime": {"spec", "config", "ground"},
    "quadlet": {"spec"},
    "spec": {"errors"},
    "config": {"ground"},
    "ground": {"ground"},
}
GROUND = {"errors", "paths", "log", "files", "locks", "procs", "sockets", "__init__"}
CONFIG = {"config", "config_tables", "toml_plain", "registries_conf", "storage_conf", "policy", "toml_places"}
# module -> where alone it may be imported; "inside": only in functions
HOMES = {
    "click": ("cli/", False),
    "sqlite3": ("store/db.py", False),
    "podlike.runtime._libspawn": ("runtime/spawn.py", False),
    "ssl": ("registry/", False),
    "urllib3": ("registry/", False),
    "pyroute2": ("net/", True),
    "rich": ("cli/", True),
    "cryptography": ("trust/", True),
    "nacl": ("trust/", True),
    "yaml": ("", True),
}
FILES = sorted(p for p in ROOT.rglob("*.py") if "libexec" not in p.parts)


def room(module: str) -> str:
    """cli for podlike.cli.run, ground for podlike.errors."""
    parts = module.split(".")
    name = parts[1] if len(parts) > 1 else "__init__"
    return "ground" if name in GROUND else "config" if name in CONFIG else name


def module_of(path: Path) -> str:
    return ".".join(("podlike", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


class Imports(ast.NodeVisitor):
    """(module, whether at the top level) of every import that runs; what stands behind TYPE_CHECKING does not."""

    def __init__(self, known: set[str]) -> None:
        self.known = known
        self.found: list[tuple[str, bool]] = []
        self.depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [(alias.name, self.depth == 0) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, "imports are absolute"
        module = node.module or ""
        for alias in node.names:
            full = f"{module}.{alias.name}"
            self.found.append((full if full in self.known else module, self.depth == 0))


def imports_of(path: Path, known: set[str]) -> list[tuple[str, bool]]:
    visitor = Imports(known)
    visitor.visit(ast.parse(path.read_text(), str(path)))
    return visitor.found


KNOWN = {module_of(p) for p in FILES} | {"podlike.runtime._libspawn"}
GRAPH = {path: imports_of(path, KNOWN) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=[module_of(p) for p in FILES])
def test_imports_point_down(path: Path) -> None:
    own = room(module_of(path))
    for module, _ in GRAPH[path]:
        if module.split(".")[0] != "podlike":
            continue
        used = room(module)
        if used == own or (own in ("spec", "quadlet") and module == "podlike.errors"):
            continue
        allowed = MAY_USE[own]
        assert used in allowed, f"{module_of(path)} ({own}) imports {module} ({used})"


def test_errors_imports_nothing() -> None:
    assert GRAPH[ROOT / "errors.py"] == []


def test_no_cycles_at_import_time() -> None:
    edges = {module_of(p): {m for m, top in found if top and m in KNOWN} for p, found in GRAPH.items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " > ".join((*path, module))
        if module not in done:
            for target in sorted(edges.get(module, ())):
                visit(target, (*path, module))
            done.add(module)

    for module in sorted(edges):
        visit(module, ())


@pytest.mark.parametrize("heavy", sorted(HOMES))
def test_heavy_modules_have_one_home(heavy: str) -> None:
    home, inside = HOMES[heavy]
    for path, found in GRAPH.items():
        for module, top in found:
            if module == heavy or module.startswith(f"{heavy}."):
                place = path.relative_to(ROOT).as_posix()
                assert place.startswith(home), f"{place} imports {module}; its home is {home}"
                assert not (inside and top), f"{place} imports {module} at the top; it belongs inside functions"


CHEAP = ("cli", "engine", "library", "runtime", "spec", "store")


@pytest.mark.parametrize("path", [p for p in FILES if p.relative_to(ROOT).parts[0] in CHEAP], ids=module_of)
def test_dataclasses_are_not_imported(path: Path) -> None:
    """They import inspect: 10 ms of every command. spec/record.py stands in for them."""
    seen = Imports(set())
    seen.visit(ast.parse(path.read_text()))
    assert not [name for name, at_top in seen.found if at_top and name.partition(".")[0] == "dataclasses"]
