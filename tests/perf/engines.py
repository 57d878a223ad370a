"""Time podlike against podman: same user, same image, same minute.

    tests/perf/bench engines --podlike PATH --rounds 20

Runs are interleaved (round 1 of every engine, round 2 ...), so that a busy machine slows all alike; ratios of medians
are what to look at. As root it runs itself as an ordinary user inside contrib/rig.
"""

import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.perf.common import (
    IMAGE,
    Sample,
    add_cases,
    add_podlike,
    add_rounds,
    become_user,
    chosen,
    footer,
    interleave,
    label_of,
    load_image,
    markdown,
    new_engine,
    new_parser,
    pss,
    timed,
)
from tests.support import oci
from tests.support.engine import Engine, wait_for

MANY = 100  # containers for `ps -a`
IDLE = 4  # idle containers whose memory is averaged
BIG = 120 << 20  # bytes in the files of the image that is pulled
LOG = 200 << 20  # bytes of the log that `logs` reads
CASES = ("version", "run-none", "run-host", "run-default", "exec", "ps-0", "ps-100", "create", "rm-f", "pull", "logs",
         "logs-tail", "memory")
TITLES = {
    "version": "--version",
    "run-none": "run --rm --network none, true",
    "run-host": "run --rm --network host, true",
    "run-default": "run --rm, true (default network)",
    "exec": "exec, true",
    "ps-0": "ps -a, no container",
    "ps-100": f"ps -a, {MANY} containers",
    "create": "create",
    "rm-f": "rm -f of a running container",
    "pull": f"pull of {BIG >> 20} MB in 3 layers, 3000 files, from loopback",
    "logs": f"logs, {LOG >> 20} MB of 112-byte records",
    "logs-tail": f"logs --tail 10 of {LOG >> 20} MB",
    "memory": "memory of an idle container: PSS of all processes but its own",
}


class Contender:
    """One engine and what was measured of it; memory is a wall of so many KiB."""

    def __init__(self, label: str, engine: Engine) -> None:
        self.label = label
        self.engine = engine
        self.samples: dict[str, list[Sample]] = {}

    def timed(self, *args: str) -> Sample:
        return timed(self.engine, *args)


def in_turn(contenders: list[Contender], rounds: int, measure: Callable[[Contender], Sample], case: str) -> None:
    """Keep what was measured with each one."""
    for c, samples in zip(contenders, interleave(contenders, rounds, measure), strict=True):
        c.samples[case] = samples


def measure_runs(contenders: list[Contender], rounds: int, case: str) -> None:
    network = {"run-none": ["--network", "none"], "run-host": ["--network", "host"], "run-default": []}[case]
    in_turn(contenders, rounds, lambda c: c.timed("run", "--rm", *network, IMAGE, "true"), case)


def measure_version(contenders: list[Contender], rounds: int, case: str) -> None:
    in_turn(contenders, rounds, lambda c: c.timed("--version"), case)


def measure_exec(contenders: list[Contender], rounds: int, case: str) -> None:
    for c in contenders:
        c.engine("run", "-d", "--name", "busy", "--network", "none", IMAGE, "sleep", "1000")
    in_turn(contenders, rounds, lambda c: c.timed("exec", "busy", "true"), case)
    clear(contenders)


def measure_ps(contenders: list[Contender], rounds: int, case: str) -> None:
    for c in contenders:
        for _ in range(MANY if case == "ps-100" else 0):
            c.engine("create", "--network", "none", IMAGE, "true")
    in_turn(contenders, rounds, lambda c: c.timed("ps", "-a"), case)
    clear(contenders)


def measure_create(contenders: list[Contender], rounds: int, case: str) -> None:
    in_turn(contenders, rounds, lambda c: c.timed("create", "--network", "none", IMAGE, "true"), case)
    clear(contenders)


def measure_rm(contenders: list[Contender], rounds: int, case: str) -> None:
    def one(c: Contender) -> Sample:
        c.engine("run", "-d", "--name", "victim", "--network", "none", IMAGE, "sleep", "1000")
        return c.timed("rm", "-f", "-t", "0", "victim")

    in_turn(contenders, rounds, one, case)


