"""Limits that cannot be had: refused with nothing left, or left out and told; --cgroups=split in a subtree of one's own."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine, wait_for
from tests.support.need import need

ROOT = "/sys/fs/cgroup"
QUIET = ("--network", "none")
# No kernel has it.
NOSUCH = ("--cgroup-conf", "nosuch.max=5")


def inspect(podlike: Engine, name: str) -> dict[str, Any]:
    doc: dict[str, Any] = json.loads(podlike("container", "inspect", name).stdout)[0]
    return doc


def cgroup_of(pid: int | str) -> str:
    with open(f"/proc/{pid}/cgroup") as f:
        return f.read().rpartition("0::")[2].strip()


@pytest.mark.parametrize(("flags", "words", "remedy"), [
    (NOSUCH, "set --cgroup-conf nosuch.max: the requested cgroup controller `nosuch` is not available in ", ""),
    (("--memory-swappiness", "5"), "set --memory-swappiness: cannot set memory swappiness with cgroupv2", ""),
    (("--oom-kill-disable",), "set --oom-kill-disable: cannot disable OOM killer with cgroupv2", ""),
    (("--cgroups=disabled", "--blkio-weight=100"), "resource limits when cgroups are disabled: --blkio-weight", None),
    (("--device-write-bps", "/dev/null:1mb"), "/dev/null: not a block device", None),
    (("--device-write-bps", "/dev/nosuch:1mb"), "stat /dev/nosuch: no such file", None),
    (("--cgroups=split", "--cgroup-parent=/x"), "cannot specify --cgroup-mode=split with a cgroup-parent", None),
    (("--limits=perhaps",), 'invalid --limits "perhaps"', None),
])
def test_refused_before_anything_is_made(podlike: Engine, image: str, name: str, flags: tuple[str, ...], words: str,
                                         remedy: str | None) -> None:
    for verb in ("run", "create"):
        refused = podlike(verb, "--name", name, *QUIET, *flags, image, "true", check=False)
        assert refused.code == 125 and words in refused.stderr, refused.stderr
        assert remedy is None or "use --limits=best-effort" in refused.stderr
        assert podlike("container", "exists", name, check=False).code == 1


def test_best_effort_is_told_once_and_recorded(podlike: Engine, image: str, name: str) -> None:
    flags = ("--limits=best-effort", *NOSUCH, "--memory-swappiness=5")
    made = podlike("create", "--name", name, *QUIET, *flags, image, "sleep", "99")
    assert made.stderr.count("level=warning") == 2 and "controller `nosuch` is not available" in made.stderr
    before = inspect(podlike, name)["State"]["LimitWarnings"]
    assert [words.partition(":")[0] for words in before] == ["set --cgroup-conf nosuch.max", "set --memory-swappiness"]
    assert podlike("start", name).stderr == ""
    now = inspect(podlike, name)
    assert now["State"]["LimitWarnings"] == before
    assert (now["HostConfig"]["CgroupConf"], now["HostConfig"]["MemorySwappiness"]) == ({"nosuch.max": "5"}, 5)
    refused = podlike("update", "--limits=strict", "--cpus=1", name, check=False)
    assert refused.code == 125 and inspect(podlike, name)["State"]["LimitWarnings"] == before


def test_best_effort_by_configuration(podlike: Engine, image: str, name: str, tmp_path: Any) -> None:
    conf = tmp_path / "containers.conf"
    conf.write_text('[podlike]\nlimits = "best-effort"\n')
    env = {"CONTAINERS_CONF_OVERRIDE": str(conf)}
    assert "going on without" in podlike("run", "--rm", *QUIET, "--oom-kill-disable", image, "true", env=env).stderr
    assert podlike("run", "--limits=strict", *QUIET, "--oom-kill-disable", image, "true", env=env, check=False).code == 125


def test_realtime_is_podmans_warning(podlike: Engine, image: str, name: str) -> None:
    done = podlike("create", "--name", name, "--cpu-rt-period=5", "--cpu-rt-runtime=6", image)
    assert "Realtime period not supported on cgroups V2 systems" in done.stderr
    assert "Realtime runtime not supported on cgroups V2 systems" in done.stderr
    assert inspect(podlike, name)["HostConfig"]["CpuRealtimePeriod"] == 0


def test_huge_pages(podlike: Engine, image: str, name: str) -> None:
    flags = ("--name", name, *QUIET, "--cgroup-conf", "hugetlb.2MB.max=4194304")
    done = podlike("run", "-d", *flags, image, "sleep", "99", check=False)
    need("controller `hugetlb` is not available" not in done.stderr, "no hugetlb controller", optional=True)
    assert podlike("exec", name, "cat", "/sys/fs/cgroup/hugetlb.2MB.max").line == "4194304"


@pytest.fixture
def unit() -> Iterator[str]:
    """A cgroup beside ours, as a service has one."""
    own = cgroup_of("self")
    path = f"{os.path.dirname(own)}/plt-unit-{os.getpid()}"
    try:
        os.mkdir(ROOT + path)
    except OSError:
        need(False, "no cgroup is delegated to us", optional=True)
    yield path
    for part in (f"{ROOT}{path}/runtime", ROOT + path):
        if os.path.exists(part):
            wait_for(lambda part=part: not Path(part, "cgroup.procs").read_text(), "an empty cgroup")
            os.rmdir(part)


def test_split(podlike: Engine, image: str, name: str, unit: str) -> None:
    script = f'echo $$ > {ROOT}{unit}/cgroup.procs && {podlike.bin} "$@"'  # the shell is in it as well
    argv = ["sh", "-c", script, "sh", "run", "-d", "--name", name, *QUIET, "--cgroups=split", image, "sleep", "99"]
    subprocess.run(argv, env=podlike.env, check=True, capture_output=True, timeout=120)
    now = inspect(podlike, name)
    assert cgroup_of(now["State"]["Pid"]) == now["State"]["CgroupPath"] == f"{unit}/podlike-payload-{now['Id']}"
    assert cgroup_of(now["State"]["ConmonPid"]) == f"{unit}/runtime"
    assert now["HostConfig"]["Cgroups"] == "split"
    podlike("exec", name, "true")
    podlike("rm", "-f", "-t", "0", name)
    assert not os.path.exists(ROOT + now["State"]["CgroupPath"])
