"""What `stats` of many containers costs: processor time of the whole command for each round, as a share of one core.

    tests/perf/bench stats --podlike PATH --containers 100 --seconds 10

The containers sleep; what is measured is `podlike stats` itself, at one round a second, without the rounds before its first
output. As root it runs itself as an ordinary user inside contrib/rig. Ends with 1 when the bar is not met.
"""

import os
import subprocess
import time

from tests.perf.common import IMAGE, add_podlike, become_user, load_image, new_engine, new_parser
from tests.support.engine import Engine

BAR = 5.0  # percent of a core at 1 Hz


def cpu_of(pid: int) -> float:
    """Seconds that a process has used; the scheduler's count, not that of its ticks."""
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e9


def measure(engine: Engine, containers: int, seconds: int) -> float:
    """Percent of one core."""
    for n in range(containers):
        engine("run", "-d", "--name", f"c{n}", "--network", "none", IMAGE, "sleep", "100000")
    columns = " ".join(f"{{{{.{name}}}}}" for name in ("Name", "CPUPerc", "MemUsage", "NetIO", "BlockIO", "PIDS"))
    argv = [engine.bin, "stats", "--interval", "1", "--format", columns]
    with subprocess.Popen(argv, env=engine.env, stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        for _ in range(containers):
            p.stdout.readline()
        begun, used = time.monotonic(), cpu_of(p.pid)
        for n in range(seconds * containers):
            line = p.stdout.readline()
            assert line.startswith("c") and line.split()[1].endswith("%"), (n, line)
        share = 100 * (cpu_of(p.pid) - used) / (time.monotonic() - begun)
        p.kill()
    return share


def main(argv: list[str]) -> int:
    p = new_parser("stats", __doc__)
    add_podlike(p)
    p.add_argument("--containers", type=int, default=100)
    p.add_argument("--seconds", type=int, default=10)
    args = p.parse_args(argv)
    if os.geteuid() == 0:
        return become_user("stats", args, argv)
    engine = new_engine(args.podlike)
    try:
        load_image(engine)
        share = measure(engine, args.containers, args.seconds)
    finally:
        engine.destroy()
    print(f"stats of {args.containers} containers at 1 Hz: {share:.2f} % of a core (bar {BAR:g} %)")
    return int(share > BAR)
