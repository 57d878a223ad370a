"""What health checks cost and how well they keep time: CPU of a `true` check, distance of each from its grid.

    tests/perf/bench health --podlike PATH --checks 100 --interval 0.25

CPU is all that the monitor and everything below it has used: the runtime's exec, the check. As root it runs itself as
an ordinary user inside contrib/rig. Ends with 1 when a bar is not met.
"""

import json
import os
import re
import statistics
import time
from datetime import datetime
from pathlib import Path

from tests.perf.common import IMAGE, add_podlike, become_user, load_image, new_engine, new_parser
from tests.support.engine import Engine, wait_for

CPU_BAR = 5.0  # ms a check
TIME_BAR = 100.0  # ms between a check and its point of the grid


def cpu_of(pid: int) -> float:
    """Seconds that a process and the children it has waited for have used."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def measure(engine: Engine, checks: int, interval: float) -> tuple[float, list[float]]:
    """(ms of CPU a check, ms by which each check was late)."""
    engine("run", "-d", "--name", "h", "--network", "none", "--health-cmd", '["CMD", "true"]', "--health-interval",
           f"{round(interval * 1000)}ms", "--health-max-log-count", "0", IMAGE, "sleep", "100000")
    info = json.loads(engine("container", "inspect", "h").stdout)[0]
    log, monitor = Path(info["StaticDir"], "healthcheck.log"), info["State"]["ConmonPid"]

    def begun() -> list[float]:
        """By words, as the document may be read while it grows."""
        return [datetime.fromisoformat(when).timestamp() for when in re.findall(r'"Start": ?"([^"]+)"', log.read_text())]

    wait_for(lambda: log.exists() and len(begun()) >= 3, "the first checks")
    before, used = len(begun()), cpu_of(monitor)
    time.sleep(checks * interval)
    after, used = len(begun()), cpu_of(monitor) - used
    # The first check runs with the start; the grid is the one that fits the others best.
    times = begun()[1:]
    offsets = [t - n * interval for n, t in enumerate(times)]
    origin = statistics.median(offsets)
    engine("rm", "-f", "-t", "0", "h")
    return used / (after - before) * 1000, [(o - origin) * 1000 for o in offsets]


def main(argv: list[str]) -> int:
    p = new_parser("health", __doc__)
    add_podlike(p)
    p.add_argument("--checks", type=int, default=100)
    p.add_argument("--interval", type=float, default=0.25, help="seconds")
    args = p.parse_args(argv)
    if os.geteuid() == 0:
        return become_user("health", args, argv)
    engine = new_engine(args.podlike)
    try:
        load_image(engine)
        cpu, late = measure(engine, args.checks, args.interval)
    finally:
        engine.destroy()
    ends = late[-5:]
    drift = statistics.median(ends) - statistics.median(late[:5])
    worst = max(map(abs, late))
    print(f"load average {os.getloadavg()[0]:.1f}; {len(late)} checks every {args.interval * 1000:.0f} ms")
    print(f"CPU of a check: {cpu:.2f} ms (bar {CPU_BAR:.0f})")
    print(f"off the grid: median {statistics.median(map(abs, late)):.2f} ms, worst {worst:.2f} ms (bar {TIME_BAR:.0f}); "
          f"from the first five to the last: {drift:+.2f} ms")
    return 0 if cpu <= CPU_BAR and worst <= TIME_BAR else 1
