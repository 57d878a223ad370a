"""`build`: what the instructions make, the cache, mounts of RUN, squashing, and mistakes that name their line."""

import hashlib
import http.server
import io
import json
import os
import re
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine, Result

Build = Callable[..., Result]


@pytest.fixture
def build(podlike: Engine, tmp_path: Path) -> Iterator[Build]:
    """build(text, *flags, files={...}): in a context of its own; FROM base is the test image."""
    made: list[str] = []
    os.chmod(tmp_path, 0o755)

    def run(text: str, *flags: str, files: "dict[str, bytes] | None" = None, check: bool = True, tag: str = "built",
            **more: object) -> Result:
        context = tmp_path / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(text.replace("FROM base", "FROM localhost/podlike-test"))
        for name, data in (files or {}).items():
            path = context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        made.append(tag)
        return podlike("build", "-t", tag, "--network", "none", *flags, str(context), check=check, **more)  # type: ignore[arg-type]

    yield run
    podlike("rmi", "--force", "--ignore", *set(made), check=False)
    podlike("image", "prune", "--force")


def sh(podlike: Engine, script: str, tag: str = "built") -> str:
    return podlike("run", "--rm", "--network", "none", "--entrypoint", "", tag, "sh", "-c", script).line


def config(podlike: Engine, tag: str = "built") -> "dict[str, object]":
    found: dict[str, object] = json.loads(podlike("image", "inspect", tag).stdout)[0]["Config"]
    return found


