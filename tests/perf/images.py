"""Time pull and push of podlike against podman, from and to a docker-registry on loopback.

    tests/perf/bench images --podlike PATH --rounds 5

Cases: `pull` (500 MB in 5 layers, gzip), `small` (300 MB in 60000 files, 5 layers, gzip), `zstd` (the first one in
zstd), `push` (the first one, pulled before, to an empty registry), `push-plain` (the same from a docker archive,
whose layers are to be compressed on the way), `memory` (peak of all processes of a pull, PSS), `cut` (bytes that a
200 MB layer takes from a registry that cuts every connection after 20 MB). Rounds are interleaved; before each run
dirty pages are written out. As root it runs itself as an ordinary user inside contrib/rig.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import oci
from tests.support.engine import Engine
from tests.support.registry import Layer, RealRegistry, digest_of, make_image, real_registry

CASES = ("pull", "small", "zstd", "push", "push-plain", "memory", "cut")
TITLES = {
    "pull": "pull of 500 MB in 5 layers and 5000 files, gzip",
    "small": "pull of 300 MB in 5 layers and 60000 files, gzip",
    "zstd": "pull of 500 MB in 5 layers and 5000 files, zstd",
    "push": "push of the pulled 500 MB",
    "push-plain": "push of 500 MB that were loaded uncompressed",
    "memory": "peak memory of the first pull, all processes (PSS)",
    "cut": "bytes received for a 200 MB layer, connections cut after 20 MB",
}
BARS = {"pull": 0.6, "small": 0.7, "zstd": 0.6, "push": 0.7, "push-plain": 0.7}
MEMORY_MB, CUT_RATIO = 150, 1.1
LAYERS = 5
CUT_AFTER, CUT_LAYER = 20 << 20, 200 << 20


class Contender:
    """engine: its present store. Each pull gets a new one, and all go at the very end: ext4 is slow to use inodes
    again that were freed within the last minute, which would be what is measured."""

    def __init__(self, label: str, program: str) -> None:
        self.label = label
        self.program = program
        self.engine = Engine(program)
        self.samples: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}
        self._old: list[Engine] = []

    def renew(self) -> None:
        self._old.append(self.engine)
        self.engine = Engine(self.program)
        self.engine("unshare", "true")  # its namespaces are there when the clock starts

    def destroy(self) -> None:
        for engine in (self.engine, *self._old):
            # Where the files belong to subordinate ids too, and faster than Python does it.
            engine("unshare", "rm", "-rf", engine.data, f"{engine.home}/.local", check=False, timeout=600)
            engine.destroy()

    def run(self, *args: str, case: str = "") -> float:
        """Seconds of one command; a failure ends the benchmark, for its time means nothing."""
        os.sync()
        before = os.times()
        started = time.perf_counter()
        done = subprocess.run([self.engine.bin, *args], env=self.engine.env, capture_output=True, check=False)
        wall = time.perf_counter() - started
        after = os.times()
        self.cpu.setdefault(case, []).append(after.children_user + after.children_system - before.children_user
                                             - before.children_system)
        if done.returncode:
            raise SystemExit(f"{self.label}: {' '.join(args)} ended with {done.returncode}: {done.stderr.decode()}")
        return wall


def content(rng: random.Random, size: int, words: list[bytes]) -> bytes:
    """Two fifths text, two fifths like a program, one fifth that does not compress: about 2.3 to 1 in all."""
    kind = rng.randrange(5)
    if kind < 2:
        return (b" ".join(rng.choices(words, k=size // 6 + 1)) * 2)[:size]
    if kind < 4:
        return ((rng.randbytes(size // 4 + 1) + bytes(rng.choices(b"\0\1\2\3\x40\x80", k=size // 4 + 1))) * 2)[:size]
    return rng.randbytes(size)


def make_layers(total: int, files: int) -> Iterator[bytes]:
    """Tars with sizes of files that spread around the mean, from a fixed seed."""
    rng = random.Random(20240229)
    words = [bytes(rng.choices(b"etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(4000)]
    mean = total // files
    for n in range(LAYERS):
        entries = [oci.Dir(f"data{n}"), *(oci.Dir(f"data{n}/{d:03}") for d in range(100))]
        for i in range(files // LAYERS):
            size = rng.randint(mean // 4, mean * 7 // 4)
            entries.append(oci.File(f"data{n}/{i * 100 * LAYERS // files:03}/f{i}", content(rng, size, words)))
        yield oci.layer(entries)


def push_image(registry: RealRegistry, repository: str, tars: Iterator[bytes], how: str) -> None:
    """Layer after layer, so that memory stays at one."""
    layers = []
    media = {"gzip": "application/vnd.oci.image.layer.v1.tar+gzip", "zstd": "application/vnd.oci.image.layer.v1.tar+zstd"}
    for tar in tars:
        if how == "gzip":
            import zlib

            packer = zlib.compressobj(6, wbits=31)
            blob = packer.compress(tar) + packer.flush()
        else:
            blob = subprocess.run(["zstd", "-q", "-3", "-c"], input=tar, capture_output=True, check=True).stdout
        registry.push_blob(repository, blob)
        layers.append(Layer(blob, digest_of(tar), media[how]))
    registry.push(repository, "latest", make_image(layers))


@contextmanager
def filled_registry(cases: list[str], keep: str) -> Iterator[RealRegistry]:
    """keep: a directory whose images are used again if they are there."""
    with tempfile.TemporaryDirectory(prefix="podlike-bench-registry-", dir="/var/tmp") as d:
        root = Path(keep or d)
        root.mkdir(exist_ok=True)
        with real_registry(root) as registry:
            for name, wanted, how, total, files in (
                    ("pull", {"pull", "push", "push-plain", "memory"}, "gzip", 500_000_000, 5000),
                    ("small", {"small"}, "gzip", 300_000_000, 60000),
                    ("zstd", {"zstd"}, "zstd", 500_000_000, 5000)):
                if wanted.intersection(cases) and not (root / "data/docker/registry/v2/repositories/bench" / name).exists():
                    print(f"making {name} ...", file=sys.stderr, flush=True)
                    push_image(registry, f"bench/{name}", make_layers(total, files), how)
            yield registry


def interleave(contenders: list[Contender], rounds: int, case: str, one: Callable[[Contender], float]) -> None:
    for c in contenders:
        one(c)
    for i in range(rounds):
        for c in contenders[i % len(contenders):] + contenders[:i % len(contenders)]:
            c.samples.setdefault(case, []).append(one(c))


def measure_pull(contenders: list[Contender], rounds: int, case: str, registry: RealRegistry) -> None:
    name = f"{registry.host}/bench/{case}:latest"

    def one(c: Contender) -> float:
        c.renew()
        return c.run("pull", "-q", "--tls-verify=false", name, case=case)

    interleave(contenders, rounds, case, one)


def measure_push(contenders: list[Contender], rounds: int, case: str, registry: RealRegistry) -> None:
    source = f"{registry.host}/bench/pull:latest"
    with tempfile.TemporaryDirectory(prefix="podlike-bench-push-", dir="/var/tmp") as d:
        archive = f"{d}/plain.tar"
        if case == "push-plain":
            subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", f"docker://{source}",
                            f"docker-archive:{archive}:localhost/bench-plain:latest"], check=True)
            source = "localhost/bench-plain:latest"
        for c in contenders:
            c.renew()
            if case == "push-plain":
                c.run("load", "-q", "-i", archive)
            else:
                c.run("pull", "-q", "--tls-verify=false", source)

        def one(c: Contender) -> float:
            with tempfile.TemporaryDirectory(dir=d) as empty, real_registry(Path(empty)) as target:
                return c.run("push", "-q", "--tls-verify=false", source, f"{target.host}/copy/big:latest", case=case)

        interleave(contenders, rounds, case, one)


def measure_memory(contenders: list[Contender], rounds: int, case: str, registry: RealRegistry) -> None:
    """PSS of the command and all that it starts, looked at a hundred times a second."""
    name = f"{registry.host}/bench/pull:latest"
    for c in contenders:
        c.renew()
        with subprocess.Popen([c.engine.bin, "pull", "-q", "--tls-verify=false", name], env=c.engine.env,
                              stdout=subprocess.DEVNULL) as p:
            peak = 0
            while p.poll() is None:
                peak = max(peak, sum(pss(pid) for pid in family(p.pid)))
                time.sleep(0.01)
        c.samples[case] = [peak / 1024]


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for here in found:
        try:
            for task in os.listdir(f"/proc/{here}/task"):
                with open(f"/proc/{here}/task/{task}/children") as f:
                    found += map(int, f.read().split())
        except OSError:
            continue
    return found


def pss(pid: int) -> int:
    """KiB."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def measure_cut(contenders: list[Contender], rounds: int, case: str, registry: RealRegistry) -> None:
    """Only the first contender; podman gives up."""
    from tests.support.registry import lying_registry

    size = CUT_LAYER
    data = random.Random(1).randbytes(1 << 20) * (size >> 20)
    tar = oci.layer([oci.File("big", data)])
    layer = Layer(tar, "sha256:" + hashlib.sha256(tar).hexdigest(), "application/vnd.oci.image.layer.v1.tar")
    with lying_registry() as lying:
        lying.add(make_image([layer]))
        lying.cut_after = CUT_AFTER
        contenders[0].run("pull", "-q", "--tls-verify=false", f"{lying.host}/x:latest")
        contenders[0].samples[case] = [lying.sent / len(tar)]


