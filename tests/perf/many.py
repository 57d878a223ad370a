"""Time podlike against podman in a store of many containers.

    tests/perf/bench many --podlike PATH --rounds 15

Cases: `ps` (`ps -a`), `inspect` (of one of them), `exec` (in one more that runs), `run` (`run --rm --network none`),
`name` (`ps -a --filter name=`). All containers but one were created and never started. They are made cheaply: podman's
through its own service, podlike's by writing the record of one created container again under other ids and names, as
`create` would. Rounds are interleaved; each case has its bar, podlike's median over podman's. As root it runs itself as
an ordinary user inside contrib/rig.
"""

import argparse
import http.client
import json
import os
import platform
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.perf.images import become_user
from tests.support import oci
from tests.support.engine import Engine, wait_for

IMAGE = "localhost/podlike-bench:latest"
COMMANDS = {
    "ps": ("ps", "-a"),
    "inspect": ("inspect", "many-500"),
    "exec": ("exec", "busy", "true"),
    "run": ("run", "--rm", "--network", "none", IMAGE, "true"),
    "name": ("ps", "-a", "--filter", "name=many-500$"),
}
BARS = {"ps": 0.5, "inspect": 1.3, "exec": 0.6, "run": 0.6}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def fill_podman(engine: Engine, count: int) -> None:
    path = f"{engine.run_dir}/api"
    server = engine.popen("system", "service", "--time=0", f"unix://{path}", stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: os.path.exists(path), "podman's service")
        connection = UnixConnection(path)
        for i in range(count):
            doc = {"name": f"many-{i}", "image": IMAGE, "command": ["true"], "netns": {"nsmode": "none"}}
            connection.request("POST", "/v4.0.0/libpod/containers/create", json.dumps(doc),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 201:
                raise SystemExit(f"podman's service: {text[:300]!r}")
        connection.close()
    finally:
        server.terminate()
        server.wait()


def fill_podlike(engine: Engine, count: int) -> None:
    engine("create", "--name", "many-0", "--network", "none", IMAGE, "true")
    db = sqlite3.connect(f"{engine.data}/db.sqlite")
    cid, name, image, created, spec, state = db.execute("SELECT id, name, image, created, spec, state FROM containers").fetchone()
    for i in range(1, count):
        copy = os.urandom(32).hex()
        text = spec.replace(cid, copy).replace(f'"{name}"', f'"many-{i}"')
        db.execute("INSERT INTO containers (id, name, image, created, spec, state) VALUES (?,?,?,?,?,?)",
                   (copy, f"many-{i}", image, created + i / 1000, text, state))
    db.commit()
    db.close()


def timed(engine: Engine, args: Sequence[str]) -> float:
    started = time.perf_counter()
    pid = os.posix_spawn(engine.bin, [engine.bin, *args], engine.env, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status = os.waitpid(pid, 0)
    wall = time.perf_counter() - started
    if status:
        raise SystemExit(f"{engine.bin} {' '.join(args)} ended with {os.waitstatus_to_exitcode(status)}")
    return wall


def table(samples: dict[str, dict[str, list[float]]], labels: list[str], cases: list[str], count: int) -> str:
    rows = [["case", *labels, "ratio", "bar"], ["---"] + ["---:"] * (len(labels) + 2)]
    for case in cases:
        medians = [statistics.median(samples[label][case]) for label in labels]
        cells = [f"{m * 1000:.1f} ms ({min(samples[label][case]) * 1000:.1f})"
                 for label, m in zip(labels, medians, strict=True)]
        ratio = f"{medians[0] / medians[1]:.2f}" if len(medians) > 1 else "-"
        rows.append([f"{' '.join(COMMANDS[case])}, {count} containers", *cells, ratio, str(BARS.get(case, "-"))])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main(argv: list[str]) -> int:
    p = argparse.ArgumentParser(prog="bench many", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--podlike", default=os.environ.get("PODLIKE_BIN", "podlike"), help="the engine under test")
    p.add_argument("--podman", default="podman", help='the one to compare with; "" for none')
    p.add_argument("--count", type=int, default=1000, help="containers in the store (default 1000)")
    p.add_argument("--rounds", type=int, default=15, help="measured runs of each case and engine (default 15)")
    p.add_argument("--cases", default=",".join(COMMANDS), help=f"of: {' '.join(COMMANDS)}")
    p.add_argument("--json", metavar="FILE", help="write every sample to FILE")
    p.add_argument("--user", default="podlike-test", help="whom to become when started as root")
    args = p.parse_args(argv)
    cases = args.cases.split(",")
    if unknown := [case for case in cases if case not in COMMANDS]:
        p.error(f"no such case: {' '.join(unknown)}")
    if args.count <= 500:
        p.error("--count must be above 500: the container that is inspected is many-500")
    if os.geteuid() == 0:
        return become_user(args.user, "many", [*argv, "--podlike", shutil.which(args.podlike) or args.podlike])
    engines = {"podlike": Engine(args.podlike)}
    if args.podman:
        podman = Engine(args.podman)
        engines[f"podman {podman('--version').line.split()[-1]}"] = podman
    samples: dict[str, dict[str, list[float]]] = {label: {case: [] for case in cases} for label in engines}
    try:
        for engine in engines.values():
            oci.write_oci_archive(f"{engine.dir}/image.tar", {IMAGE: oci.busybox_image()})
            engine("load", "-i", f"{engine.dir}/image.tar")
            (fill_podman if engine.is_podman else fill_podlike)(engine, args.count)
            engine("run", "-d", "--name", "busy", "--network", "none", IMAGE, "sleep", "100000")
        for case in cases:
            print(f"{case} ...", file=sys.stderr, flush=True)
            order = list(engines)
            for i in range(-1, args.rounds):  # the first round warms up
                for label in order[i % len(order):] + order[:i % len(order)]:
                    wall = timed(engines[label], COMMANDS[case])
                    if i >= 0:
                        samples[label][case].append(wall)
        print(table(samples, list(engines), cases, args.count), flush=True)
        print(f"{time.strftime('%Y-%m-%d')}, Linux {platform.release()}, {os.cpu_count()} CPUs, Python "
              f"{platform.python_version()}; {args.rounds} rounds, interleaved; medians, minima in brackets", flush=True)
        if args.json:
            Path(args.json).write_text(json.dumps(samples, indent=1))
    finally:
        for engine in engines.values():
            engine.destroy()
    return 0