def test_the_instructions_that_describe(podlike: Engine, build: Build) -> None:
    done = build("""FROM base
ARG who=you
ENV A="1 2" B=$who PATH=$PATH:/x
ENV OLD style  value
LABEL one=1 "two words"='a b'
WORKDIR /w/x
WORKDIR y
USER 7:8
EXPOSE 80 90-91/udp
VOLUME ["/data", "/more data"]
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --retries=2 CMD ["true"]
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT exec echo
CMD ["$who"]
""", "--build-arg", "who=me", "--label", "three=3")
    assert re.fullmatch(r"[0-9a-f]{64}", done.stdout.splitlines()[-1])
    found = config(podlike)
    assert "A=1 2" in found["Env"] and "B=me" in found["Env"] and "OLD=style  value" in found["Env"]  # type: ignore[operator]
    assert any(e.startswith("PATH=/") and e.endswith(":/x") for e in found["Env"])  # type: ignore[attr-defined]
    labels = found["Labels"]
    assert {k: v for k, v in labels.items() if k != "io.buildah.version"} == {  # type: ignore[attr-defined]
        "one": "1", "two words": "a b", "three": "3"}
    assert (found["WorkingDir"], found["User"], found["StopSignal"]) == ("/w/x/y", "7:8", "SIGINT")
    assert set(found["ExposedPorts"]) == {"80/tcp", "90/udp", "91/udp"}  # type: ignore[call-overload]
    assert set(found["Volumes"]) == {"/data", "/more data"}  # type: ignore[call-overload]
    assert found["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 5000000000, "Retries": 2}
    assert (found["Entrypoint"], found["Cmd"]) == (["/bin/sh", "-ec", "exec echo"], ["$who"])


def test_a_new_entrypoint_takes_the_bases_command_away(podlike: Engine, build: Build) -> None:
    build('FROM base\nCMD ["old"]\n', tag="below")
    build('FROM localhost/below\nENTRYPOINT ["x"]\n')
    assert config(podlike).get("Cmd") is None


def test_run_sees_arguments_and_leaves_files(podlike: Engine, build: Build) -> None:
    done = build("""FROM base
ARG SECRETLESS=yes
ENV FIXED=env
ARG FIXED=arg
RUN echo "$SECRETLESS $FIXED $HOME" > /said && mkdir /empty && rm -rf /etc/passwd && id -u
RUN ["/bin/sh", "-c", "test ! -e /etc/passwd && echo $0 words > /json"]
RUN <<EOF
echo first > /here
echo second >> /here
EOF
RUN cat > /doc <<one && cat >> /doc <<'two'
a $FIXED
one
b $FIXED
two
""")
    assert "\n0\n" in done.stdout
    assert sh(podlike, "cat /said /here /doc; ls -d /empty; ls /etc/passwd 2>&1 | grep -c 'No such'") == \
        "yes env /root\nfirst\nsecond\na env\nb $FIXED\n/empty\n1"
    history = podlike("history", "--no-trunc", "--format", "{{.CreatedBy}}", "built").stdout
    assert "|1 SECRETLESS=yes /bin/sh -c echo" in history


def test_a_failed_run_leaves_no_container_and_tells_its_step(podlike: Engine, build: Build) -> None:
    before = podlike("ps", "-aq").stdout
    done = build("FROM base\nRUN exit 7\n", check=False)
    assert done.code == 7 and 'building at STEP "RUN exit 7": while running runtime: exit status 7' in done.stderr
    assert podlike("ps", "-aq").stdout == before
    assert podlike("image", "exists", "built", check=False).code == 1


def test_copy(podlike: Engine, build: Build) -> None:
    build("""FROM base
WORKDIR /w
COPY a.txt .
COPY a.txt renamed
COPY dir /w/into/
COPY --chown=3:4 --chmod=u=rwx,go=x a.txt b.txt /many/
COPY --chmod=0640 *.txt /glob/
COPY --parents dir/sub/./deep/c /par/
COPY --exclude=*.log dir /ex
COPY <<one <<'two' /docs/
$HOME 'quoted'
one
$HOME
two
""", files={"a.txt": b"a", "b.txt": b"b", "dir/x": b"x", "dir/sub/deep/c": b"c", "dir/n.log": b"log", "secret.log": b"no",
            ".dockerignore": b"*.log\n"})
    assert sh(podlike, "cd /; cat w/a.txt w/renamed w/into/x w/into/sub/deep/c par/deep/c") == "aaxcc"
    assert sh(podlike, "stat -c '%u:%g %a' /many/a.txt /glob/b.txt; stat -c %u /many") == "3:4 711\n0:0 640\n3"
    assert sh(podlike, "ls /ex; cat /docs/one /docs/two") == "sub\nx\n 'quoted'\n$HOME"


def test_links_stay_links_and_none_leads_out(podlike: Engine, build: Build, tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "d").mkdir(parents=True)
    (context / "d" / "one").write_text("same")
    os.link(context / "d" / "one", context / "d" / "two")
    os.symlink("one", context / "d" / "soft")
    os.symlink("/etc/passwd", context / "out")
    build("FROM base\nRUN ln -s /real /short && mkdir /real\nCOPY d /short/\n")
    assert sh(podlike, "cd /real; readlink soft; test one -ef two && cat soft; readlink /short") == "one\nsame/real"
    done = build("FROM base\nCOPY out /x\n", check=False)
    assert done.code == 125 and "out: no such file" in done.stderr


@pytest.mark.parametrize("how", ["", "gz", "xz", "bz2"])
def test_add_unpacks_archives(podlike: Engine, build: Build, how: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{how}") as archive:  # type: ignore[call-overload]
        for name, data in (("in/f", b"data"), ("../../escape", b"e")):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid = len(data), 0o751, 9
            archive.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("in/hard")
        info.type, info.linkname = tarfile.LNKTYPE, "in/f"
        archive.addfile(info)
    build("FROM base\nADD x.tar /to/\nCOPY x.tar /plain\nADD plain.txt.gz /\n",
          files={"x.tar": packed.getvalue(), "plain.txt.gz": b"\x1f\x8bnot really"})
    assert sh(podlike, "cat /to/in/f; test /to/in/f -ef /to/in/hard && stat -c '%a %u' /to/in/f; ls /to") == \
        "data751 0\nescape\nin"
    assert sh(podlike, "sha256sum /plain | cut -c1-64; cat /plain.txt.gz | wc -c") == \
        f"{hashlib.sha256(packed.getvalue()).hexdigest()}\n12"


def test_add_fetches_urls(podlike: Engine, build: Build, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "file.txt").write_bytes(b"from the web")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "web"))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/file.txt"
        right = hashlib.sha256(b"from the web").hexdigest()
        build(f"FROM base\nADD {url} /d/\nADD --checksum=sha256:{right} --chmod=644 {url} /named\n")
        assert sh(podlike, "cat /d/file.txt /named; stat -c %a /d/file.txt /named") == "from the webfrom the web600\n644"
        wrong = build(f"FROM base\nADD --checksum=sha256:{'0' * 64} {url} /named\n", check=False)
        assert wrong.code == 125 and f"its digest is sha256:{right}" in wrong.stderr
        missing = build(f"FROM base\nADD {url}.no /x\n", check=False)
        assert missing.code == 125 and "404" in missing.stderr
        server.shutdown()


def test_stages(podlike: Engine, build: Build) -> None:
    text = """ARG BASE=localhost/podlike-test
FROM $BASE AS first
RUN echo one > /f
FROM first AS second
RUN echo two >> /f
FROM base AS unused
RUN exit 1
FROM scratch AS last
COPY --from=second /f /f
COPY --from=0 --chown=5 /f /g
COPY --from=localhost/podlike-test /bin /bin
"""
    done = build(text)
    assert "exit 1" not in done.stdout and "[3/3] STEP 1/4: FROM scratch AS last" in done.stdout
    assert sh(podlike, "cat /f /g; stat -c %u:%g /g") == "one\ntwo\none\n5:5"
    build(text, "--target", "first", tag="first")
    assert sh(podlike, "cat /f", "first") == "one"
    wrong = build(text, "--target", "nosuch", check=False)
    assert wrong.code == 125 and "first, second, unused, last" in wrong.stderr


