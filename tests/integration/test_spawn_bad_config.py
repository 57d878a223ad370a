"""Every malformed, oversized or contradictory config.json: one sentence that names the place, and nothing left behind."""

import copy
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.box import Box

TABLE = os.path.join(os.path.dirname(__file__), "data", "bad_config.tsv")


def rows() -> list[tuple[str, str, str]]:
    with open(TABLE, encoding="utf-8") as f:
        lines = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
    return [(where, value, words) for where, value, words in lines]


def put(spec: dict[str, Any], where: str, value: str) -> None:
    *way, last = where.split(".")
    for key in way:
        spec = spec[key]
    if value == "-":
        del spec[last]
    else:
        spec[last] = json.loads(value)


def refuse(box: Box, words: str) -> None:
    """create fails with this one line, and leaves no state."""
    p = box("create", "-b", box.bundle, "c")
    assert p.returncode != 0 and p.stdout == ""
    assert p.stderr.replace(box.dir, "DIR") == words + "\n"
    assert not os.path.exists(box.root) or [n for n in os.listdir(box.root) if n != ".cache"] == []


FIELDS = sorted({where for where, _, _ in rows()})


def test_the_table_is_long() -> None:
    assert len(rows()) >= 350 and len(FIELDS) >= 35


@pytest.mark.parametrize("field", FIELDS)
def test_refused(box: Box, field: str) -> None:
    base = copy.deepcopy(box.spec)
    for where, value, words in rows():
        if where == field:
            box.spec = copy.deepcopy(base)
            put(box.spec, where, value)
            box.write()
            refuse(box, words)


def many_mappings(spec: dict[str, Any]) -> None:
    spec["linux"]["uidMappings"] = [{"containerID": i, "hostID": i, "size": 1} for i in range(341)]


def long_options(spec: dict[str, Any]) -> None:
    spec["mounts"] = [{"destination": "/m", "type": "tmpfs", "options": ["x" * 5000]}]


def long_sysctl(spec: dict[str, Any]) -> None:
    spec["linux"]["sysctl"] = {"net." + "x" * 60 + "/" + "y" * 300: "1"}


def many_conditions(spec: dict[str, Any]) -> None:
    args = [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}] * 33
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": args}
    spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


@pytest.mark.parametrize(
    ("change", "start", "end"),
    [
        (many_mappings, "linux.uidMappings: 341 mappings, ", "the kernel takes 340"),
        (long_options, "mounts[0].options: longer than 4095 bytes", ", which is all that mount(2) reads"),
        (long_sysctl, "linux.sysctl.net.xxxxx", ": not the name of a sysctl"),
        (many_conditions, "linux.seccomp.syscalls[0].args: ", "more than 32 conditions"),
    ],
)
def test_too_much(box: Box, change: Callable[[dict[str, Any]], None], start: str, end: str) -> None:
    change(box.spec)
    p = box.run("true")
    assert p.returncode == 1 and p.stderr.startswith(start) and p.stderr.endswith(end + "\n") and p.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "parse `DIR/bundle/config.json`: document ends too early at byte 0"),
        (b"{", "parse `DIR/bundle/config.json`: document ends too early at byte 1"),
        (b'{"ociVersion": "1.0.2"', "parse `DIR/bundle/config.json`: document ends too early at byte 22"),
        (b"null\n", "parse `DIR/bundle/config.json`: the document is not an object"),
        (b"[1]", "parse `DIR/bundle/config.json`: the document is not an object"),
        (b"{a: 1}", "parse `DIR/bundle/config.json`: quoted object property name expected at byte 1"),
        (b'{"a": 1}\n}', "parse `DIR/bundle/config.json`: there is more after the document, at byte 9"),
        (b'{"a": 1}\0', "parse `DIR/bundle/config.json`: there is more after the document, at byte 8"),
        (b"\x7fELF\0\0", "parse `DIR/bundle/config.json`: unexpected character at byte 0"),
        (b'{"a": ' + b"[" * 100000, "parse `DIR/bundle/config.json`: nesting too deep at byte 69"),
        (b'{"x\\u0000y": 1}', 'parse `DIR/bundle/config.json`: what is at byte 1 ("x\\u0000y") holds a zero byte'),
        (b'{"n": 99999999999999999999}', 'parse `DIR/bundle/config.json`: what is at byte 6 ("n") is too large'),
    ],
)
def test_no_document(box: Box, text: bytes, words: str) -> None:
    with open(f"{box.bundle}/config.json", "wb") as f:
        f.write(text)
    refuse(box, words)


def test_document_that_is_no_file_or_has_no_end(box: Box) -> None:
    path = f"{box.bundle}/config.json"
    refuse(box, "open `DIR/bundle/config.json`: No such file or directory")
    os.mkdir(path)
    refuse(box, "open `DIR/bundle/config.json`: Is a directory")
    os.rmdir(path)
    os.symlink("/dev/zero", path)
    refuse(box, "open `DIR/bundle/config.json`: File too large")
    os.unlink(path)
    with open(path, "wb") as f:
        f.truncate(1 << 40)
    refuse(box, "open `DIR/bundle/config.json`: File too large")


def test_unknown_fields_are_ignored(box: Box) -> None:
    """config.md, "Extensibility"."""
    more: Any = {"new": [1, {"x": None}]}
    box.spec.update(future=more, solaris=more, windows=more, vm=more)
    box.spec["process"].update(future=more, commandLine="x")
    box.spec["process"]["user"].update(future=more, username="x")
    box.spec["linux"].update(future=more)
    box.spec["mounts"][0].update(future=more)
    box.spec["root"].update(future=more)
    box.spec["linux"]["namespaces"][0].update(future=more)
    assert box.sh("echo fine") == "fine\n"


def test_null_is_absent(box: Box) -> None:
    """As Go's encoder writes what is not there."""
    box.spec.update(hooks=None, annotations=None, domainname=None)
    box.spec["process"].update(rlimits=None, scheduler=None, ioPriority=None, execCPUAffinity=None, apparmorProfile=None)
    box.spec["linux"].update(
        uidMappings=None, devices=None, netDevices=None, seccomp=None, intelRdt=None, memoryPolicy=None, sysctl=None
    )
    box.spec["mounts"][0].update(uidMappings=None, gidMappings=None)
    assert box.sh("echo fine") == "fine\n"
