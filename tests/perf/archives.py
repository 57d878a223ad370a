"""Time save and load of podlike against podman, on one disk.

    tests/perf/bench archives --podlike PATH --rounds 5

Cases: `save` and `load` (docker-archive; 500 MB in 5 layers), `save-small` and `load-small` (300 MB in 60000 files, 5
layers), `load-gzip` (the first one as OCI archive with gzip layers), `load-pipe` (the first one through a pipe), `save-oci`
(oci-archive), `memory` (peak of all processes of a load and a save, PSS). The images are made from a fixed seed. Each engine
loads what it has saved itself. Rounds are interleaved; before each run dirty pages are written out. As root it runs itself as
an ordinary user inside contrib/rig.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.perf.images import become_user, family, make_layers, pss
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


class Sample(NamedTuple):
    wall: float
    cpu: float  # of the command and what it has waited for


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
        before, started = os.times(), time.perf_counter()
        with subprocess.Popen(["cat", stdin], stdout=subprocess.PIPE) as pipe:
            done = subprocess.run([self.engine.bin, *args], env=self.engine.env, capture_output=True, stdin=pipe.stdout,
                                  check=False)
        wall, after = time.perf_counter() - started, os.times()
        if done.returncode:
            raise SystemExit(f"{self.label}: {' '.join(args)} ended with {done.returncode}: {done.stderr.decode()}")
        return Sample(wall, after.children_user + after.children_system - before.children_user - before.children_system)

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
    for i in range(rounds):
        for c in contenders[i % len(contenders):] + contenders[:i % len(contenders)]:
            c.samples.setdefault(case, []).append(one(c, case))
    for c in contenders:
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
    most = 0
    with subprocess.Popen([c.engine.bin, *args], env=c.engine.env, stdout=subprocess.DEVNULL) as p:
        while p.poll() is None:
            most = max(most, sum(pss(pid) for pid in family(p.pid)))
            time.sleep(0.01)
    return most / 1024


def table(contenders: list[Contender], cases: list[str]) -> str:
    rows = [["case", *(c.label for c in contenders), "ratio", "bar"], ["---"] + ["---:"] * (len(contenders) + 2)]
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
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + f"\n\n{contenders[0].label}: {contenders[0].engine.bin}"


def main(argv: list[str]) -> int:
    p = argparse.ArgumentParser(prog="bench archives", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--podlike", default=os.environ.get("PODLIKE_BIN", "podlike"), help="the engine under test")
    p.add_argument("--podman", default="podman", help="the one to compare with; \"\" for none")
    p.add_argument("--rounds", type=int, default=5, help="measured runs of each case and engine (default 5)")
    p.add_argument("--cases", default=",".join(CASES), help=f"of: {' '.join(CASES)}")
    p.add_argument("--user", default="podlike-test", help="whom to become when started as root")
    args = p.parse_args(argv)
    cases = args.cases.split(",")
    if unknown := [case for case in cases if case not in CASES]:
        p.error(f"no such case: {' '.join(unknown)}")
    if os.geteuid() == 0:
        return become_user(args.user, "archives", [*argv, "--podlike", shutil.which(args.podlike) or args.podlike])
    engines = [("podlike", Engine(args.podlike))]
    if args.podman:
        engine = Engine(args.podman)
        engines.append((f"podman {engine('--version').line.split()[-1]}", engine))
        os.makedirs(f"{engine.home}/.config/containers")
        Path(f"{engine.home}/.config/containers/policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        Path(f"{engine.home}/.config/containers/storage.conf").write_text('[storage]\ndriver = "overlay"\n')
    try:
        with tempfile.TemporaryDirectory(prefix="podlike-bench-archives-", dir="/var/tmp") as d:
            contenders = [Contender(label, engine, Path(d)) for label, engine in engines]
            make_images(Path(d), cases)
            for case in cases:
                print(f"{case} ...", file=sys.stderr, flush=True)
                (measure_memory if case == "memory" else measure)(contenders, args.rounds, case)
            print(table(contenders, cases))
            print(f"{time.strftime('%Y-%m-%d')}, Linux {platform.release()}, {os.cpu_count()} CPUs, Python "
                  f"{platform.python_version()}; {args.rounds} rounds, interleaved; medians, minima in brackets")
    finally:
        for _, engine in engines:
            engine.destroy()
    return 0