def test_the_cache(podlike: Engine, build: Build) -> None:
    text = "FROM base\nARG V\nRUN echo $V$RANDOM > /r\nCOPY a /a\nRUN cat /a > /b\nLABEL x=y\n"
    first = build(text, files={"a": b"1"})
    again = build(text)
    assert again.stdout.count("Using cache") == 3 and again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    changed = build(text, files={"a": b"2"})
    assert changed.stdout.count("Using cache") == 1 and sh(podlike, "cat /b") == "2"
    os.utime(re.search(r"\S+/context", " ".join(again.argv)).group() + "/a", (1, 1))  # type: ignore[union-attr]
    assert build(text).stdout.count("Using cache") == 3, "times do not count"
    assert build(text, "--build-arg", "V=1").stdout.count("Using cache") == 0
    assert build(text, "--no-cache").stdout.count("Using cache") == 0
    assert build(text, "--layers=false").stdout.count("Using cache") == 0


@pytest.mark.parametrize(("flag", "layers"), [("--squash", 2), ("--squash-all", 1), ("--layers=false", 2)])
def test_one_layer_of_several(podlike: Engine, build: Build, flag: str, layers: int) -> None:
    build("""FROM base
RUN mkdir -p /d/e && echo 1 > /d/e/a && ln /d/e/a /d/e/b && echo 2 > /gone && echo keep > /d/e/c
RUN rm /gone /d/e/a && rm -rf /etc/passwd && mkdir /opaque && echo x > /opaque/x
RUN rm -rf /opaque && mkdir /opaque && echo y > /opaque/y && echo 3 > /d/new
""", flag)
    rootfs = json.loads(podlike("image", "inspect", "built").stdout)[0]["RootFS"]["Layers"]
    assert len(rootfs) == layers
    assert sh(podlike, "cd /; cat d/e/b d/e/c d/new; ls d/e opaque; ls gone etc/passwd 2>&1 | grep -c 'No such'") == \
        "1\nkeep\n3\nd/e:\nb\nc\n\nopaque:\ny\n2"


def test_mounts_of_run(podlike: Engine, build: Build) -> None:
    text = """FROM base AS tool
RUN echo from-stage > /tool
FROM base
RUN --mount=type=bind,source=a,target=/ctx/a --mount=type=bind,from=tool,source=/tool,target=/t cat /ctx/a /t > /seen
RUN --mount=type=cache,target=/cache,id=test-cache echo x >> /cache/n; wc -l < /cache/n
RUN --mount=type=tmpfs,target=/scratch touch /scratch/f
RUN --mount=type=secret,id=key cat /run/secrets/key | tr a-z A-Z > /upper
RUN --mount=type=secret,id=key,env=KEY,required=true echo "$KEY" | wc -c
"""
    first = build(text, "--secret", f"id=key,src={_secret(podlike)}", files={"a": b"context\n"})
    assert sh(podlike, "cat /seen /upper; ls -d /run/secrets /cache /scratch /ctx /t 2>/dev/null | wc -l") == \
        "context\nfrom-stage\nHUSH0", "what was made to mount on is gone"
    assert "\n1\n" in first.stdout and "\n2\n" in build(text, "--no-cache", "--secret", f"id=key,src={_secret(podlike)}").stdout
    podlike("builder", "prune", "--force")
    assert "\n1\n" in build(text, "--no-cache", "--secret", f"id=key,src={_secret(podlike)}").stdout
    missing = build(text, "--no-cache", check=False)
    assert missing.code == 125 and "secret key is required" in missing.stderr and "--secret id=key,src=FILE" in missing.stderr
    assert "hush" not in podlike("history", "--no-trunc", "built").stdout


def _secret(podlike: Engine) -> str:
    path = f"{podlike.home}/secret"
    with open(path, "w") as f:
        f.write("hush")
    return path


def test_triggers_run_in_the_next_build(podlike: Engine, build: Build) -> None:
    build("FROM base\nONBUILD COPY a /from-trigger\nONBUILD RUN echo ran > /ran\n", tag="below")
    build("FROM localhost/below\nRUN echo own >> /ran\n", files={"a": b"A"})
    assert sh(podlike, "cat /from-trigger /ran") == "Aran\nown"
    assert not config(podlike).get("OnBuild")


