"""-v, --mount, --tmpfs, -p, --expose, --env, --label and --filter."""

from pathlib import Path

import pytest

from podlike.errors import UsageError
from podlike.spec.container import Mount, PortMapping
from podlike.spec.environ import environment, key_values
from podlike.spec.filters import apply_filters, label_matches, name_matches, parse_filters
from podlike.spec.mounts import check_duplicates, parse_mount, parse_tmpfs, parse_volume
from podlike.spec.ports import parse_expose, parse_publish


@pytest.mark.parametrize(("text", "mount"), [
    ("/a:/b", Mount(type="bind", source="/a", target="/b")),
    ("./x:/b:ro,z", Mount(type="bind", source="/home/u/x", target="/b", options=["ro", "z"])),
    ("../x/:/b/", Mount(type="bind", source="/home/x", target="/b")),
    (".:/src", Mount(type="bind", source="/home/u", target="/src")),
    ("data:/b//c", Mount(type="volume", source="data", target="/b/c")),
    ("/only", Mount(type="volume", target="/only")),
    ("/a:/b:cached", Mount(type="bind", source="/a", target="/b")),
])
def test_volume(text: str, mount: Mount) -> None:
    assert parse_volume(text, cwd="/home/u") == mount


@pytest.mark.parametrize(("text", "words"), [
    ("/a:/b:ro:x", "incorrect volume format"), (":/b", "host directory cannot be empty"),
    ("/a:b", "must be an absolute path"), ("/a:", "container directory cannot be empty"), ("rel", "absolute path"),
    ("/a:/b:ro,rw", "can only specify 1 'rw, ro' option"), ("/a:/b:bogus", 'invalid option type "bogus"'),
    ("a/b:/c", "a volume's name has no slash"), ("~/x:/c", "the shell did not expand ~"),
])
def test_bad_volumes(text: str, words: str) -> None:
    with pytest.raises(UsageError) as e:
        parse_volume(text)
    assert words in e.value.message


@pytest.mark.parametrize(("text", "mount"), [
    ("type=bind,src=/a,dst=/b,ro", Mount(type="bind", source="/a", target="/b", options=["ro"])),
    ("type=bind,source=rel,target=/b,readonly=true", Mount(type="bind", source="/w/rel", target="/b", options=["ro"])),
    ("type=bind,src=/a,dst=/b,rw=false", Mount(type="bind", source="/a", target="/b", options=["ro"])),
    ("type=bind,src=/a,dst=/b,ro=false", Mount(type="bind", source="/a", target="/b")),
    ("type=bind,src=/a,dst=/b,bind-propagation=rslave", Mount(type="bind", source="/a", target="/b", options=["rslave"])),
    ("type=tmpfs,destination=/t,tmpfs-size=64m,tmpfs-mode=1777",
     Mount(type="tmpfs", target="/t", options=["size=64m", "mode=1777"])),
    ("type=volume,src=v,dst=/b,nocopy", Mount(type="volume", source="v", target="/b", options=["nocopy"])),
    ("src=v,dst=/b", Mount(type="volume", source="v", target="/b")),
    ("dst=/b", Mount(type="volume", target="/b")),
    ('type=bind,"src=/a,b",dst=/c', Mount(type="bind", source="/a,b", target="/c")),
    ("type=image,src=alpine,dst=/i,rw=true", Mount(type="image", source="alpine", target="/i", options=["rw"])),
    ("type=bind,src=/a,dst=/b,relabel=shared,U", Mount(type="bind", source="/a", target="/b", options=["z", "U"])),
    ("type=bind,src=/a,dst=/b,consistency=cached", Mount(type="bind", source="/a", target="/b")),
])
def test_mount(text: str, mount: Mount) -> None:
    assert parse_mount(text, cwd="/w") == [mount]


@pytest.mark.parametrize(("text", "words"), [
    ("type=bogus,dst=/a", 'invalid filesystem type "bogus"'), ("type=bind,src=/a", "must set volume destination"),
    ("type=bind,src=/a,dst=/b,ro,rw", "more than once"), ("type=tmpfs,src=/a,dst=/b", "not supported for"),
    ("type=bind,src=,dst=/b", "host directory cannot be empty"), ("type=bind,src=/a,dst=/b,x=1", "x: invalid mount option"),
    ("type=bind,src=/a,src=/c,dst=/b", "more than once"), ("type=tmpfs,dst=/b,noswap", "only allowed with rootful"),
    ("type=bind,src=/a,dst=/b,relabel=x", "must be 'private' or 'shared'"), ("type=image,src=a", "must set source and"),
    ("type=bind,src=/a,dst=/b,tmpfs-size=1m", "not supported for"), ("type=volume,dst=/b,volume-opt=x", "not supported"),
    ("type=glob,src=/nothing*", "no file paths matching glob"), ("type=bind,dst", "must provide an argument"),
])
def test_bad_mounts(text: str, words: str) -> None:
    with pytest.raises(UsageError) as e:
        parse_mount(text, cwd="/w", glob=lambda pattern: [])
    assert words in e.value.message


def test_glob_mounts_every_match() -> None:
    found = parse_mount("type=glob,src=/a/f*,dst=/t,ro", glob=lambda pattern: ["/a/f2", "/a/f1"])
    assert found == [Mount(type="bind", source="/a/f1", target="/t/f1", options=["ro"]),
                     Mount(type="bind", source="/a/f2", target="/t/f2", options=["ro"])]


