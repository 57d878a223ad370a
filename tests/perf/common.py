"""What the benchmarks share: their options, the ordinary user, engines, rounds, memory of processes, tables."""

import argparse
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.support import oci
from tests.support.engine import Engine

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IMAGE = "localhost/podlike-bench:latest"  # busybox, by load_image
LOOK = 0.01  # seconds between two looks at the memory of a command

Side = TypeVar("Side")
Value = TypeVar("Value")


class Sample(NamedTuple):
    """One run of a command."""

    wall: float  # seconds
    cpu: float  # seconds of the command and the children it waited for


# --- the command line ---

def new_parser(name: str, doc: str | None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"bench {name}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_podlike(p: argparse.ArgumentParser) -> None:
    """--podlike, and --user, whom become_user becomes."""
    p.add_argument("--podlike", default=os.environ.get("PODLIKE_BIN", "podlike"), metavar="PATH",
                   help="the engine under test (default: $PODLIKE_BIN, or PATH)")
    add_user(p)


def add_user(p: argparse.ArgumentParser) -> None:
    p.add_argument("--user", default=os.environ.get("PODLIKE_TEST_USER", "podlike-test"),
                   help="the ordinary user that root becomes (default: $PODLIKE_TEST_USER, or podlike-test)")


def add_podman(p: argparse.ArgumentParser, *, optional: bool = False) -> None:
    p.add_argument("--podman", default="podman", metavar="PATH",
                   help="the one to compare with (default: on PATH)" + ('; "" for none' if optional else ""))


def add_rounds(p: argparse.ArgumentParser, rounds: int) -> None:
    p.add_argument("--rounds", type=int, default=rounds, help=f"measured runs of each case and side (default {rounds})")


def add_cases(p: argparse.ArgumentParser, cases: Iterable[str], option: str = "--cases") -> None:
    known = list(cases)
    p.add_argument(option, default=",".join(known), help=f"of: {' '.join(known)}")


def chosen(p: argparse.ArgumentParser, given: str, known: Iterable[str]) -> list[str]:
    """The words of an option of add_cases; a word that is not known ends the program."""
    cases, there = given.split(","), list(known)
    if unknown := [case for case in cases if case not in there]:
        p.error(f"unknown: {' '.join(unknown)}; there are {' '.join(there)}")
    return cases


# --- who runs it ---

@contextmanager
def readable_copy(*names: str) -> Iterator[str]:
    """A copy of these directories of the checkout, where every user can read it."""
    with tempfile.TemporaryDirectory(prefix="podlike-bench-", dir="/var/tmp") as d:
        os.chmod(d, 0o755)
        for name in names:
            shutil.copytree(f"{REPO}/{name}", f"{d}/{name}", ignore=shutil.ignore_patterns("__pycache__", "libexec"))
        yield d


def bench_argv(copy: str, name: str) -> list[str]:
    """The start of the command line of one benchmark of a copy."""
    return ["/usr/bin/python3", "-B", f"{copy}/tests/perf/bench", name]


def in_rig(user: str, argv: Sequence[str]) -> list[str]:
    """The command line that runs argv as user in contrib/rig: a cgroup subtree of its own, a runtime directory."""
    return [f"{REPO}/contrib/rig", "-u", user, "-c", "/", "--", *argv]


def become_user(name: str, args: argparse.Namespace, argv: list[str]) -> int:
    """Run this benchmark again, as the ordinary user of add_podlike; returns its exit code."""
    podlike = shutil.which(args.podlike) or args.podlike
    with readable_copy("tests") as copy:
        again = [*bench_argv(copy, name), *argv, "--podlike", podlike]
        return subprocess.run(in_rig(args.user, again), check=False).returncode


# --- engines ---

def new_engine(binary: str) -> Engine:
    """An engine with storage of its own; podman's takes images without a signature."""
    engine = Engine(binary)
    if engine.is_podman:
        conf = Path(engine.home, ".config/containers")
        conf.mkdir(parents=True)
        (conf / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    return engine


def label_of(engine: Engine) -> str:
    """The head of its column."""
    return f"podman {engine('--version').line.split()[-1]}" if engine.is_podman else "podlike"


def load_image(engine: Engine) -> None:
    """IMAGE, from an archive made here."""
    archive = f"{engine.dir}/image.tar"
    oci.write_oci_archive(archive, {IMAGE: oci.busybox_image()})
    engine("load", "-q", "-i", archive)


# --- time ---

def cpu_of_children() -> float:
    """Seconds that the children waited for have used so far."""
    now = os.times()
    return now.children_user + now.children_system


def timed(engine: Engine, *args: str) -> Sample:
    """Run a command once, without its output; a failure ends the benchmark, for its time means nothing."""
    before = cpu_of_children()
    started = time.perf_counter()
    pid = os.posix_spawn(engine.bin, [engine.bin, *args], engine.env, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status = os.waitpid(pid, 0)
    wall = time.perf_counter() - started
    if status:
        raise SystemExit(f"{engine.bin} {' '.join(args)} ended with {os.waitstatus_to_exitcode(status)}")
    return Sample(wall, cpu_of_children() - before)


def interleave(sides: Sequence[Side], rounds: int, measure: Callable[[Side], Value], *, warmups: int = 1) -> list[list[Value]]:
    """What measure returned for each side, in as many rounds; before them, so many rounds that do not count.

    Each round has all sides and begins with another one, so that a busy moment of the machine hits all alike.
    """
    samples: list[list[Value]] = [[] for _ in sides]
    for n in range(-warmups, rounds):
        for i in range(n, n + len(sides)):
            value = measure(sides[i % len(sides)])
            if n >= 0:
                samples[i % len(sides)].append(value)
    return samples


# --- memory ---

def pss(pid: int) -> int:
    """Proportional set size in KiB, by smaps_rollup(5). Raises OSError: it has ended, or belongs to somebody else."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    raise ProcessLookupError(f"{pid} has no memory any more")


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for here in found:
        try:
            for task in os.listdir(f"/proc/{here}/task"):
                with open(f"/proc/{here}/task/{task}/children") as f:
                    found += map(int, f.read().split())
        except OSError:
            continue
    return found


def peak_memory(argv: Sequence[str], env: Mapping[str, str]) -> float:
    """MiB: the most that a command and all that it starts had at once, by looks at their PSS."""
    most = 0
    with subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL) as p:
        while p.poll() is None:
            most = max(most, sum(map(_share, family(p.pid))))
            time.sleep(LOOK)
    return most / 1024


def _share(pid: int) -> int:
    try:
        return pss(pid)
    except OSError:
        return 0


# --- what is printed ---

def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """A table; left: how many columns hold words, not figures."""
    lines = [heads, ["---"] * left + ["---:"] * (len(heads) - left), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """The day, and what it was measured on."""
    return f"{time.strftime('%Y-%m-%d')}, Linux {platform.release()}, {os.cpu_count()} CPUs"


def footer(rounds: int) -> str:
    """The line below a table of medians and minima of Python programs."""
    return f"{machine()}, Python {platform.python_version()}; {rounds} rounds, interleaved; medians, minima in brackets"
