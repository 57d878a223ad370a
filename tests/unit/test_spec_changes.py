"""--change: Dockerfile instructions on an image's config."""

from typing import Any

import pytest

from podlike.errors import UsageError
from podlike.spec.changes import apply_changes


@pytest.mark.parametrize(("changes", "config"), [
    (["CMD=/bin/bash"], {"Cmd": ["/bin/sh", "-c", "/bin/bash"]}),
    (["CMD /bin/bash -c 'a=b'"], {"Cmd": ["/bin/sh", "-c", "/bin/bash -c 'a=b'"]}),
    (['cmd ["a", "b c"]'], {"Cmd": ["a", "b c"]}),
    (['CMD=["a"]'], {"Cmd": ["a"]}),
    (["CMD [1]"], {"Cmd": ["/bin/sh", "-c", "[1]"]}),
    (["ENTRYPOINT "], {"Entrypoint": []}),
    (['ENTRYPOINT ["/x"]'], {"Entrypoint": ["/x"]}),
    (["ENV A=b"], {"Env": ["A=b"]}),
    (["ENV A=b c=d"], {"Env": ["A=b", "c=d"]}),
    (['ENV A="b c" D=\'e f\''], {"Env": ["A=b c", "D=e f"]}),
    (["ENV A b c"], {"Env": ["A=b c"]}),
    (["ENV A=1", "ENV B=2", "ENV A=3"], {"Env": ["B=2", "A=3"]}),
    (["ENV=A=b"], {"Env": ["A=b"]}),
    (["LABEL blue=image"], {"Labels": {"blue": "image"}}),
    (['LABEL "a"="b"', "LABEL c=d e"], {"Labels": {"a": "b", "c": "d e"}}),
    (["EXPOSE 80"], {"ExposedPorts": {"80/tcp": {}}}),
    (["EXPOSE 80/udp 90-91/TCP"], {"ExposedPorts": {"80/udp": {}, "90/tcp": {}, "91/tcp": {}}}),
    (["VOLUME /a /b"], {"Volumes": {"/a": {}, "/b": {}}}),
    (['VOLUME ["/a b"]'], {"Volumes": {"/a b": {}}}),
    (["WORKDIR /a", "WORKDIR b", "WORKDIR ../c"], {"WorkingDir": "/a/c"}),
    (["STOPSIGNAL SIGUSR1"], {"StopSignal": "10"}),
    (["USER 1:2"], {"User": "1:2"}),
    (["ONBUILD RUN x", "ONBUILD RUN y"], {"OnBuild": ["RUN x", "RUN y"]}),
])
def test_changes(changes: list[str], config: dict[str, Any]) -> None:
    found: dict[str, Any] = {}
    apply_changes(found, changes)
    assert found == config


@pytest.mark.parametrize(("change", "words"), [
    ("", "KEY VALUE"), ("CMD", "KEY VALUE"), ("FOO bar", "invalid instruction FOO"), ("USER ", "value to USER"),
    ("USER=", "value to USER"),
    ("EXPOSE 0", "valid port"), ("EXPOSE 65536", "valid port"), ("EXPOSE a", "valid port"), ("EXPOSE 90-80", "valid port"),
    ("EXPOSE 80/icmp", "protocol"), ("EXPOSE=", "at least one"), ("LABEL a", "key=value"), ("LABEL =b", "non-empty key"),
    ("ENV =b", "at least one"), ("VOLUME=", "not be empty"), ("VOLUME []", "at least one"), ("WORKDIR=", "non-empty"),
    ("STOPSIGNAL SIGNOPE", "valid signal"), ("ONBUILD=", "argument"),
])
def test_what_cannot_be(change: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        apply_changes({}, [change])
