"""Time podlike against podman in a store of many containers.

    tests/perf/bench many --podlike PATH --rounds 15

Cases: `ps` (`ps -a`), `inspect` (of one of them), `exec` (in one more that runs), `run` (`run --rm --network none`),
`name` (`ps -a --filter name=`). All containers but one were created and never started. They are made cheaply: podman's
through its own service, podlike's by writing the record of one created container again under other ids and names, as
`create` would. Rounds are interleaved; each case has its bar, podlike's median over podman's. As root it runs itself as
an ordinary user inside contrib/rig.
"""

import http.client
import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
from functools import partial
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
    label_of,
    load_image,
    markdown,
    new_engine,
    new_parser,
    timed,
)
from tests.support.engine import Engine, wait_for

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


def run(case: str, engine: Engine) -> float:
    return timed(engine, *COMMANDS[case]).wall


def table(samples: dict[str, dict[str, list[float]]], labels: list[str], cases: list[str], count: int) -> str:
    rows = []
    for case in cases:
        medians = [statistics.median(samples[label][case]) for label in labels]
        cells = [f"{m * 1000:.1f} ms ({min(samples[label][case]) * 1000:.1f})"
                 for label, m in zip(labels, medians, strict=True)]
        ratio = f"{medians[0] / medians[1]:.2f}" if len(medians) > 1 else "-"
        rows.append([f"{' '.join(COMMANDS[case])}, {count} containers", *cells, ratio, str(BARS.get(case, "-"))])
    return markdown(["case", *labels, "ratio", "bar"], rows)


def main(argv: list[str]) -> int:
    p = new_parser("many", __doc__)
    add_podlike(p)
    add_podman(p, optional=True)
    p.add_argument("--count", type=int, default=1000, help="containers in the store (default 1000)")
    add_rounds(p, 15)
    add_cases(p, COMMANDS)
    p.add_argument("--json", metavar="FILE", help="write every sample to FILE")
    args = p.parse_args(argv)
    cases = chosen(p, args.cases, COMMANDS)
    if args.count <= 500:
        p.error("--count must be above 500: the container that is inspected is many-500")
    if os.geteuid() == 0:
        return become_user("many", args, argv)
    engines = [new_engine(path) for path in (args.podlike, args.podman) if path]
    samples: dict[str, dict[str, list[float]]] = {label_of(engine): {} for engine in engines}
    try:
        for engine in engines:
            load_image(engine)
            (fill_podman if engine.is_podman else fill_podlike)(engine, args.count)
            engine("run", "-d", "--name", "busy", "--network", "none", IMAGE, "sleep", "100000")
        for case in cases:
            print(f"{case} ...", file=sys.stderr, flush=True)
            for engine, found in zip(engines, interleave(engines, args.rounds, partial(run, case)), strict=True):
                samples[label_of(engine)][case] = found
        print(table(samples, [*samples], cases, args.count), flush=True)
        print(footer(args.rounds), flush=True)
        if args.json:
            Path(args.json).write_text(json.dumps(samples, indent=1))
    finally:
        for engine in engines:
            engine.destroy()
    return 0
