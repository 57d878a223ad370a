"""A user namespace that config.json does not ask for, or not in full: podlike-spawn called by an ordinary user directly."""

import os
import pwd
import subprocess

from tests.support.box import Box
from tests.support.need import need


def numbers(text: str) -> list[list[int]]:
    return [[int(n) for n in line.split()] for line in text.splitlines()]


def subordinate(file: str) -> tuple[int, int]:
    """First range of the caller in subuid(5) or subgid(5)."""
    own = (pwd.getpwuid(os.geteuid()).pw_name, str(os.geteuid()))
    with open(file) as f:
        ranges = [line.strip().split(":") for line in f]
    found = [(int(first), int(count)) for name, first, count in ranges if name in own]
    need(found, f"no ids for this user in {file}")
    return found[0]


def test_ordinary_user_becomes_root(direct_box: Box) -> None:
    first, count = subordinate("/etc/subuid")
    first_g, count_g = subordinate("/etc/subgid")
    out = direct_box.sh("id -u; cat /proc/self/uid_map; echo; cat /proc/self/gid_map")
    assert numbers(out) == [
        [0],
        [0, os.geteuid(), 1],
        [1, first, count],
        [],
        [0, os.getegid(), 1],
        [1, first_g, count_g],
    ]


def test_the_caller_is_whoever_the_process_is(direct_box: Box) -> None:
    first, count = subordinate("/etc/subuid")
    os.chmod(direct_box.rootfs, 0o777)
    direct_box.spec["process"]["user"] = {"uid": 5, "gid": 7}
    out = direct_box.sh("id -u; id -g; echo x > /made; cat /proc/self/uid_map")
    assert numbers(out) == [[5], [7], [0, first, 5], [5, os.geteuid(), 1], [6, first + 5, count - 5]]
    st = os.stat(f"{direct_box.rootfs}/made")
    assert (st.st_uid, st.st_gid) == (os.geteuid(), os.getegid())


def test_one_id_without_newuidmap(direct_box: Box) -> None:
    direct_box.write("sh", "-c", "id -u; cat /proc/self/uid_map")
    argv = ["/usr/bin/env", "-u", "PATH", *direct_box.argv("run", "-b", direct_box.bundle, "c")]
    p = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert (p.returncode, p.stderr, numbers(p.stdout)) == (0, "", [[0], [0, os.geteuid(), 1]])


def test_namespace_without_maps(direct_box: Box) -> None:
    direct_box.spec["linux"]["namespaces"].append({"type": "user"})
    assert numbers(direct_box.sh("cat /proc/self/uid_map"))[0] == [0, os.geteuid(), 1]


def test_namespace_without_maps_as_root(root_box: Box) -> None:
    root_box.spec["linux"]["namespaces"].append({"type": "user"})
    assert numbers(root_box.sh("cat /proc/self/uid_map"))[0] == [0, 0, 1]


def test_life_of_a_container(direct_box: Box) -> None:
    """What other commands find in the user namespace that they did not know of."""
    box = direct_box
    os.makedirs(f"{box.dir}/vol")
    box.spec["mounts"].append({"destination": "/vol", "type": "bind", "source": f"{box.dir}/vol", "options": ["rbind"]})
    box.start("sleep", "100")
    assert box.state()["status"] == "running"
    assert box.ok("exec", "c", "sh", "-c", "id -u; echo x > /vol/f").split() == ["0"]
    assert os.stat(f"{box.dir}/vol/f").st_uid == os.geteuid()
    box.ok("kill", "c", "KILL")
    box.ok("delete", "--force", "c")
