"""Time pull and push of podlike against podman, from and to a docker-registry on loopback.

    tests/perf/bench images --podlike PATH --rounds 5

Cases: `pull` (500 MB in 5 layers, gzip), `small` (300 MB in 60000 files, 5 layers, gzip), `zstd` (the first one in
zstd), `push` (the first one, pulled before, to an empty registry), `push-plain` (the same from a docker archive,
whose layers are to be compressed on the way), `memory` (peak of all processes of a pull, PSS), `cut` (bytes that a
200 MB layer takes from a registry that cuts every connection after 20 MB). Rounds are interleaved; before each run
dirty pages are written out. As root it runs itself as an ordinary user inside contrib/rig.
"""

import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.perf.common import (
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
from tests.support import oci
from tests.support.engine import Engine
from tests.support.registry import Layer, RealRegistry, digest_of, lying_registry, make_image, real_registry

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

    def __init__(self, program: str) -> None:
        self.program = program
        self.engine = new_engine(program)
        self.label = label_of(self.engine)
        self.samples: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}
        self._old: list[Engine] = []

    def renew(self) -> None:
        self._old.append(self.engine)
        self.engine = new_engine(self.program)
        self.engine("unshare", "true")  # its namespaces are there when the clock starts

    def destroy(self) -> None:
        for engine in (self.engine, *self._old):
            # Where the files belong to subordinate ids too, and faster than Python does it.
            engine("unshare", "rm", "-rf", engine.data, f"{engine.home}/.local", check=False, timeout=600)
            engine.destroy()

    def run(self, *args: str, case: str = "") -> float:
        """Seconds of one command; a failure ends the benchmark, for its time means nothing."""
        os.sync()
        before = cpu_of_children()
        started = time.perf_counter()
        done = subprocess.run([self.engine.bin, *args], env=self.engine.env, capture_output=True, check=False)
        wall = time.perf_counter() - started
        self.cpu.setdefault(case, []).append(cpu_of_children() - before)
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


def in_turn(contenders: list[Contender], rounds: int, case: str, one: Callable[[Contender], float]) -> None:
    """Keep what was measured with each one."""
    for c, samples in zip(contenders, interleave(contenders, rounds, one), strict=True):
        c.samples[case] = samples


def measure_pull(contenders: list[Contender], rounds: int, case: str, registry: RealRegistry) -> None:
    name = f"{registry.host}/bench/{case}:latest"

    def one(c: Contender) -> float:
        c.renew()
        return c.run("pull", "-q", "--tls-verify=false", name, case=case)

    in_turn(contenders, rounds, case, one)


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

        in_turn(contenders, rounds, case, one)


def measure_memory(contenders: list[Contender], rounds: int, case: str, registry: RealRegistry) -> None:
    name = f"{registry.host}/bench/pull:latest"
    for c in contenders:
        c.renew()
        c.samples[case] = [peak_memory([c.engine.bin, "pull", "-q", "--tls-verify=false", name], c.engine.env)]


def measure_cut(contenders: list[Contender], rounds: int, case: str, registry: RealRegistry) -> None:
    """Only the first contender; podman gives up."""
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
    rows = []
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
    return f"{markdown(['case', *(c.label for c in contenders), 'ratio', 'bar'], rows)}\n\n{first.label}: {first.program}"


def main(argv: list[str]) -> int:
    p = new_parser("images", __doc__)
    add_podlike(p)
    add_podman(p, optional=True)
    add_rounds(p, 5)
    add_cases(p, CASES)
    p.add_argument("--registry", default="", metavar="DIR", help="keep the registry's data here, and use what is there")
    p.add_argument("--json", metavar="FILE", help="write every sample to FILE")
    args = p.parse_args(argv)
    cases = chosen(p, args.cases, CASES)
    if os.geteuid() == 0:
        return become_user("images", args, argv)
    contenders = [Contender(path) for path in (args.podlike, args.podman) if path]
    try:
        with filled_registry(cases, args.registry) as registry:
            for case in cases:
                print(f"{case} ...", file=sys.stderr, flush=True)
                MEASURES[case](contenders, args.rounds, case, registry)
        print(table(contenders, cases), flush=True)
        print(footer(args.rounds), flush=True)
        if args.json:
            Path(args.json).write_text(json.dumps({c.label: c.samples for c in contenders}, indent=1))
    finally:
        for c in contenders:
            c.destroy()
    return 0