MEASURES: dict[str, Callable[[list[Contender], int, str, RealRegistry], None]] = {
    "pull": measure_pull, "small": measure_pull, "zstd": measure_pull, "push": measure_push, "push-plain": measure_push,
    "memory": measure_memory, "cut": measure_cut}


def table(contenders: list[Contender], cases: list[str]) -> str:
    first = contenders[0]
    rows = [["case", *(c.label for c in contenders), "ratio", "bar"], ["---"] + ["---:"] * (len(contenders) + 2)]
    for case in cases:
        cells = []
        medians = [statistics.median(c.samples[case]) if case in c.samples else 0.0 for c in contenders]
        for c, median in zip(contenders, medians, strict=True):
            if case == "memory":
                cells.append(f"{median:.0f} MiB")
            elif case == "cut":
                cells.append(f"{median:.3f} x its size" if median else "-")
            else:
                cells.append(f"{median:.2f} s ({min(c.samples[case]):.2f}), {statistics.median(c.cpu[case]):.1f} s CPU")
        ratio = f"{medians[0] / medians[1]:.2f}" if len(medians) > 1 and medians[1] else "-"
        bar = f"{MEMORY_MB} MiB" if case == "memory" else f"{CUT_RATIO}" if case == "cut" else f"{BARS[case]}"
        rows.append([TITLES[case], *cells, ratio, bar])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + f"\n\n{first.label}: {first.program}"


