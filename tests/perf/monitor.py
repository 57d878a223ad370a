"""Time podlike-conmon against other monitors: same container, same moment. Any user may run it.

The container is a plain process (tests/support/fake_runtime.py starts it), so that nothing but the monitor is measured.
Rounds are interleaved; ratios of medians are what to look at.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from podlike.paths import libexec
from tests.perf.common import add_cases, add_rounds, chosen, interleave, machine, markdown, new_parser, pss
from tests.support.conmon import CID, Monitor, alive, read_text, until

LINE = b"0123456789" * 7 + b"some text"  # 80 bytes with its newline
IDLE = 20  # monitors whose memory is averaged
TRIPS = 1000  # there and back in one round
SETTLED = 3.0  # seconds after which a monitor has nothing more to do


class Case(NamedTuple):
    """measure: one round with one monitor in a directory. smaller: the smaller figure is the better one."""

    title: str
    unit: str
    measure: "Callable[[str, str, argparse.Namespace], float]"
    smaller: bool


def throughput(conmon: str, top: str, args: argparse.Namespace, log: str) -> float:
    """MB/s of 80-byte lines, from the container's start to its exit file."""
    m = Monitor(conmon, top)
    m.spec("cat", args.data, wait=True)
    m.start("--no-sync-log", log=log.format(m.log))
    m.pid = m.report()["data"]
    started = time.perf_counter()
    m.go()
    until(lambda: read_text(f"{m.exits}/{CID}"), "exit file", 300)
    seconds = time.perf_counter() - started
    m.gone()
    return float(args.mb / seconds)


def to_file(conmon: str, top: str, args: argparse.Namespace) -> float:
    return throughput(conmon, top, args, "k8s-file:{}")


def to_none(conmon: str, top: str, args: argparse.Namespace) -> float:
    return throughput(conmon, top, args, "none")


def round_trip(conmon: str, top: str, args: argparse.Namespace) -> float:
    """Median of many, in microseconds: a byte to `cat` and back, over the attach socket."""
    m = Monitor(conmon, top)
    m.spec("cat")
    m.start("-i", log="none")
    m.pid = m.report()["data"]
    times = []
    with m.attach() as s:
        for _ in range(TRIPS):
            started = time.perf_counter()
            s.send(b"x")
            s.recv(100)
            times.append(time.perf_counter() - started)
        s.shutdown(socket.SHUT_WR)
        while s.recv(100):
            pass
    m.gone()
    return statistics.median(times) * 1e6


def idle_memory(conmon: str, top: str, args: argparse.Namespace) -> float:
    """Proportional set size of one of many, KiB."""
    monitors = [Monitor(conmon, top, f"b{i}") for i in range(IDLE)]
    try:
        for m in monitors:
            m.spec("sleep", "1000")
            m.start()
            m.pid = m.report()["data"]
        time.sleep(SETTLED)
        return statistics.mean(pss(m.monitor_pid) for m in monitors)
    finally:
        for m in monitors:
            m.kill()
            until(lambda pid=m.monitor_pid: not alive(pid), "monitor ends")  # type: ignore[misc]


CASES = {
    "pss": Case("memory of an idle monitor (PSS)", "KiB", idle_memory, True),
    "file": Case("80-byte lines to a k8s-file", "MB/s", to_file, False),
    "none": Case("the same with no log", "MB/s", to_none, False),
    "attach": Case("attach round trip, median", "us", round_trip, True),
}


def measure(case: Case, conmon: str, args: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory(prefix="plm-", dir=args.dir) as top:
        return case.measure(conmon, top, args)


def make_data(args: argparse.Namespace) -> None:
    block = (LINE + b"\n") * 12500  # 1 MB
    with open(args.data, "wb") as f:
        for _ in range(args.mb):
            f.write(block)


def described(path: str) -> str:
    return subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]


def row(case: Case, monitors: Sequence[str], args: argparse.Namespace) -> list[str]:
    """A row of the table."""
    samples = interleave(monitors, args.rounds, lambda conmon: measure(case, conmon, args))
    ours, theirs = (statistics.median(s) for s in samples)
    best = [(min if case.smaller else max)(s) for s in samples]
    cells = [f"{m:.0f} {case.unit} ({b:.0f})" for m, b in zip((ours, theirs), best, strict=True)]
    return [case.title, *cells, f"{ours / theirs:.2f} ({best[0] / best[1]:.2f})"]


def main(argv: list[str]) -> int:
    p = new_parser("monitor", __doc__)
    p.add_argument("--monitor", default=libexec("podlike-conmon"), help="ours (default: the installed one)")
    p.add_argument("--conmon", default=shutil.which("conmon"), help="the one to compare with (default: on PATH)")
    add_rounds(p, 7)
    p.add_argument("--mb", type=int, default=200, help="output of one round, MB (default 200)")
    p.add_argument("--dir", default="/dev/shm", help="where logs are written (default: memory, so that no disk is measured)")
    add_cases(p, CASES)
    args = p.parse_args(argv)
    cases = [CASES[name] for name in chosen(p, args.cases, CASES)]
    if not args.conmon:
        p.error("no conmon on PATH: give --conmon")
    monitors = (args.monitor, args.conmon)
    rows = []
    with tempfile.TemporaryDirectory(prefix="plm-", dir=args.dir) as top:
        args.data = f"{top}/data"
        make_data(args)
        for case in cases:
            print(f"{case.title} ...", file=sys.stderr, flush=True)
            rows.append(row(case, monitors, args))
    print(markdown(["case", "podlike-conmon", "conmon", "podlike-conmon / conmon"], rows))
    print(f"\n- {machine()}; {args.rounds} rounds, interleaved; medians, the best in brackets")
    for path in monitors:
        print(f"- {path}: {described(path)}, {os.path.getsize(path) / 1024:.0f} KiB")
    return 0
