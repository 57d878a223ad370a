"""Time the Quadlet generator: what every boot and every `systemctl daemon-reload` waits for.

    tests/perf/bench quadlet --generator VENV/bin/podlike-quadlet --other /usr/libexec/podman/quadlet --rounds 20

A hundred Quadlets (40 containers that depend on 40 others, 10 volumes, 9 pods and a network), written as units with links
into a tmpfs, as systemd has it. Rounds are interleaved.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from tests.perf.common import add_rounds, interleave, markdown, new_parser

BAR = 150  # milliseconds for a hundred files


def make_quadlets(directory: str) -> int:
    """Write them; returns how many."""
    def put(name: str, text: str) -> None:
        with open(f"{directory}/{name}", "w") as f:
            f.write(text)

    for i in range(40):
        body = ("[Container]\nImage=docker.io/library/nginx:latest\nEnvironment=A=b \"C=d e\"\n"
                f"PublishPort=80{i:02}:80\nVolume=data{i % 10}.volume:/data\nNetwork=net.network\nLabel=x=y\n"
                "HealthCmd=curl -f http://localhost\nExec=nginx -g \"daemon off;\"\n\n"
                "[Service]\nRestart=always\n\n[Install]\nWantedBy=default.target\n")
        put(f"web{i}.container", f"[Unit]\nDescription=Service {i}\nAfter=db{i}.container\n\n{body}")
        put(f"db{i}.container", f"[Unit]\nDescription=Service {i}\n\n{body}")
    for i in range(10):
        put(f"data{i}.volume", "[Volume]\nLabel=a=b\n")
    for i in range(9):
        put(f"pod{i}.pod", "[Pod]\nPublishPort=1:1\n")
    put("net.network", "[Network]\n")
    return len(os.listdir(directory))


def once(generator: str, source: str, out: str) -> float:
    """Milliseconds of one run."""
    shutil.rmtree(out, ignore_errors=True)
    os.mkdir(out)
    env = {"PATH": os.environ["PATH"], "QUADLET_UNIT_DIRS": source, "HOME": source}
    started = time.perf_counter()
    done = subprocess.run([generator, "-user", "-no-kmsg-log", out], env=env, capture_output=True, text=True, check=False)
    took = (time.perf_counter() - started) * 1000
    units = [name for name in os.listdir(out) if name.endswith(".service")]
    if done.returncode or len(units) != 100:
        raise SystemExit(f"{generator} ended with {done.returncode} and {len(units)} units: {done.stderr}")
    return took


def main(argv: list[str]) -> int:
    p = new_parser("quadlet", __doc__)
    p.add_argument("--generator", default=f"{os.path.dirname(sys.executable)}/podlike-quadlet")
    p.add_argument("--other", action="append", default=[], help="another one to compare with")
    add_rounds(p, 20)
    args = p.parse_args(argv)
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as top:
        os.mkdir(f"{top}/q")
        assert make_quadlets(f"{top}/q") == 100
        generators = [args.generator, *args.other]
        times = interleave(generators, args.rounds, lambda g: once(g, f"{top}/q", f"{top}/out"), warmups=0)
    rows = [(g, f"{statistics.median(found):.1f} ms ({min(found):.1f})") for g, found in zip(generators, times, strict=True)]
    print(markdown(["generator", "100 Quadlets: median (minimum)"], rows))
    slow = statistics.median(times[0]) > BAR
    if slow:
        print(f"\nslower than the bar of {BAR} ms")
    return 1 if slow else 0
