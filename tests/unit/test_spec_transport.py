"""Places: TRANSPORT:DETAILS as podman and skopeo read them."""

import pytest

from podlike.errors import UsageError
from podlike.spec.transport import Place, StoreSpec, parse_place


@pytest.mark.parametrize(("text", "place"), [
    ("docker://alpine", Place("docker", reference="alpine")),
    ("docker://quay.io/a/b:1", Place("docker", reference="quay.io/a/b:1")),
    ("docker-archive:/a/b.tar", Place("docker-archive", "/a/b.tar")),
    ("docker-archive:x.tar:alpine", Place("docker-archive", "x.tar", "docker.io/library/alpine:latest")),
    ("docker-archive:x.tar:localhost:5000/a:2", Place("docker-archive", "x.tar", "localhost:5000/a:2")),
    ("docker-archive:x.tar:@3", Place("docker-archive", "x.tar", position=3)),
    ("oci-archive:x.tar:a:1", Place("oci-archive", "x.tar", "a:1")),
    ("oci:dir", Place("oci", "dir")),
    ("oci:dir:", Place("oci", "dir")),
    ("oci:../d:localhost/a:1", Place("oci", "../d", "localhost/a:1")),
    ("oci:d:@0", Place("oci", "d", position=0)),
    ("dir:/a:b/c", Place("dir", "/a:b/c")),
    ("containers-storage:alpine", Place("containers-storage", reference="alpine")),
    ("containers-storage:[overlay@/g+/r:a=b,c]x:1",
     Place("containers-storage", reference="x:1", store=StoreSpec("overlay", "/g", "/r", ("a=b", "c")))),
    ("containers-storage:[/g]@0123abc", Place("containers-storage", reference="@0123abc", store=StoreSpec(root="/g"))),
])
def test_places(text: str, place: Place) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["alpine", "docker:latest", "quay.io/a/b:1", "/a/file.tar", "./x", "", "-", "a:b:c",
                                  "localhost:5000/x", "sha256:" + 64 * "0"])
def test_what_is_no_place(text: str) -> None:
    assert parse_place(text) is None


@pytest.mark.parametrize(("text", "words"), [
    ("docker-daemon:x", "not supported"), ("ostree:x", "not supported"), ("tarball:x", "not supported"),
    ("oci:", "path is missing"), ("docker-archive::x", "path is missing"), ("dir:", "path is missing"),
    ("docker-archive:x:@-1", "no position"), ("oci:x:@one", "no position"), ("oci:x:@99999999999", "no position"),
    ("oci-archive:x:@1", "no index"), ("docker-archive:x:UPPER", "lowercase"), ("docker-archive:x:", "invalid reference"),
    ("docker-archive:x:a@sha256:" + 64 * "0", "no digests"), ("oci:x:a b", "no reference name"),
    ("oci:x:../..", "no reference name"), ("docker://UPPER", "lowercase"), ("dir:a\0b", "NUL"),
    ("containers-storage:", "name of the image is missing"), ("containers-storage:[x", "does not end"),
    ("containers-storage:[]a", "empty"), ("containers-storage:[rel]a", "no absolute path"),
    ("containers-storage:[@/x]a", "driver before"), ("containers-storage:[/x+rel]a", "no absolute path"),
])
def test_what_cannot_be(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_place(text)


@pytest.mark.parametrize("text", ["docker-archive:x.tar", "docker-archive:x.tar:a.b/c:1", "oci:d:@4", "dir:/x",
                                  "oci-archive:a:b"])
def test_written_as_read(text: str) -> None:
    place = parse_place(text)
    assert place is not None and str(place) == text
