"""Time pods against podman's, and weigh an idle one.

    tests/perf/bench pods --podlike PATH --rounds 10

Cases: `create` (`pod create`), `first` (`pod create`, and `run -d` of a container in it), `start` (`pod start` of a pod with one
container), `rm` (`pod rm -f` of one that runs), `memory` (PSS, smaps_rollup(5), of every process that an idle pod with one
container needs, but that container's own program: the infra container, monitors, the network helper, what holds the user
namespace). Rounds are interleaved. As root it runs itself as an ordinary user inside contrib/rig. podman 4 wants catatonit.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

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
    label_of,
    load_image,
    markdown,
    new_engine,
    new_parser,
    pss,
)
from tests.support.engine import Engine

POD, NAME = "bench-pod", "bench-one"
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
    """KiB."""
    engine(*_CREATE)
    engine(*_RUN)
    time.sleep(1)
    program = int(engine("inspect", "-f", "{{.State.Pid}}", NAME).line)
    shares = {cmd: pss(pid) for pid, cmd in engine.processes().items() if pid != program}
    print(f"  {engine.bin}: " + ", ".join(f"{os.path.basename(cmd.split()[0])} {n}" for cmd, n in shares.items()) + " KiB",
          file=sys.stderr)
    engine(*_REMOVE)
    return sum(shares.values())


CASES: dict[str, Callable[[Engine], float]] = {"create": create, "first": first, "start": start, "rm": rm, "memory": memory}


def measure(case: str, rounds: int, engines: list[Engine]) -> list[str]:
    """A row of the table."""
    print(f"{case} ...", file=sys.stderr, flush=True)
    samples = interleave(engines, rounds, CASES[case])
    medians = [statistics.median(s) for s in samples]
    if case == "memory":
        cells = [f"{m:.0f} KiB" for m in medians]
    else:
        cells = [f"{m * 1000:.0f} ms ({min(s) * 1000:.0f})" for m, s in zip(medians, samples, strict=True)]
    bar = f"{BARS[case]:.2f}" if case in BARS else ""
    return [TITLES[case], *cells, f"{medians[0] / medians[1]:.2f}", bar]


def main(argv: list[str]) -> int:
    p = new_parser("pods", __doc__)
    add_podlike(p)
    add_podman(p)
    add_rounds(p, 10)
    add_cases(p, CASES)
    args = p.parse_args(argv)
    cases = chosen(p, args.cases, CASES)
    if os.geteuid() == 0:
        return become_user("pods", args, argv)
    engines = [new_engine(args.podlike), new_engine(args.podman)]
    try:
        for engine in engines:
            load_image(engine)
        rows = [measure(case, min(3, args.rounds) if case == "memory" else args.rounds, engines) for case in cases]
        print(markdown(["case", *map(label_of, engines), "ratio", "bar"], rows))
        print("\n" + footer(args.rounds))
    finally:
        for engine in engines:
            engine("pod", "rm", "-a", "-f", "-t", "0", check=False)
            engine.destroy()
    return 0
