"""Time save and load of podlike against podman, on one disk.

    tests/perf/bench archives --podlike PATH --rounds 5

Cases: `save` and `load` (docker-archive; 500 MB in 5 layers), `save-small` and `load-small` (300 MB in 60000 files, 5
layers), `load-gzip` (the first one as OCI archive with gzip layers), `load-pipe` (the first one through a pipe), `save-oci`
(oci-archive), `memory` (peak of all processes of a load and a save, PSS). The images are made from a fixed seed. Each engine
loads what it has saved itself. Rounds are interleaved; before each run dirty pages are written out. As root it runs itself as
an ordinary user inside contrib/rig.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.perf.common import (
    Sample,
    add_cases,
    add_podlike,
    add_podman,
    add_rounds,
    become_user,
    chosen,
    cpu_of_children,
    footer,
    interleave,
    label_of,
    markdown,
    new_engine,
    new_parser,
    peak_memory,
)
from tests.perf.images import make_layers
from tests.support import oci
from tests.support.engine import Engine

CASES = ("save", "load", "save-small", "load-small", "load-gzip", "load-pipe", "save-oci", "memory")
TITLES = {
    "save": "save of 500 MB in 5 layers (docker-archive)",
    "load": "load of the same",
    "save-small": "save of 300 MB in 60000 files (docker-archive)",
    "load-small": "load of the same",
    "load-gzip": "load of the 500 MB, oci-archive with gzip layers",
    "load-pipe": "load of the 500 MB docker-archive through a pipe",
    "save-oci": "save of the 500 MB, oci-archive",
    "memory": "peak memory of load, save (PSS of all processes)",
}
BAR, MEMORY_MB = 0.7, 150


class Contender:
    """An engine, its archives and its samples."""

    def __init__(self, label: str, engine: Engine, work: Path) -> None:
        self.label = label
        self.engine = engine
        self.work = work / label.replace(" ", "-")
        self.work.mkdir()
        self.samples: dict[str, list[Sample]] = {}

    def run(self, *args: str, stdin: str = "/dev/null") -> Sample:
        """A failure ends the benchmark, for its time means nothing."""
        os.sync()
        before, started = cpu_of_children(), time.perf_counter()
        with subprocess.Popen(["cat", stdin], stdout=subprocess.PIPE) as pipe:
            done = subprocess.run([self.engine.bin, *args], env=self.engine.env, capture_output=True, stdin=pipe.stdout,
                                  check=False)
        wall, cpu = time.perf_counter() - started, cpu_of_children() - before
        if done.returncode:
            raise SystemExit(f"{self.label}: {' '.join(args)} ended with {done.returncode}: {done.stderr.decode()}")
        return Sample(wall, cpu)

    def archive(self, image: str) -> str:
        return str(self.work / f"{image}.tar")

    def has(self, image: str) -> None:
        """Make sure that the image is in the store, and its archive beside it."""
        self.engine("load", "-q", "-i", str(self.work.parent / f"{image}.tar"), timeout=600)
        if not os.path.exists(self.archive(image)):
            self.engine("save", "-q", "-o", self.archive(image), f"localhost/{image}:1", timeout=600)

    def empty(self) -> None:
        self.engine("rmi", "-a", "-f", timeout=600)


def make_images(work: Path, cases: list[str]) -> None:
    """OCI archives with gzip layers."""
    for name, total, files in (("big", 500_000_000, 5000), ("small", 300_000_000, 60000)):
        if name == "big" or any("small" in case for case in cases):
            print(f"making {name} ...", file=sys.stderr, flush=True)
            image = oci.Image(layers=list(make_layers(total, files)))
            oci.write_oci_archive(work / f"{name}.tar", {f"localhost/{name}:1": image})


def save(c: Contender, case: str) -> Sample:
    out = str(c.work / "out.tar")
    how = ["--format", "oci-archive"] if case == "save-oci" else []
    sample = c.run("save", "-q", *how, "-o", out, f"localhost/{'small' if 'small' in case else 'big'}:1")
    os.unlink(out)
    return sample


def load(c: Contender, case: str) -> Sample:
    name = "small" if "small" in case else "big"
    archive = str(c.work.parent / f"{name}.tar") if case == "load-gzip" else c.archive(name)
    sample = c.run("load", "-q", stdin=archive) if case == "load-pipe" else c.run("load", "-q", "-i", archive)
    c.empty()
    return sample


def measure(contenders: list[Contender], rounds: int, case: str) -> None:
    one = save if case.startswith("save") else load
    for c in contenders:
        c.has("small" if "small" in case else "big")
        if one is load:
            c.empty()
    found = interleave(contenders, rounds, lambda c: one(c, case), warmups=0)
    for c, samples in zip(contenders, found, strict=True):
        c.samples[case] = samples
        c.empty()


def measure_memory(contenders: list[Contender], rounds: int, case: str) -> None:
    """Looked at a hundred times a second; the wall is that of load, the CPU that of save, in MiB."""
    for c in contenders:
        c.has("big")
        c.empty()
        loaded = peak(c, "load", "-q", "-i", c.archive("big"))
        saved = peak(c, "save", "-q", "-o", str(c.work / "out.tar"), "localhost/big:1")
        c.samples[case] = [Sample(loaded, saved)]
        c.empty()


def peak(c: Contender, *args: str) -> float:
    return peak_memory([c.engine.bin, *args], c.engine.env)


def table(contenders: list[Contender], cases: list[str]) -> str:
    rows = []
    for case in cases:
        if case == "memory":
            cells = ["{:.0f}, {:.0f} MiB".format(*c.samples[case][0]) for c in contenders]
            rows.append([TITLES[case], *cells, "-", f"{MEMORY_MB} MiB"])
            continue
        walls = [statistics.median(s.wall for s in c.samples[case]) for c in contenders]
        cells = [f"{wall:.2f} s ({min(s.wall for s in c.samples[case]):.2f}), CPU {min(s.cpu for s in c.samples[case]):.2f}"
                 for c, wall in zip(contenders, walls, strict=True)]
        ratio = f"{walls[0] / walls[1]:.2f}" if len(walls) > 1 else "-"
        rows.append([TITLES[case], *cells, ratio, f"{BAR}"])
    heads = ["case", *(c.label for c in contenders), "ratio", "bar"]
    return f"{markdown(heads, rows)}\n\n{contenders[0].label}: {contenders[0].engine.bin}"


def main(argv: list[str]) -> int:
    p = new_parser("archives", __doc__)
    add_podlike(p)
    add_podman(p, optional=True)
    add_rounds(p, 5)
    add_cases(p, CASES)
    args = p.parse_args(argv)
    cases = chosen(p, args.cases, CASES)
    if os.geteuid() == 0:
        return become_user("archives", args, argv)
    engines = [new_engine(path) for path in (args.podlike, args.podman) if path]
    try:
        with tempfile.TemporaryDirectory(prefix="podlike-bench-archives-", dir="/var/tmp") as d:
            contenders = [Contender(label_of(engine), engine, Path(d)) for engine in engines]
            make_images(Path(d), cases)
            for case in cases:
                print(f"{case} ...", file=sys.stderr, flush=True)
                (measure_memory if case == "memory" else measure)(contenders, args.rounds, case)
            print(table(contenders, cases))
            print(footer(args.rounds))
    finally:
        for engine in engines:
            engine.destroy()
    return 0
