"""Time pods against podman's, and weigh an idle one.

    tests/perf/bench pods --podlike PATH --rounds 10

Cases: `create` (`pod create`), `first` (`pod create`, and `run -d` of a container in it), `start` (`pod start` of a pod with one
container), `rm` (`pod rm -f` of one that runs), `memory` (PSS, smaps_rollup(5), of every process that an idle pod with one
container needs, but that container's own program: the infra container, monitors, the network helper, what holds the user
namespace). Rounds are interleaved. As root it runs itself as an ordinary user inside contrib/rig. podman 4 wants catatonit.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from tests.perf.copies import podman
from tests.perf.images import become_user
from tests.support import oci
from tests.support.engine import Engine

IMAGE, POD, NAME = "localhost/bench:1", "bench-pod", "bench-one"
TITLES = {
    "create": "pod create", "first": "pod create, and run -d of a container in it", "start": "pod start, one container",
    "rm": "pod rm -f of a running one", "memory": "memory of an idle pod with one container, but for that one's program",
}
BARS = {"first": 0.5, "memory": 0.6}


def timed(engine: Engine, *commands: tuple[str, ...]) -> float:
    """Seconds that these take, one after the other."""
    env, begun = engine.env, time.perf_counter()
    for words in commands:
        subprocess.run([engine.bin, *words], env=env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


_CREATE = ("pod", "create", "--name", POD)
_RUN = ("run", "-d", "--pod", POD, "--name", NAME, IMAGE, "sleep", "1000")
_REMOVE = ("pod", "rm", "-f", "-t", "0", POD)


def create(engine: Engine) -> float:
    wall = timed(engine, _CREATE)
    engine(*_REMOVE)
    return wall


def first(engine: Engine) -> float:
    wall = timed(engine, _CREATE, _RUN)
    engine(*_REMOVE)
    return wall


def start(engine: Engine) -> float:
    engine(*_CREATE)
    engine("create", *_RUN[2:])
    wall = timed(engine, ("pod", "start", POD))
    engine(*_REMOVE)
    return wall


def rm(engine: Engine) -> float:
    engine(*_CREATE)
    engine(*_RUN)
    return timed(engine, _REMOVE)


def memory(engine: Engine) -> float:
    """Bytes."""
    engine(*_CREATE)
    engine(*_RUN)
    time.sleep(1)
    program = int(engine("inspect", "-f", "{{.State.Pid}}", NAME).line)
    shares = {cmd: pss(pid) for pid, cmd in engine.processes().items() if pid != program}
    print(f"  {engine.bin}: " + ", ".join(f"{os.path.basename(cmd.split()[0])} {n >> 10}" for cmd, n in shares.items()) + " KiB",
          file=sys.stderr)
    engine(*_REMOVE)
    return sum(shares.values())


def pss(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("Pss:"))


CASES: dict[str, Callable[[Engine], float]] = {"create": create, "first": first, "start": start, "rm": rm, "memory": memory}


def measure(case: str, rounds: int, engines: list[Engine]) -> list[str]:
    """A row of the table."""
    print(f"{case} ...", file=sys.stderr, flush=True)
    samples: tuple[list[float], ...] = tuple([] for _ in engines)
    for n in range(rounds + 1):
        for which in sorted(range(len(engines)), reverse=bool(n % 2)):
            value = CASES[case](engines[which])
            if n:  # the first one warms up
                samples[which].append(value)
    medians = [statistics.median(s) for s in samples]
    if case == "memory":
        cells = [f"{m / 1024:.0f} KiB" for m in medians]
    else:
        cells = [f"{m * 1000:.0f} ms ({min(s) * 1000:.0f})" for m, s in zip(medians, samples, strict=True)]
    bar = f"{BARS[case]:.2f}" if case in BARS else ""
    return [TITLES[case], *cells, f"{medians[0] / medians[1]:.2f}", bar]


def main(argv: list[str]) -> int:
    p = argparse.ArgumentParser(prog="bench pods", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--podlike", default=os.environ.get("PODLIKE_BIN", "podlike"), help="the engine under test")
    p.add_argument("--podman", default="podman", help="the one it is compared with")
    p.add_argument("--rounds", type=int, default=10, help="measured runs of each case (default 10)")
    p.add_argument("--cases", default=",".join(CASES), help=f"of: {' '.join(CASES)}")
    p.add_argument("--user", default="podlike-test", help="whom to become when started as root")
    args = p.parse_args(argv)
    cases = args.cases.split(",")
    if unknown := [case for case in cases if case not in CASES]:
        p.error(f"no such case: {' '.join(unknown)}")
    if os.geteuid() == 0:
        return become_user(args.user, "pods", [*argv, "--podlike", shutil.which(args.podlike) or args.podlike])
    engines = [Engine(args.podlike), podman(args.podman)]
    try:
        for engine in engines:
            archive = f"{engine.dir}/image.tar"
            oci.write_oci_archive(archive, {IMAGE: oci.busybox_image()})
            engine("load", "-i", archive)
        version = engines[1]("--version").line
        rows = [["case", "podlike", version.replace("version ", ""), "ratio", "bar"], ["---", "---:", "---:", "---:", "---:"]]
        rows += [measure(case, min(3, args.rounds) if case == "memory" else args.rounds, engines) for case in cases]
        print("\n".join("| " + " | ".join(row) + " |" for row in rows))
        print(f"\n{time.strftime('%Y-%m-%d')}, Linux {platform.release()}, {os.cpu_count()} CPUs, Python "
              f"{platform.python_version()}; {args.rounds} rounds, interleaved; medians, minima in brackets")
    finally:
        for engine in engines:
            engine("pod", "rm", "-a", "-f", "-t", "0", check=False)
            engine.destroy()
    return 0