def measure_pull(contenders: list[Contender], rounds: int, case: str) -> None:
    with registry() as address:
        name = f"{address}/bench/big:latest"

        def one(c: Contender) -> Sample:
            c.engine("rmi", "-f", name, check=False)
            sample = c.timed("pull", "-q", "--tls-verify=false", name)
            c.engine("rmi", "-f", name)
            return sample

        in_turn(contenders, max(3, rounds // 4), one, case)


def measure_memory(contenders: list[Contender], rounds: int, case: str) -> None:
    """PSS (smaps_rollup(5)) of what the engine keeps running for one idle container on the default network."""
    for c in contenders:
        before = set(c.engine.processes())
        for i in range(IDLE):
            c.engine("run", "-d", "--name", f"idle{i}", IMAGE, "sleep", "1000")
        time.sleep(1)
        programs = {int(c.engine("inspect", "-f", "{{.State.Pid}}", f"idle{i}").line) for i in range(IDLE)}
        kept = {pid: cmd for pid, cmd in c.engine.processes().items() if pid not in before | programs}
        shares = {pid: share_of(pid) for pid in kept}
        unread = sorted({os.path.basename(kept[pid].split()[0]) for pid, share in shares.items() if share is None})
        if unread:
            raise SystemExit(f"{c.label}: the memory of {', '.join(unread)} cannot be read here")
        c.samples[case] = [Sample(sum(share or 0 for share in shares.values()) / IDLE, 0)]
    clear(contenders)


def write_log(path: str) -> None:
    """As the monitor writes it: all lines of one read have one time."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        for second in range(LOG // (112 * 600)):
            stamp = f"2026-01-02T{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000000001+00:00"
            f.writelines(f"{stamp} stdout F line {second:05d}.{i:03d} some words of output that a program may write, no more\n"
                         for i in range(600))


def measure_logs(contenders: list[Contender], rounds: int, case: str) -> None:
    for c in contenders:
        c.engine("create", "--name", "noisy", "--log-driver", "k8s-file", "--network", "none", IMAGE, "true")
        write_log(c.engine("inspect", "-f", "{{.HostConfig.LogConfig.Path}}", "noisy").line)
    how = ["--tail", "10"] if case == "logs-tail" else []
    in_turn(contenders, rounds, lambda c: c.timed("logs", *how, "noisy"), case)
    clear(contenders)


MEASURES: dict[str, Callable[[list[Contender], int, str], None]] = {
    "version": measure_version,
    "run-none": measure_runs,
    "run-host": measure_runs,
    "run-default": measure_runs,
    "exec": measure_exec,
    "ps-0": measure_ps,
    "ps-100": measure_ps,
    "create": measure_create,
    "rm-f": measure_rm,
    "pull": measure_pull,
    "logs": measure_logs,
    "logs-tail": measure_logs,
    "memory": measure_memory,
}


def share_of(pid: int) -> int | None:
    """PSS in KiB; None when the kernel does not let us read it."""
    try:
        return pss(pid)
    except PermissionError:
        return None
    except OSError:
        return 0  # ended meanwhile


def clear(contenders: list[Contender]) -> None:
    for c in contenders:
        c.engine("rm", "-a", "-f", "-t", "0", timeout=300)


def big_image() -> oci.Image:
    """Like a language's base image: 3000 files in 3 layers, a third text, a third binary, a third hard to compress."""
    rng = random.Random(20240229)
    words = [bytes(rng.choices(b"etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(4000)]
    layers = []
    for n in range(3):
        entries = [oci.Dir(f"data{n}")]
        entries += [oci.Dir(f"data{n}/{d:02}") for d in range(20)]
        for i in range(1000):
            size = BIG // 3000
            if n == 0:
                text = b" ".join(rng.choices(words, k=size // 6))
                data = (text + text)[:size]
            elif n == 1:
                data = (rng.randbytes(size // 4) + bytes(size // 4)) * 2
            else:
                data = rng.randbytes(size)
            entries.append(oci.File(f"data{n}/{i % 20:02}/f{i}", data))
        layers.append(oci.layer(entries))
    return oci.Image(layers=layers, config={"Cmd": ["none"]})


@contextmanager
def registry() -> Iterator[str]:
    """A docker-registry on loopback that holds the big image; HOST:PORT."""
    for program in ("docker-registry", "skopeo"):
        if shutil.which(program) is None:
            raise SystemExit(f"the case pull needs {program}: apt-get install {program}")
    with tempfile.TemporaryDirectory(prefix="podlike-bench-registry-") as d:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{s.getsockname()[1]}"
        with open(f"{d}/config.yml", "w") as f:
            f.write(
                f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
                f"storage: {{filesystem: {{rootdirectory: {d}/data}}}}\nhttp: {{addr: {address}}}\n"
            )
        with open(f"{d}/log", "wb") as log:
            server = subprocess.Popen(["docker-registry", "serve", f"{d}/config.yml"], stdout=log, stderr=log)
        try:
            oci.write_oci_layout(f"{d}/big", {"latest": big_image()})

            def push() -> bool:
                argv = [
                    "skopeo",
                    "copy",
                    "-q",
                    "--insecure-policy",
                    "--dest-tls-verify=false",
                    f"oci:{d}/big:latest",
                    f"docker://{address}/bench/big:latest",
                ]
                return subprocess.run(argv, check=False, stderr=subprocess.DEVNULL).returncode == 0

            wait_for(push, "the registry to take the image", timeout=120)
            yield address
        finally:
            server.terminate()
            server.wait()


def described(c: Contender) -> str:
    """Version, storage and network of an engine, for the foot of the table."""
    text = c.engine("--version").line
    if c.engine.is_podman:
        info = json.loads(c.engine("info", "--format", "json").stdout)
        store, host = info["store"], info["host"]
        native = store["graphStatus"].get("Native Overlay Diff", "?")
        fuse = "fuse-overlayfs" if store["graphOptions"].get("overlay.mount_program") else "native"
        text += (
            f"; storage {store['graphDriverName']} ({fuse}, native diff {native}); runtime {host['ociRuntime']['name']}"
        )
        text += f"; cgroups {host['cgroupVersion']} by {host['cgroupManager']}"
    return f"{c.label}: {c.engine.bin}: {text}"


def table(contenders: list[Contender], cases: list[str]) -> str:
    """Markdown: medians with minima in brackets, and the first engine's median over each other's."""
    first, others = contenders[0], contenders[1:]
    heads = ["case", *(c.label for c in contenders), *(f"{first.label} / {c.label}" for c in others)]
    rows = []
    for case in cases:
        unit, scale, digits = ("MiB", 1 / 1024, 2) if case == "memory" else ("ms", 1000, 1)
        medians = [statistics.median(s.wall for s in c.samples[case]) for c in contenders]
        cells = []
        for c, median in zip(contenders, medians, strict=True):
            least = min(s.wall for s in c.samples[case])
            cells.append(
                f"{median * scale:.{digits}f} {unit}" + ("" if case == "memory" else f" ({least * scale:.{digits}f})")
            )
        cells += [f"{medians[0] / m:.2f}" if m else "-" for m in medians[1:]]
        rows.append([TITLES[case], *cells])
    return markdown(heads, rows)


def new_contenders(podlike: str, podmans: list[str]) -> list[Contender]:
    """Each with a label of its own."""
    contenders = [Contender("podlike", new_engine(podlike))]
    names: dict[str, int] = {}
    for path in podmans:
        engine = new_engine(path)
        label = label_of(engine)
        names[label] = names.get(label, 0) + 1
        contenders.append(Contender(label + (f" #{names[label]}" if names[label] > 1 else ""), engine))
    return contenders


def write_samples(path: str, notes: list[str], contenders: list[Contender]) -> None:
    """As JSON; path: - for stdout."""
    doc: dict[str, Any] = {
        "notes": notes,
        "engines": {c.label: {case: [s._asdict() for s in found] for case, found in c.samples.items()} for c in contenders},
    }
    text = json.dumps(doc, indent=1) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        with open(path, "w") as f:
            f.write(text)


def main(argv: list[str]) -> int:
    p = new_parser("engines", __doc__)
    add_podlike(p)
    p.add_argument("--podman", action="append", metavar="PATH",
                   help="compare with this one; may be repeated (default: podman on PATH)")
    add_rounds(p, 20)
    add_cases(p, CASES)
    p.add_argument("--json", metavar="FILE", help="write every sample to FILE (- for stdout, instead of the table)")
    args = p.parse_args(argv)
    cases = chosen(p, args.cases, CASES)
    if args.rounds < 1:
        p.error("--rounds must be at least 1")
    if os.geteuid() == 0:
        return become_user("engines", args, argv)
    contenders = new_contenders(args.podlike, args.podman or ["podman"])
    try:
        for c in contenders:
            load_image(c.engine)
        for case in cases:
            print(f"{case} ...", file=sys.stderr, flush=True)
            MEASURES[case](contenders, args.rounds, case)
        notes = [footer(args.rounds), *map(described, contenders)]
        if args.json != "-":
            print(table(contenders, cases) + "\n\n" + "\n".join(f"- {note}" for note in notes))
        if args.json:
            write_samples(args.json, notes, contenders)
    finally:
        for c in contenders:
            c.engine.destroy()
    return 0
