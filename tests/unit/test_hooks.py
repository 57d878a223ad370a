"""OCI hook files: what they say, for whom, in which order."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from podlike.engine.core import Engine
from podlike.engine.hooks import hooks_of
from podlike.errors import ConfigError
from podlike.paths import Roots
from podlike.spec.container import ContainerSpec, Mount
from podlike.spec.hooks import parse_hook_file


def doc(when: dict[str, Any] | None = None, *, stages: Any = ("prestart",), **hook: Any) -> dict[str, Any]:
    return {"version": "1.0.0", "hook": {"path": "/h", **hook}, "when": {"always": True} if when is None else when,
            "stages": list(stages)}


@pytest.mark.parametrize(("when", "wanted"), [
    ({"always": True}, True),
    ({"always": False}, False),
    ({}, False),
    ({"commands": ["sh$"]}, True),
    ({"commands": ["bash$", "^/bin/"]}, True),
    ({"commands": ["bash$"]}, False),
    ({"annotations": {"^a$": "1"}}, True),
    ({"annotations": {"^a$": "1", "^b$": "."}}, False),
    ({"annotations": {"^a$": "2"}}, False),
    ({"hasBindMounts": True}, True),
    ({"hasBindMounts": False}, False),
    ({"always": True, "commands": ["bash$"]}, False),
    ({"commands": ["sh"], "annotations": {"a": "1"}}, True),
])
def test_when(when: dict[str, Any], wanted: bool) -> None:
    file = parse_hook_file(doc(when), "x")
    assert file.wants(command="/bin/sh", annotations={"a": "1"}, bind_mounts=True) is wanted


@pytest.mark.parametrize(("bad", "words"), [
    ([], "x: document: expected an object"),
    ({"version": "0.1.0"}, "version: '0.1.0' is not 1.0.0"),
    ({"version": "1.0.0"}, "hook: expected an object"),
    (doc(path="relative"), "hook.path: expected an absolute path"),
    (doc(stages=["later"]), "unknown stage 'later'"),
    ({**doc(), "stages": "prestart"}, "stages: expected a list of strings"),
    (doc({"always": "yes"}), "when.always: expected true or false"),
    (doc({"commands": ["("]}), "when: '('"),
    (doc({"annotations": {"a": 1}}), "when: expected regular expressions"),
])
def test_bad_files(bad: Any, words: str) -> None:
    with pytest.raises(ConfigError) as e:
        parse_hook_file(bad, "x")
    assert words in e.value.message and e.value.hint


def test_directories(tmp_path: Path) -> None:
    engine = Engine(roots=Roots(data=str(tmp_path), run=str(tmp_path)))
    one, two = tmp_path / "one", tmp_path / "two"
    for directory, name, text in ((one, "20-b.json", doc(path="/b", stages=("prestart", "poststop"))),
                                  (one, "10-a.json", doc(path="/a", args=["a", "1"])), (one, "README", {}),
                                  (two, "20-b.json", doc(path="/other", unknown=1))):
        directory.mkdir(exist_ok=True)
        (directory / name).write_text(json.dumps(text))
    spec = ContainerSpec(args=["x"], mounts=[Mount(type="bind", source="/", target="/x")])

    def found(*directories: object) -> dict[str, list[dict[str, Any]]]:
        spec.hooks_dirs = [str(d) for d in directories]
        return hooks_of(engine, spec)

    assert found(one) == {"prestart": [{"path": "/a", "args": ["a", "1"]}, {"path": "/b"}], "poststop": [{"path": "/b"}]}
    assert found(one, two) == {"prestart": [{"path": "/a", "args": ["a", "1"]}, {"path": "/other"}]}
    assert found(tmp_path / "none") == {}
    (two / "bad.json").write_text("{")
    with pytest.raises(ConfigError, match="bad.json"):
        found(two)
    os.unlink(two / "bad.json")