def test_tmpfs_and_duplicates() -> None:
    assert parse_tmpfs("/t:size=1m,rw") == ("/t", "size=1m,rw")
    one = Mount(type="bind", source="/a", target="/b")
    same = Mount(type="bind", source="/a", target="/b")
    assert check_duplicates([one, same], {}) == [one]
    with pytest.raises(UsageError, match="/b: duplicate mount destination"):
        check_duplicates([one, Mount(type="volume", source="v", target="/b")], {})
    with pytest.raises(UsageError, match="/b: duplicate mount destination"):
        check_duplicates([one], {"/b": ""})


@pytest.mark.parametrize(("text", "port"), [
    ("80", PortMapping(container_port=80)),
    ("8080:80", PortMapping(host_port=8080, container_port=80)),
    ("0:80", PortMapping(container_port=80)),
    (":80/udp", PortMapping(container_port=80, protocol="udp")),
    ("127.0.0.1:8080:80/TCP", PortMapping(host_ip="127.0.0.1", host_port=8080, container_port=80)),
    ("127.0.0.1::80", PortMapping(host_ip="127.0.0.1", container_port=80)),
    ("0.0.0.0:1:2", PortMapping(host_port=1, container_port=2)),
    ("[0:0::1]:8080:80", PortMapping(host_ip="::1", host_port=8080, container_port=80)),
    ("8000-8002:90-92", PortMapping(host_port=8000, container_port=90, count=3)),
])
def test_publish(text: str, port: PortMapping) -> None:
    assert parse_publish(text) == port


@pytest.mark.parametrize(("text", "words"), [
    ("", "non-empty container port"), ("x", "invalid port number"), ("80/tcp/udp", "only be specified once"),
    ("80/", "non-empty protocol"), ("70000:80", "between 1 and 65535"), ("1-2:5-9", "different lengths: 2 vs 5"),
    ("9-5", "must be higher"), ("1:2:3:4", "format is"), ("[::1]:80", "must provide host and destination port"),
    ("nonsense:1:2", "as an IP address"), ("::1:80", "format is"), ("80/quic", "unknown protocol"), ("-80", "negative"),
    ("[::1]80:80", "followed by a colon"), (":1:80", "non-empty container host IP"),
])
def test_bad_ports(text: str, words: str) -> None:
    with pytest.raises(UsageError) as e:
        parse_publish(text)
    assert words in e.value.message


def test_expose() -> None:
    assert parse_expose("80") == ["80/tcp"]
    assert parse_expose("80-82/udp") == ["80/udp", "81/udp", "82/udp"]
    with pytest.raises(UsageError):
        parse_expose("http")


def test_environment(tmp_path: Path) -> None:
    file = tmp_path / "env,with comma"
    file.write_text('# comment\n\n  A=from file\nB="quoted"\r\nC\nPRE*\nline=a=b\n')
    host = {"C": "host c", "PRE1": "1", "PRE_2": "2", "OTHER": "x", "STAR*": "no"}
    assert environment(["A=arg", "OTHER", "UNSET", "E="], [str(file)], host) == {
        "A": "arg", "B": '"quoted"', "C": "host c", "PRE1": "1", "PRE_2": "2", "line": "a=b", "OTHER": "x", "E": ""}
    assert environment(["PRE*X"], [], host) == {}
    with pytest.raises(UsageError, match='invalid variable: "=x"'):
        environment(["=x"], [], {})
    with pytest.raises(UsageError, match="no such file or directory"):
        environment([], [str(tmp_path / "gone")], {})


def test_labels() -> None:
    assert key_values(["a=b", "c", 'd="x"']) == {"a": "b", "c": "", "d": '"x"'}
    with pytest.raises(UsageError, match="invalid label format"):
        key_values(["=x"])


def test_filters() -> None:
    assert parse_filters(["a=1", "a=2", "label!=x=y"]) == {"a": ["1", "2"], "label!": ["x=y"]}
    tests = {"eq": lambda o, v: o == v, "label": lambda o, v: v in o, "label!": lambda o, v: v not in o}
    objects = ["xa", "xb", "ya"]
    assert apply_filters(objects, parse_filters(["eq=xa", "eq=ya"]), tests) == ["xa", "ya"]
    assert apply_filters(objects, parse_filters(["label=x", "label=a"]), tests) == ["xa"]
    assert apply_filters(objects, parse_filters(["eq=xa", "label!=x"]), tests) == []
    with pytest.raises(UsageError, match='invalid filter "x"'):
        parse_filters(["x"])
    with pytest.raises(UsageError, match="bogus is an invalid filter"):
        apply_filters(objects, {"bogus": ["x"]}, tests)


def test_label_and_name_patterns() -> None:
    labels = {"app": "web", "com.example.tier": "front"}
    assert label_matches(labels, "app")
    assert label_matches(labels, "app=web")
    assert label_matches(labels, "com.example.*=fr*")
    assert not label_matches(labels, "app=we")
    assert name_matches("^ab", "abc")
    assert not name_matches("^bc$", "abc", "bcd")
    with pytest.raises(UsageError, match="as a filter"):
        name_matches("[", "x")
