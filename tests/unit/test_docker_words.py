"""What is said, and with which code, when called as docker."""

import pytest

from podlike.cli.dockershape import version, version_lines
from podlike.cli.dockerwords import code_of, daemon_words, text_of
from podlike.errors import CannotExecuteError, ConflictError, InUseError, NotFoundError, PodlikeError, UsageError


@pytest.mark.parametrize(("message", "words"), [
    ('no container with name or ID "x" found: no such container', "Error response from daemon: No such container: x"),
    ('no container with ID or name "x" found: no such container', "Error response from daemon: No such container: x"),
    ('no such container "x"', "Error response from daemon: No such container: x"),
    ("x: image not known", "Error response from daemon: No such image: x:latest"),
    ("host:5000/x: image not known", "Error response from daemon: No such image: host:5000/x:latest"),
    ("x:1: image not known", "Error response from daemon: No such image: x:1"),
    ("No such image: x:1", "Error response from daemon: No such image: x:1"),
    ('no volume with name "v" found: no such volume', "Error response from daemon: get v: no such volume"),
    ("no command or entrypoint provided", "no command or entrypoint provided"),
    ("anything else", "anything else"),
])
def test_words_of_the_daemon(message: str, words: str) -> None:
    assert daemon_words(message) == words


def test_a_name_in_use() -> None:
    said = daemon_words('creating container storage: the container name "web" is already in use by abc. Yo')
    assert said.startswith(
        'Error response from daemon: Conflict. The container name "/web" is already in use by container "abc".')


@pytest.mark.parametrize(("error", "command", "code"), [
    (UsageError("unknown flag: --x\nSee 'docker ps --help'"), "ps", 125),
    (UsageError("requires at least 1 arg(s), only received 0"), "run", 1),
    (NotFoundError("gone"), "logs", 1),
    (NotFoundError("gone"), "run", 125),
    (InUseError("used"), "rm", 1),
    (CannotExecuteError("no"), "exec", 126),
    (ConflictError("paused"), "create", 125),
])
def test_codes(error: PodlikeError, command: str, code: int) -> None:
    assert code_of(error, command) == code


def test_texts() -> None:
    assert text_of(UsageError("unknown flag: --x\nSee 'docker ps --help'"), "docker ps") == (
        "unknown flag: --x\n\nUsage:  docker ps [OPTIONS]\n\nRun 'docker ps --help' for more information")
    assert text_of(UsageError("requires at least 1 arg(s), only received 0"), "docker run") == (
        "docker: 'docker run' requires at least 1 argument\n\nRun 'docker run --help' for more information")
    assert text_of(UsageError("accepts 2 arg(s), received 0"), "docker rename").startswith(
        "docker: 'docker rename' requires 2 arguments\n")
    assert text_of(NotFoundError("x: image not known", hint="Pull it."), "docker run").startswith(
        "docker: Error response from daemon: No such image: x:latest\nHint: Pull it.\n\nRun 'docker run --help'")
    unknown = UsageError("unrecognized command `docker bogus`\n\nDid you mean this?\n\tlogs\n\nTry 'x'")
    assert text_of(unknown, "docker").startswith(
        "docker: unknown command: docker bogus\n\nDid you mean this?\n\tlogs\n\nRun 'docker --help'")
    assert text_of(PodlikeError("broken"), "docker ps") == "Error: broken"


def test_version_is_laid_out_as_dockers() -> None:
    doc = version({"OsArch": "linux/amd64", "GitCommit": "", "GoVersion": "none", "BuiltTime": "then"})
    lines = version_lines(doc)
    assert lines[0] == "Client:" and " Context:           default" in lines
    assert "  API version:      1.44 (minimum version 1.24)" in lines and " OS/Arch:           linux/amd64" in lines
    assert doc["Server"]["Components"][0]["Details"]["MinAPIVersion"] == "1.24"