def become_user(user: str, bench: str, argv: list[str]) -> int:
    """Run `bench NAME` again as user inside contrib/rig, from a copy that the user can read."""
    repo = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with tempfile.TemporaryDirectory(prefix="podlike-bench-", dir="/var/tmp") as d:
        os.chmod(d, 0o755)
        shutil.copytree(f"{repo}/tests", f"{d}/tests", ignore=shutil.ignore_patterns("__pycache__"))
        rig = [f"{repo}/contrib/rig", "-u", user, "-c", "/", "--"]
        return subprocess.run([*rig, "/usr/bin/python3", "-B", f"{d}/tests/perf/bench", bench, *argv],
                              check=False).returncode


def main(argv: list[str]) -> int:
    p = argparse.ArgumentParser(prog="bench images", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--podlike", default=os.environ.get("PODLIKE_BIN", "podlike"), help="the engine under test")
    p.add_argument("--podman", default="podman", help="the one to compare with; \"\" for none")
    p.add_argument("--rounds", type=int, default=5, help="measured runs of each case and engine (default 5)")
    p.add_argument("--cases", default=",".join(CASES), help=f"of: {' '.join(CASES)}")
    p.add_argument("--registry", default="", metavar="DIR", help="keep the registry's data here, and use what is there")
    p.add_argument("--json", metavar="FILE", help="write every sample to FILE")
    p.add_argument("--user", default="podlike-test", help="whom to become when started as root")
    args = p.parse_args(argv)
    cases = args.cases.split(",")
    if unknown := [case for case in cases if case not in CASES]:
        p.error(f"no such case: {' '.join(unknown)}")
    if os.geteuid() == 0:
        return become_user(args.user, "images", [*argv, "--podlike", shutil.which(args.podlike) or args.podlike])
    contenders = [Contender("podlike", args.podlike)]
    if args.podman:
        contenders.append(Contender("podman", args.podman))
        contenders[1].label = f"podman {contenders[1].engine('--version').line.split()[-1]}"
    try:
        with filled_registry(cases, args.registry) as registry:
            for case in cases:
                print(f"{case} ...", file=sys.stderr, flush=True)
                MEASURES[case](contenders, args.rounds, case, registry)
        print(table(contenders, cases), flush=True)
        print(f"{time.strftime('%Y-%m-%d')}, Linux {platform.release()}, {os.cpu_count()} CPUs, Python "
              f"{platform.python_version()}; {args.rounds} rounds, interleaved; medians, minima in brackets", flush=True)
        if args.json:
            Path(args.json).write_text(json.dumps({c.label: c.samples for c in contenders}, indent=1))
    finally:
        for c in contenders:
            c.destroy()
    return 0
