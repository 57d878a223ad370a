"""Time cp against tar over a pipe, and commit against podman's.

    tests/perf/bench copies --podlike PATH --rounds 5

Cases: `in`, `out` (200 MB in 20 files into a container that runs, and out of it), `in-small`, `out-small` (200 MB in 20000
files), `stdin`, `stdout` (the 20 files as a tar through a pipe), each beside `tar -c | tar -x` of the same tree; `commit` (500
small files), beside podman's. Rounds are interleaved; before each run dirty pages are written out, and every run writes to a new
directory. As root it runs itself as an ordinary user inside contrib/rig.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from tests.perf.common import (
    IMAGE,
    add_cases,
    add_podlike,
    add_podman,
    add_rounds,
    become_user,
    chosen,
    footer,
    interleave,
    load_image,
    markdown,
    new_engine,
    new_parser,
)
from tests.support.engine import Engine

CASES = ("in", "out", "in-small", "out-small", "stdin", "stdout", "commit")
TITLES = {
    "in": "cp of 200 MB in 20 files into a container", "out": "the same out of it",
    "in-small": "cp of 200 MB in 20000 files into a container", "out-small": "the same out of it",
    "stdin": "cp - : 200 MB from a pipe", "stdout": "cp : - to a pipe", "commit": "commit of 500 small files",
}
# At most so many times what it is compared with: tar's time / 0.8, and 0.4 of podman's.
BARS = dict.fromkeys(CASES, 1 / 0.8) | {"commit": 0.4}
NAME = "bench"
FILES = {"": (20, 10_000_000), "-small": (20_000, 10_000)}


class Bench:
    """The engine under test, a container of its own that runs, and the trees."""

    def __init__(self, engine: Engine, work: Path, cases: list[str]) -> None:
        self.engine = engine
        self.work = work
        self.n = 0
        for kind, (files, size) in FILES.items():
            if any(case.endswith("small") == bool(kind) for case in cases if case != "commit"):
                make_tree(work / f"tree{kind}", files, size)
        start(engine)

    def new(self) -> str:
        self.n += 1
        return f"out{self.n}"

    def ours(self, case: str) -> float:
        kind = "-small" if case.endswith("-small") else ""
        tree, out = self.work / f"tree{kind}", self.new()
        if case.startswith("in"):
            return timed(lambda: self._run("cp", str(tree), f"{NAME}:/{out}"), lambda: self._exec("rm", "-rf", f"/{out}"))
        if case == "stdin":
            self._exec("mkdir", f"/{out}")
            return timed(lambda: self._pipe(["tar", "-C", str(tree), "-c", "."], [self.engine.bin, "cp", "-", f"{NAME}:/{out}"]),
                         lambda: self._exec("rm", "-rf", f"/{out}"))
        self._run("cp", str(tree), f"{NAME}:/{out}")
        target = self.work / out
        if case == "stdout":
            target.mkdir()
            wall = timed(lambda: self._pipe([self.engine.bin, "cp", f"{NAME}:/{out}", "-"], ["tar", "-C", str(target), "-x"]),
                         lambda: shutil.rmtree(target))
        else:
            wall = timed(lambda: self._run("cp", f"{NAME}:/{out}", str(target)), lambda: shutil.rmtree(target))
        self._exec("rm", "-rf", f"/{out}")
        return wall

    def tar(self, case: str) -> float:
        tree = self.work / f"tree{'-small' if case.endswith('-small') else ''}"
        target = self.work / self.new()
        target.mkdir()
        return timed(lambda: self._pipe(["tar", "-C", str(tree), "-c", "."], ["tar", "-C", str(target), "-x"]),
                     lambda: shutil.rmtree(target))

    def _run(self, *args: str) -> None:
        self.engine(*args, timeout=300)

    def _exec(self, *args: str) -> None:
        self._run("exec", NAME, *args)

    def _pipe(self, first: list[str], second: list[str]) -> None:
        with subprocess.Popen(first, stdout=subprocess.PIPE, env=self.engine.env) as p:
            subprocess.run(second, stdin=p.stdout, check=True, env=self.engine.env)
        if p.returncode:
            raise SystemExit(f"{' '.join(first)} ended with {p.returncode}")


def timed(act: Callable[[], object], afterwards: Callable[[], object]) -> float:
    os.sync()
    started = time.perf_counter()
    act()
    wall = time.perf_counter() - started
    afterwards()
    return wall


def make_tree(path: Path, files: int, size: int) -> None:
    data = os.urandom(size)
    for n in range(files):
        directory = path / f"d{n // 200}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"f{n}").write_bytes(data[n % 97:] + data[:n % 97])


def start(engine: Engine) -> None:
    """A container that runs and has 500 small files of its own."""
    load_image(engine)
    engine("run", "-d", "--name", NAME, "--network", "none", IMAGE, "sh", "-c",
           "mkdir /many; for i in $(seq 500); do echo $i > /many/$i; done; echo ready; sleep 100000")
    while "ready" not in engine("logs", NAME).stdout:
        time.sleep(0.1)


def commit(engine: Engine, run: Iterator[int]) -> float:
    """Each run has a change of its own, so that a layer is made. The images go at the end: ext4 does not give the inodes of 500
    files that have just been removed again for some seconds, and looks through all of them for each file that either makes."""
    n = next(run)
    engine("exec", NAME, "sh", "-c", f"echo {n} > /many/run")
    return timed(lambda: engine("commit", "-q", NAME, f"made:{n}", timeout=300), lambda: None)


def measure(case: str, rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> list[str]:
    """A row of the table."""
    print(f"{case} ...", file=sys.stderr, flush=True)
    samples = interleave((ours, theirs), rounds, lambda act: act())
    mine, other = (statistics.median(s) for s in samples)
    cells = [f"{m:.3f} s ({min(s):.3f})" for m, s in zip((mine, other), samples, strict=True)]
    return [TITLES[case], *cells, f"{mine / other:.2f}", f"{BARS[case]:.2f}"]


def main(argv: list[str]) -> int:
    p = new_parser("copies", __doc__)
    add_podlike(p)
    add_podman(p)
    add_rounds(p, 5)
    add_cases(p, CASES)
    args = p.parse_args(argv)
    cases = chosen(p, args.cases, CASES)
    if os.geteuid() == 0:
        return become_user("copies", args, argv)
    engines = [new_engine(args.podlike)]
    try:
        with tempfile.TemporaryDirectory(prefix="podlike-bench-copies-", dir="/var/tmp") as d:
            bench = Bench(engines[0], Path(d), cases)
            rows = []
            for case in cases:
                if case != "commit":
                    rows.append(measure(case, args.rounds, partial(bench.ours, case), partial(bench.tar, case)))
                    continue
                engines.append(new_engine(args.podman))
                start(engines[1])
                rows.append(measure(case, args.rounds, *(partial(commit, engine, count()) for engine in engines)))
            print(markdown(["case", "podlike", "tar, or podman", "ratio", "bar"], rows))
            print("\n" + footer(args.rounds))
    finally:
        for engine in engines:
            engine("rm", "-a", "-f", "-t", "0", check=False)
            engine.destroy()
    return 0
