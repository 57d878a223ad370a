"""Mounts of config.json: every option, as an ordinary user and, in the root step, as root."""

import os
import socket
import subprocess
from typing import NamedTuple

import pytest

from tests.support.box import Box
from tests.support.need import need


class Mount(NamedTuple):
    flags: set[str]  # of the mount
    tags: set[str]  # shared:N, master:N, unbindable
    type: str
    super: set[str]  # of the file system


def mounts(box: Box) -> dict[str, Mount]:
    """The container's mounts by their place."""
    rows = {}
    for line in box.sh("cat /proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, (kind, _, options) = left.split(), right.split()
        rows[fields[4]] = Mount(set(fields[5].split(",")), set(fields[6:]), kind, set(options.split(",")))
    return rows


def add(box: Box, destination: str, *options: str, type: str = "", source: str = "") -> None:
    entry: dict[str, object] = {"destination": destination, "options": list(options)}
    if type:
        entry["type"] = type
    if source:
        entry["source"] = source
    box.spec["mounts"].append(entry)


def directory(box: Box, name: str = "vol", **files: str) -> str:
    path = f"{box.dir}/{name}"
    os.makedirs(path)
    for file, text in files.items():
        with open(f"{path}/{file}", "w") as f:
            f.write(text)
    return path


FLAGS = [  # option, what mountinfo then has, what it has not
    ("ro", "ro", "rw"),
    ("rw", "rw", "ro"),
    ("nosuid", "nosuid", ""),
    ("suid", "", "nosuid"),
    ("nodev", "nodev", ""),
    ("noexec", "noexec", ""),
    ("exec", "", "noexec"),
    ("noatime", "noatime", "relatime"),
    ("relatime", "relatime", "noatime"),
    ("strictatime", "", "relatime"),
    ("nodiratime", "nodiratime", ""),
    ("nosymfollow", "nosymfollow", ""),
]


@pytest.mark.parametrize(("option", "has", "has_not"), FLAGS, ids=[f[0] for f in FLAGS])
def test_flags(any_box: Box, option: str, has: str, has_not: str) -> None:
    vol = directory(any_box)
    add(any_box, "/t", option, type="tmpfs")
    add(any_box, "/b", "bind", option, source=vol)
    with open(f"{any_box.dir}/file", "w"):
        pass
    add(any_box, "/f", "bind", option, source=f"{any_box.dir}/file")
    add(any_box, "/late", option, "rprivate", type="tmpfs")  # by fsopen(2)
    found = mounts(any_box)
    # An ordinary user cannot change how the host's mounts keep access times (mount_namespaces(7)).
    binds = () if "atime" in option and os.geteuid() != 0 else ("/b", "/f")
    for place in ("/t", "/late", *binds):
        flags = found[place].flags
        assert not has or has in flags, (place, flags)
        assert not has_not or has_not not in flags, (place, flags)


@pytest.mark.parametrize("option", ["sync", "dirsync", "lazytime"])
def test_flags_of_the_file_system(any_box: Box, option: str) -> None:
    add(any_box, "/t", option, type="tmpfs")
    add(any_box, "/late", option, "rprivate", type="tmpfs")
    found = mounts(any_box)
    assert option in found["/t"].super and option in found["/late"].super


NEGATED = (
    "async atime defaults dev diratime exec loud noiversion nolazytime nomand norelatime nostrictatime rw silent suid symfollow"
)
IGNORED = "rasync rdirsync rmand rnomand rsync"


def test_options_that_change_nothing_here_are_known(any_box: Box) -> None:
    """An option that the table has not would go to tmpfs, which refuses it."""
    add(any_box, "/t", *NEGATED.split(), *IGNORED.split(), type="tmpfs")
    add(any_box, "/b", "bind", *NEGATED.split(), *IGNORED.split(), source=directory(any_box))
    assert {"/t", "/b"} <= set(mounts(any_box))


RECURSIVE = "rro rnosuid rnodev rnoexec rnoatime rnodiratime rnosymfollow".split()


@pytest.mark.parametrize("option", RECURSIVE)
def test_recursive_flags(any_box: Box, option: str) -> None:
    """On the mount and on those below it."""
    vol = directory(any_box)
    os.mkdir(f"{vol}/sub")
    assert any_box.inside("mount", "-t", "tmpfs", "tmpfs", f"{vol}/sub").returncode == 0
    try:
        add(any_box, "/b", "rbind", option, source=vol)
        add(any_box, "/t", option, type="tmpfs")
        found = mounts(any_box)
        binds = () if "atime" in option and os.geteuid() != 0 else ("/b", "/b/sub")
        for place in ("/t", *binds):
            assert option[1:] in found[place].flags, (place, found[place])
    finally:
        any_box.inside("umount", f"{vol}/sub")


def test_recursive_clearing(any_box: Box) -> None:
    """r-forms that take a flag away, where it is ours to take."""
    add(any_box, "/t", "noexec", "nodev", "rexec", "rdev", "rrw", "rsuid", "rsymfollow", type="tmpfs")
    assert {"noexec", "nodev", "nosuid", "ro"} & mounts(any_box)["/t"].flags == set()


def test_rbind_with_what_is_below(any_box: Box) -> None:
    """A "bind" after "rbind" takes nothing away; "bind" alone shows what is mounted below only where it must."""
    vol = directory(any_box, a="x")
    os.mkdir(f"{vol}/sub")
    any_box.inside("mount", "-t", "tmpfs", "tmpfs", f"{vol}/sub")
    try:
        add(any_box, "/b", "rbind", "rw", "bind", source=vol)
        add(any_box, "/one", "bind", source=vol)
        found = mounts(any_box)
        assert "/b/sub" in found
        assert os.geteuid() != 0 or "/one/sub" not in found
    finally:
        any_box.inside("umount", f"{vol}/sub")


def test_later_options_win(any_box: Box) -> None:
    add(any_box, "/t", "ro", "rw", "nosuid", "suid", "exec", "noexec", type="tmpfs")
    flags = mounts(any_box)["/t"].flags
    assert "rw" in flags and "nosuid" not in flags and "noexec" in flags


@pytest.mark.parametrize(
    ("option", "tag"),
    [
        ("private", ""),
        ("rprivate", ""),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ],
)
def test_propagation(any_box: Box, option: str, tag: str) -> None:
    add(any_box, "/t", option, type="tmpfs")
    add(any_box, "/b", "rbind", option, source=directory(any_box))
    found = mounts(any_box)
    for place in ("/t", "/b"):
        assert {t.split(":")[0] for t in found[place].tags} == ({tag} if tag else set())


def test_mounts_of_the_host_reach_a_slave(any_box: Box) -> None:
    vol = directory(any_box)
    any_box.inside("mount", "--bind", vol, vol)
    any_box.inside("mount", "--make-shared", vol)
    try:
        add(any_box, "/slave", "rbind", "rslave", source=vol)
        add(any_box, "/shared", "rbind", "rshared", source=vol)
        add(any_box, "/private", "rbind", "rprivate", source=vol)
        any_box.start("sleep", "100")
        os.mkdir(f"{vol}/later")
        assert any_box.inside("mount", "-t", "tmpfs", "tmpfs", f"{vol}/later").returncode == 0
        p = any_box("exec", "c", "cut", "-d ", "-f5", "/proc/self/mountinfo")
        assert {"/slave/later", "/shared/later"} <= set(p.stdout.split()) and "/private/later" not in p.stdout
    finally:
        any_box.inside("umount", "-R", vol)


@pytest.mark.parametrize(
    ("value", "tag"), [("shared", "shared"), ("private", ""), ("rprivate", ""), ("unbindable", "unbindable")]
)
def test_propagation_of_the_root(any_box: Box, value: str, tag: str) -> None:
    any_box.spec["linux"]["rootfsPropagation"] = value
    add(any_box, "/vol", "rbind", "rshared", source=directory(any_box))
    found = mounts(any_box)
    # "master" besides: what the host mounts beneath a shared root arrives.
    assert {t.split(":")[0] for t in found["/"].tags} - {"master"} == ({tag} if tag else set())
    assert any(t.startswith("shared:") for t in found["/vol"].tags), "a volume keeps its own"


def test_the_root_as_a_slave_sees_mounts_of_the_host(any_box: Box) -> None:
    any_box.spec["linux"]["rootfsPropagation"] = "slave"
    any_box.inside("mount", "--bind", any_box.rootfs, any_box.rootfs)
    any_box.inside("mount", "--make-shared", any_box.rootfs)
    try:
        any_box.start("sleep", "100")
        os.mkdir(f"{any_box.rootfs}/later")
        any_box.inside("mount", "-t", "tmpfs", "tmpfs", f"{any_box.rootfs}/later")
        assert "/later" in any_box("exec", "c", "cut", "-d ", "-f5", "/proc/self/mountinfo").stdout.split()
        any_box("exec", "c", "mount", "-t", "tmpfs", "tmpfs", "/tmp")
        assert f"{any_box.rootfs}/tmp " not in any_box.inside("cat", "/proc/self/mountinfo").stdout
    finally:
        any_box("delete", "--force", "c")
        any_box.inside("umount", "-R", any_box.rootfs)


def test_tmpfs_data(any_box: Box) -> None:
    os.mkdir(f"{any_box.rootfs}/private")
    os.chmod(f"{any_box.rootfs}/private", 0o712)
    add(any_box, "/sized", "size=64k", "mode=1711", "nr_inodes=50", type="tmpfs", source="named")
    add(any_box, "/late", "size=128k", "mode=0750", "rprivate", type="tmpfs")
    add(any_box, "/private", type="tmpfs")
    add(any_box, "/new", type="tmpfs")
    out = any_box.sh("stat -c %a /sized /late /private /new; grep -E ' /(sized|late) ' /proc/self/mountinfo")
    assert out.split()[:4] == ["1711", "750", "712", "1777"], "the covered directory's mode, if there was one"
    assert "size=64k" in out and "size=128k" in out and " tmpfs named " in out


def test_tmpcopyup(any_box: Box) -> None:
    seed = f"{any_box.rootfs}/seed"
    os.makedirs(f"{seed}/sub")
    with open(f"{seed}/file", "w") as f:
        f.write("kept")
    os.chmod(f"{seed}/file", 0o640)
    os.symlink("file", f"{seed}/link")
    os.mkfifo(f"{seed}/sub/fifo")
    os.chmod(seed, 0o751)
    add(any_box, "/seed", "tmpcopyup", type="tmpfs")
    add(any_box, "/seed/sub", "tmpcopyup", "ro", type="tmpfs")
    script = (
        "cd /seed; cat file; readlink link; stat -c %a . file; [ -p sub/fifo ] && echo fifo; touch new; touch sub/x || echo ro"
    )
    p = any_box.run("sh", "-c", script)
    assert p.stdout.split() == ["keptfile", "751", "640", "fifo", "ro"]
    assert sorted(os.listdir(seed)) == ["file", "link", "sub"]


def test_bind_of_each_kind_of_file(any_box: Box) -> None:
    vol = directory(any_box, file="text")
    os.mkfifo(f"{vol}/fifo")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{vol}/sock")
        for name in ("file", "fifo", "sock"):
            for form in ("rw", "ro", "rro"):
                add(any_box, f"/made/{form}/{name}", "bind", form, source=f"{vol}/{name}")
        add(any_box, "/made/null", "bind", source="/dev/null")
        add(any_box, "relative/file", "bind", source="../vol/file")
        out = any_box.sh(
            "cd /made/ro; cat file; [ -p fifo ] && echo -p; [ -S sock ] && echo -s; [ -c ../null ] && echo -c; cat /relative/file"
        )
    assert out.split() == ["text-p", "-s", "-c", "text"]


def test_remount(any_box: Box) -> None:
    add(any_box, "/t", "size=64k", type="tmpfs")
    add(any_box, "/t", "remount", "ro", "size=32k", type="tmpfs")
    add(any_box, "/b", "bind", source=directory(any_box))
    add(any_box, "/b", "remount", "bind", "ro", "nosuid", source="ignored")
    found = mounts(any_box)
    assert {"ro", "size=32k"} <= found["/t"].super
    assert {"ro", "nosuid"} <= found["/b"].flags


def test_copy_symlink(any_box: Box) -> None:
    os.symlink("points/nowhere", f"{any_box.dir}/link")
    add(any_box, "/a/b/link", "rbind", "copy-symlink", source=f"{any_box.dir}/link")
    add(any_box, "/vol", "bind", "copy-symlink", source=directory(any_box))
    out = any_box.sh("readlink /a/b/link; grep -c ' /vol ' /proc/self/mountinfo")
    assert out.split() == ["points/nowhere", "1"]
    os.unlink(f"{any_box.rootfs}/a/b/link")
    os.symlink("elsewhere", f"{any_box.rootfs}/a/b/link")
    p = any_box.run("true")
    assert p.returncode == 1
    assert p.stderr == "mounts[4]: create link `/a/b/link`: something else is there already\n"


def test_links_as_themselves(any_box: Box) -> None:
    """src-nofollow: the link is what is mounted; dest-nofollow: the link is what is covered."""
    with open(f"{any_box.dir}/file", "w") as f:
        f.write("content")
    os.symlink(f"{any_box.dir}/file", f"{any_box.dir}/link")
    for name in ("one", "two", "three"):
        os.symlink("to-nowhere", f"{any_box.rootfs}/{name}")
    add(any_box, "/one", "bind", "dest-nofollow", "src-nofollow", source=f"{any_box.dir}/link")
    add(any_box, "/two", "bind", "dest-nofollow", source=f"{any_box.dir}/link")
    add(any_box, "/three", "bind", source=f"{any_box.dir}/file")
    add(any_box, "/four", "bind", "dest-nofollow", source=f"{any_box.dir}/file")
    out = any_box.sh("readlink /one; cat /two; readlink /three; cat /to-nowhere; cat /four")
    assert out.split() == [f"{any_box.dir}/file", "contentto-nowhere", "contentcontent"]


def test_link_of_procfs_cannot_be_covered(any_box: Box) -> None:
    os.symlink("x", f"{any_box.dir}/link")
    add(any_box, "/proc/self", "bind", "dest-nofollow", "src-nofollow", source=f"{any_box.dir}/link")
    p = any_box.run("true")
    assert (p.returncode, p.stderr) == (1, "mounts[4]: create mount target `/proc/self`: Operation not permitted\n")


def test_special_file_systems(any_box: Box) -> None:
    add(any_box, "/dev/mqueue", "nosuid", "noexec", "nodev", type="mqueue", source="mqueue")
    add(any_box, "/dev/shm", "mode=1777", "size=64k", type="tmpfs", source="shm")
    found = mounts(any_box)
    kinds = {"/proc": "proc", "/sys": "sysfs", "/dev/pts": "devpts", "/dev/mqueue": "mqueue", "/dev/shm": "tmpfs"}
    assert {p: found[p].type for p in kinds} == kinds
    assert any_box.sh("stat -c %a /dev/pts/ptmx; readlink /dev/ptmx").split() == ["666", "pts/ptmx"]


@pytest.mark.parametrize("kind", ["cgroup", "cgroup2"])
@pytest.mark.parametrize("namespace", [True, False])
def test_cgroup(any_box: Box, kind: str, namespace: bool) -> None:
    need(os.path.exists("/sys/fs/cgroup/cgroup.controllers"), "/sys/fs/cgroup is not cgroup v2", optional=True)
    if not namespace:
        any_box.spec["linux"]["namespaces"] = [n for n in any_box.spec["linux"]["namespaces"] if n["type"] != "cgroup"]
    add(any_box, "/sys/fs/cgroup", "ro", "nosuid", "noexec", "nodev", type=kind, source="cgroup")
    mount = mounts(any_box)["/sys/fs/cgroup"]
    assert mount.type == "cgroup2" and {"ro", "nosuid", "noexec", "nodev"} <= mount.flags
    assert "cgroup.procs" in any_box.sh("ls /sys/fs/cgroup")


def test_sysfs_of_the_host(any_box: Box) -> None:
    """Without a network namespace of its own an ordinary user gets the host's, with the flags on all of it."""
    any_box.spec["linux"]["namespaces"] = [n for n in any_box.spec["linux"]["namespaces"] if n["type"] != "network"]
    found = mounts(any_box)
    assert all("ro" in m.flags for p, m in found.items() if p == "/sys" or p.startswith("/sys/"))


def test_overlay(any_box: Box) -> None:
    lower, upper, work = (directory(any_box, n) for n in ("lower", "upper", "work"))
    with open(f"{lower}/a", "w") as f:
        f.write("from below")
    options = [f"lowerdir={lower}", f"upperdir={upper}", f"workdir={work}"]
    add(any_box, "/o", *options, type="overlay", source="overlay")
    assert any_box.sh("cat /o/a; echo changed > /o/a; cat /o/a") == "from belowchanged\n"
    assert os.listdir(upper) == ["a"]


def test_the_root_can_be_covered(any_box: Box) -> None:
    """What is mounted on / is the root, for what is mounted later too."""
    other = directory(any_box, "other")
    subprocess.run(["cp", "-a", f"{any_box.rootfs}/.", other], check=True)
    with open(f"{other}/mark", "w") as f:
        f.write("covered")
    any_box.spec["mounts"].insert(0, {"destination": "/", "options": ["bind"], "source": other})
    assert any_box.sh("cat /mark; ls /dev/null /proc/self/exe").split() == ["covered/dev/null", "/proc/self/exe"]


def test_readonly_root_and_mounts_on_it(any_box: Box) -> None:
    any_box.spec["root"]["readonly"] = True
    add(any_box, "/new/place", type="tmpfs")
    assert any_box.sh("touch /x 2>/dev/null || echo ro; touch /new/place/x && echo rw").split() == ["ro", "rw"]


def test_readonly_and_masked_keep_the_flags_above(any_box: Box) -> None:
    add(any_box, "/test", "rbind", "nosuid", "noexec", "nodev", source=directory(any_box, a="x", b="y"))
    any_box.spec["linux"].update(readonlyPaths=["/test/a", "/proc/bus"], maskedPaths=["/test/b"])
    found = mounts(any_box)
    assert {"ro", "nosuid", "noexec", "nodev"} <= found["/test/a"].flags
    assert {"ro", "nosuid", "noexec", "nodev"} <= found["/proc/bus"].flags
    assert any_box.sh("cat /test/b") == "" and found["/test/b"].type in ("devtmpfs", "tmpfs")


# --- id-mapped mounts: root's, as the kernel wants rights over the file system itself -----------------------------------


def owners(box: Box, place: str) -> str:
    return box.sh(f"stat -c %u:%g {place}/file").strip()


def ids(inside: int, outside: int, size: int = 10) -> list[dict[str, int]]:
    return [{"containerID": inside, "hostID": outside, "size": size}]


def user_namespace(box: Box, host: int) -> None:
    box.spec["linux"]["namespaces"].append({"type": "user"})
    box.spec["linux"].update(uidMappings=ids(0, host), gidMappings=ids(0, host))
    subprocess.run(["chown", "-R", f"{host}:{host}", box.dir], check=True)
    os.chmod(box.dir, 0o711)


@pytest.mark.parametrize("option", ["idmap", "ridmap"])
@pytest.mark.parametrize(("first", "seen"), [(1, "0:0"), (2, "1:1")])
def test_mappings_of_a_mount(root_box: Box, option: str, first: int, seen: str) -> None:
    user_namespace(root_box, 1)
    vol = directory(root_box, file="x")
    add(root_box, "/m", "bind", "ro", option, source=vol)
    root_box.spec["mounts"][-1].update(uidMappings=ids(0, first), gidMappings=ids(0, first))
    assert owners(root_box, "/m") == seen


def test_mappings_without_a_user_namespace(root_box: Box) -> None:
    add(root_box, "/m", "bind", source=directory(root_box, file="x"))
    root_box.spec["mounts"][-1].update(uidMappings=ids(0, 1000), gidMappings=ids(0, 2000))
    assert owners(root_box, "/m") == "1000:2000"
    p = root_box.run("touch", "/m/new")
    assert p.returncode == 1 and "Value too large" in p.stderr, "root has no id in this mount"


@pytest.mark.parametrize(
    ("option", "seen"),
    [
        ("idmap", "0:0"),
        ("idmap=uids=0-5-10;gids=0-6-10", "0:1"),
        ("ridmap=gids=0-5-1#3-9-1;uids=0-7-10", "2:0"),
        ("idmap=uids=@0-3-10;gids=@0-4-10", "3:4"),
    ],
)
def test_idmap_option(root_box: Box, option: str, seen: str) -> None:
    user_namespace(root_box, 5)
    add(root_box, "/m", "bind", option, source=directory(root_box, file="x"))
    assert owners(root_box, "/m") == seen


def test_idmap_of_a_joined_user_namespace(root_box: Box) -> None:
    user_namespace(root_box, 7)
    pid = root_box.start("sleep", "100", name="first")
    for n in root_box.spec["linux"]["namespaces"]:
        if n["type"] == "user":
            n["path"] = f"/proc/{pid}/ns/user"
    add(root_box, "/m", "bind", "idmap", source=directory(root_box, file="x"))
    assert owners(root_box, "/m") == "0:0"


def test_idmap_is_refused_to_an_ordinary_user(box: Box) -> None:
    vol = directory(box, file="x")
    add(box, "/m", "bind", source=vol)
    box.spec["mounts"][-1].update(uidMappings=ids(0, 1), gidMappings=ids(0, 1))
    p = box.run("true")
    assert p.returncode == 1 and p.stderr.startswith("mounts[4]: map the ids of `") and p.stderr.count("\n") == 1


def test_options_of_a_cgroup_mount(any_box: Box) -> None:
    """Those of cgroup v1 are left out, all others are for the kernel to take or refuse."""
    any_box.spec["mounts"].append(
        {"destination": "/cg", "type": "cgroup", "source": "cgroup", "options": ["ro", "name=systemd", "cpu", "memory"]}
    )
    assert "ro" in mounts(any_box)["/cg"].flags
    any_box.spec["mounts"][-1]["options"].append("no_such_option")
    p = any_box.run("true")
    assert p.returncode == 1 and "mount `cgroup` to `/cg`: Invalid argument" in p.stderr