def test_what_the_context_may_be(podlike: Engine, build: Build, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in (("Dockerfile", b"FROM localhost/podlike-test\nCOPY f /f\n"), ("f", b"in the archive")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    podlike("build", "-t", "built", "-", input=packed.getvalue())
    assert sh(podlike, "cat /f") == "in the archive"
    podlike("build", "-t", "built", "-", input="FROM localhost/podlike-test\nRUN echo alone > /f\n")
    assert sh(podlike, "cat /f") == "alone"
    nothing = podlike("build", "-", input="FROM localhost/podlike-test\nCOPY f /f\n", check=False)
    assert nothing.code == 125 and "this build has none" in nothing.stderr
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "g").write_text("named")
    build("FROM base\nCOPY --from=more g /g\n", "--build-context", f"more={tmp_path}/other")
    assert sh(podlike, "cat /g") == "named"
    iid = tmp_path / "iid"
    build("FROM base\nRUN true\n", "--iidfile", str(iid), "-q")
    assert iid.read_text() == "sha256:" + podlike("image", "inspect", "--format", "{{.Id}}", "built").line


def test_times_can_be_fixed(podlike: Engine, build: Build) -> None:
    text = "FROM scratch\nCOPY a /a\nLABEL x=y\n"
    one = build(text, "--timestamp", "1700000000", "--no-cache", files={"a": b"1"}).stdout.splitlines()[-1]
    podlike("rmi", "--force", "built")
    podlike("image", "prune", "--force")
    assert build(text, "--timestamp", "1700000000", "--no-cache").stdout.splitlines()[-1] == one


def test_output(podlike: Engine, build: Build, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build("FROM scratch\nCOPY d /d\n", "--output", f"type=local,dest={out}", files={"d/f": b"x"})
    assert (out / "d" / "f").read_bytes() == b"x"
    build("FROM scratch\nCOPY d /d\n", "-o", f"type=tar,dest={out}.tar")
    with tarfile.open(f"{out}.tar") as archive:
        assert "d/f" in [name.strip("./") for name in archive.getnames()]


@pytest.mark.parametrize(("text", "words"), [
    ("FROM base\nRUNN x\n", ("Dockerfile:2: unknown instruction RUNN", "Did you mean RUN?")),
    ("FROM base\nCOPY nosuch /x\n", ('STEP "COPY nosuch /x"', "nosuch: no such file or directory")),
    ("FROM base\nCOPY a a /x\n", ("more than one file", "/x/")),
    ("FROM base\nCOPY a /bin/sh/x\n", ("not a directory",)),
    ("FROM base\nCOPY --chmod=rw a /x\n", ("--chmod=rw: this is no mode",)),
    ("FROM base\nCOPY --chown=nobodyhere a /x\n", ("nobodyhere",)),
    ("FROM base\nCOPY --from=localhost/nosuchimage a /x\n", ("nosuchimage",)),
    ("FROM base\nCOPY .wh.a /x/\n", ("mean deletions",)),
    ("FROM base\nRUN --mount=type=cash,target=/x true\n", ("unknown type cash", "cache")),
    ("FROM base\nRUN --mount=target=/x,sorce=a true\n", ("no sorce", "Did you mean source?")),
    ("FROM base\nRUN --network=bridge true\n", ("default, none or host",)),
    ("FROM base\nENV A=${x?missing}\n", ("x: missing", "--build-arg x=VALUE")),
    ("FROM base\nSTOPSIGNAL SIGNONE\n", ("SIGNONE",)),
    ("FROM base\nHEALTHCHECK CND x\n", ("unknown type of HEALTHCHECK: CND",)),
    ("FROM $NONE\n", ("Dockerfile:1: FROM $NONE",)),
    ("FROM scratch\nRUN true\n", ("RUN in an empty image",)),
])
def test_mistakes(build: Build, text: str, words: "tuple[str, ...]") -> None:
    done = build(text, check=False, files={"a": b"1", ".wh.a": b"2"})
    assert done.code == 125, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_a_build_that_was_killed_leaves_nothing(podlike: Engine, build: Build, tmp_path: Path) -> None:
    build("FROM base\nRUN true\n")
    context = tmp_path / "context"
    (context / "Dockerfile").write_text("FROM localhost/podlike-test\nCOPY . /c\nRUN echo begun && sleep 1000\n")
    p = podlike.popen("build", "--network", "none", str(context))
    assert p.stdout is not None
    while p.stdout.readline() != b"begun\n":
        assert p.poll() is None
    assert "working-container" in podlike("ps", "--format", "{{.Names}}").stdout
    p.kill()
    p.communicate()
    podlike("build", "--network", "none", "-", input="FROM localhost/podlike-test\nRUN true\n")
    assert "working-container" not in podlike("ps", "-a", "--format", "{{.Names}}").stdout
    assert os.listdir(f"{podlike.run_dir}/builds") == []
