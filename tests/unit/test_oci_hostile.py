"""Image configurations and seccomp profiles are written by strangers: whatever they hold, one clear error or
a result."""

import json
import random
from typing import Any

import pytest

from podlike.errors import PodlikeError
from podlike.runtime import hostfacts
from podlike.spec import seccomp, users
from podlike.spec.container import ContainerSpec
from podlike.spec.oci import HostFacts, build
from podlike.spec.resolve import resolve

ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    "",
    "x",
    "a=b",
    "=",
    "/../..",
    "²",
    "9" * 50,
    [],
    [None],
    ["a=b", 5],
    {},
    {"a": None},
    {"/x": {}},
    {"caps": ["CAP_X"]},
    {"minKernel": "4.8"},
    {"minKernel": "²"},
    [{}],
    [[]],
]
IMAGE_KEYS = (
    "Env",
    "Cmd",
    "Entrypoint",
    "User",
    "WorkingDir",
    "Labels",
    "Volumes",
    "ExposedPorts",
    "StopSignal",
)
PROFILE_KEYS = ("defaultAction", "defaultErrno", "defaultErrnoRet", "architectures", "archMap", "syscalls")
RULE_KEYS = ("name", "names", "action", "args", "errno", "errnoRet", "includes", "excludes")


def some(rng: random.Random, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: rng.choice(ODD) for key in keys if rng.random() < 0.6}


@pytest.mark.parametrize("seed", range(300))
def test_image_config(seed: int) -> None:
    rng = random.Random(seed)
    config: Any = {"config": some(rng, IMAGE_KEYS)} if seed % 10 else rng.choice(ODD)
    try:
        spec = resolve(ContainerSpec(), config, name="n", cid="c" * 64, host_env={})
        user = users.resolve(spec.user, passwd="root:x:0:0::/root:", group="")
        doc = build(spec, cid="c" * 64, rootfs="/r", user=user, host=HostFacts("h"), rootless=True)
    except PodlikeError as e:
        assert e.message and "\n" not in e.message
    else:
        json.dumps(doc)
        assert doc["process"]["args"] and doc["process"]["cwd"].startswith("/")
        assert all(isinstance(a, str) for a in doc["process"]["args"])


@pytest.mark.parametrize("seed", range(300))
def test_seccomp_profile(seed: int) -> None:
    rng = random.Random(seed)
    doc: dict[str, Any] = some(rng, PROFILE_KEYS)
    doc["defaultAction"] = "SCMP_ACT_ERRNO"
    doc["syscalls"] = [
        {"action": "SCMP_ACT_ALLOW", "names": ["read"], **some(rng, RULE_KEYS)} for _ in range(2)
    ]
    try:
        out = seccomp.from_profile(doc, caps=("CAP_X",), arch="x86_64", kernel=(6, 1))
    except PodlikeError as e:
        assert e.message.startswith("loading seccomp profile failed: ")
    else:
        json.dumps(out)


def test_host_facts_are_those_of_this_process() -> None:
    facts = hostfacts.gather()
    assert facts.hostname and facts.kernel >= (4, 0)
    assert all(0 <= soft <= hard for soft, hard in facts.limits.values()) and "nofile" in facts.limits
    assert "/dev/null" in {d.source for d in hostfacts.all_devices()}
    null = hostfacts.device_node("/dev/null", "/dev/null")
    assert (null.kind, null.major, null.minor) == ("c", 1, 3)
    with pytest.raises(ValueError, match="/etc is not a valid device"):
        hostfacts.device_node("/etc", "/etc")
    with pytest.raises(FileNotFoundError):
        hostfacts.bound_path("/nonexistent", "/x", [])


@pytest.mark.parametrize(
    ("release", "expected"), [("6.1.0-13-amd64", (6, 1)), ("6.9+", (6, 9)), ("5.15", (5, 15)), ("7", (7, 0))]
)
def test_kernel_release(release: str, expected: tuple[int, int]) -> None:
    assert hostfacts._kernel(release) == expected
