"""What a container sees of files: its root, mounts, devices, paths that are masked or read-only."""

import os
import shutil

import pytest

from tests.support.box import NO_MKDIR, Box, user_namespace
from tests.support.need import need


def test_devices_and_links(box: Box) -> None:
    out = box.sh(
        "cd /dev; for d in null zero full random urandom tty; do [ -c $d ] || echo no $d; done; "
        "for l in fd stdin stdout stderr ptmx; do readlink $l; done; echo x > /dev/null; head -c 2 /dev/zero | wc -c"
    )
    assert out.split() == [
        "/proc/self/fd",
        "/proc/self/fd/0",
        "/proc/self/fd/1",
        "/proc/self/fd/2",
        "pts/ptmx",
        "2",
    ]


def test_mounts(box: Box) -> None:
    os.makedirs(f"{box.dir}/vol/sub")
    with open(f"{box.dir}/file", "w") as f:
        f.write("content")
    os.makedirs(f"{box.rootfs}/var/seed")
    with open(f"{box.rootfs}/var/seed/a", "w") as f:
        f.write("seeded")
    box.spec["mounts"] += [
        {
            "destination": "/mnt/vol",
            "type": "bind",
            "source": f"{box.dir}/vol",
            "options": ["rbind", "rprivate", "ro", "nosuid"],
        },
        {"destination": "/mnt/rw", "type": "bind", "source": f"{box.dir}/vol", "options": ["rbind", "rw"]},
        {"destination": "/a/b/file", "source": f"{box.dir}/file", "options": ["bind", "ro"]},
        {
            "destination": "/var",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["size=128k", "mode=711", "tmpcopyup", "nodev"],
        },
        {"destination": "/tmp/ro", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]},
    ]
    out = box.sh(
        "touch /mnt/vol/x 2>/dev/null || echo vol-ro; touch /mnt/rw/y && echo rw; cat /a/b/file; echo; "
        "echo z 2>/dev/null > /a/b/file || echo file-ro; cat /var/seed/a; echo; touch /var/new && echo var; "
        "touch /tmp/ro/x 2>/dev/null || echo tmp-ro; "
        "grep ' /var ' /proc/self/mountinfo | cut -d' ' -f6"
    )
    assert out.split() == [
        "vol-ro",
        "rw",
        "content",
        "file-ro",
        "seeded",
        "var",
        "tmp-ro",
        "rw,nodev,relatime",
    ]
    assert os.path.exists(f"{box.dir}/vol/y")
    missing = {"destination": "/m", "type": "bind", "source": "/no/such/thing", "options": ["bind"]}
    box.spec["mounts"].append(missing)
    p = box.run("true")
    assert p.returncode == 1 and p.stderr == "mounts[9]: mount `/no/such/thing` to `/m`: No such file or directory\n"


def test_mount_targets_stay_beneath_the_root(box: Box) -> None:
    """Links of the image that point out of it are resolved in it."""
    os.makedirs(f"{box.dir}/outside")
    os.symlink(f"{box.dir}/outside", f"{box.rootfs}/abs")
    os.symlink("../../outside", f"{box.rootfs}/rel")
    os.symlink("/run/resolve/stub.conf", f"{box.rootfs}/etc/resolv.conf")
    with open(f"{box.dir}/file", "w") as f:
        f.write("bound")
    for destination in ("/abs/x", "/rel/y", "/../../../outside/z", "/etc/resolv.conf"):
        box.spec["mounts"].append(
            {"destination": destination, "type": "bind", "source": f"{box.dir}/file", "options": ["bind"]}
        )
    out = box.sh("cat /abs/x /rel/y /outside/z /run/resolve/stub.conf /etc/resolv.conf")
    assert out == "bound" * 5
    assert os.listdir(f"{box.dir}/outside") == []


def test_proc_must_not_be_a_link(box: Box) -> None:
    os.rmdir(f"{box.rootfs}/proc")
    os.symlink("/tmp", f"{box.rootfs}/proc")
    p = box.run("true")
    assert (
        p.returncode == 1 and p.stderr == "mounts[0]: mount `proc` to `/proc`: the target must not be a symbolic link\n"
    )


def test_masked_and_readonly_paths(box: Box) -> None:
    with open(f"{box.rootfs}/secret/key", "w") as f:
        f.write("key")
    box.spec["linux"].update(
        maskedPaths=["/secret", "/proc/keys", "/proc/timer_list", "/no/such"],
        readonlyPaths=["/proc/sys", "/tmp", "/no/such"],
    )
    out = box.sh(
        "ls /secret; touch /secret/x 2>/dev/null || echo locked; [ -c /proc/timer_list ] && cat /proc/timer_list; "
        "touch /tmp/x 2>/dev/null || echo tmp-ro; "
        "echo 1 2>/dev/null >/proc/sys/net/ipv4/ip_forward || echo sys-ro"
    )
    assert out.split() == ["locked", "tmp-ro", "sys-ro"]


def test_readonly_root(box: Box) -> None:
    box.spec["root"]["readonly"] = True
    box.spec["mounts"].append({"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"})
    assert box.sh("touch /x 2>/dev/null || echo ro; touch /scratch/x && echo rw").split() == ["ro", "rw"]


def test_working_directory_is_made_before_the_root_is_readonly(box: Box) -> None:
    box.spec["root"]["readonly"] = True
    box.spec["process"]["cwd"] = "/made/for/it"
    assert box.sh("pwd") == "/made/for/it\n"


def test_root_is_all_there_is(box: Box) -> None:
    """Nothing of the host's mounts is left in the container."""
    points = box.sh("cut -d' ' -f5 /proc/self/mountinfo").split()
    assert points[0] == "/" and set(points) == {
        "/",
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        *(f"/dev/{d}" for d in "null zero full random urandom tty".split()),
    }


def test_program_file_cannot_be_written(box: Box) -> None:
    """CVE-2019-5736: a program that the user owns is run where nobody can reopen it for writing."""
    mine = f"{box.dir}/podlike-spawn"
    shutil.copy(box.runtime, mine)
    box.runtime = mine
    pid = box.create("true")
    p = box.inside("sh", "-c", f"echo x > /proc/{pid}/exe")
    assert p.returncode != 0 and "Read-only file system" in p.stderr


def test_program_run_by_itself_in_the_container(box: Box) -> None:
    with open(f"{box.rootfs}/evil", "w") as f:
        f.write("#!/proc/self/exe\n")
    os.chmod(f"{box.rootfs}/evil", 0o755)
    mine = f"{box.dir}/podlike-spawn"
    shutil.copy(box.runtime, mine)
    box.runtime = mine
    with open(mine, "rb") as f:
        before = f.read()
    box.run("/evil")
    with open(mine, "rb") as f:
        assert f.read() == before


@pytest.mark.parametrize(
    "script",
    [
        "grep -E '^(Cap|Uid|Gid|Groups|NoNewPrivs|Seccomp:|SigIgn|SigBlk)' /proc/self/status",
        "ulimit -a; umask; pwd; env; hostname; id",
        "ls /dev; ls -d /proc/self/fd; readlink /dev/fd; readlink /dev/ptmx; cat /proc/self/limits",
        "cut -d' ' -f5 /proc/self/mountinfo | sort; touch /x && echo rw",
        "cat /proc/self/uid_map /proc/self/setgroups; cat /proc/self/oom_score_adj",
    ],
)
def test_same_as_crun(box: Box, script: str) -> None:
    crun = shutil.which("crun")
    need(crun, "optional: no crun to compare with", optional=True)
    assert crun is not None
    box.spec["ociVersion"] = "1.0.2"  # all that older ones take
    box.spec["linux"].update(readonlyPaths=["/proc/sys"], seccomp=NO_MKDIR)
    mine = box.run("sh", "-c", script)
    box.runtime = crun
    theirs = box.run("sh", "-c", script)
    assert (mine.returncode, mine.stdout, mine.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)


def test_devices_of_the_configuration(root_box: Box) -> None:
    root_box.spec["linux"]["devices"] = [
        {"path": "/dev/a", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"path": "/deep/er/b", "type": "b", "major": 7, "minor": 200},
        {"path": "/dev/p", "type": "p", "fileMode": 0o600, "uid": 1, "gid": 2},
        {"path": "/dev/u", "type": "u", "major": 1, "minor": 3},
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600},
    ]
    script = "stat -c '%a %u:%g %t:%T' /dev/a /deep/er/b /dev/u /dev/null; stat -c '%a %u:%g %F' /dev/p"
    expected = "640 3:4 1:5\n666 0:0 7:c8\n666 0:0 1:3\n600 0:0 1:3\n600 1:2 fifo\n"
    assert root_box.sh(script) == expected
    # With a user namespace nobody in the container could make them.
    user_namespace(root_box, (0, 100, 50))
    shutil.rmtree(f"{root_box.rootfs}/deep")
    assert root_box.sh(script) == expected


def test_devices_of_an_ordinary_user(box: Box) -> None:
    box.spec["linux"]["devices"] = [
        {"path": "/dev/zero", "type": "c", "major": 1, "minor": 5},
        {"path": "/dev/pipe", "type": "p"},
    ]
    assert box.sh("head -c 3 /dev/zero | wc -c; [ -p /dev/pipe ] && echo p").split() == ["3", "p"]
    box.spec["linux"]["devices"] = [{"path": "/dev/x", "type": "c", "major": 240, "minor": 5}]
    p = box.run("true")
    assert p.returncode == 1 and p.stderr.startswith(
        "linux.devices[0]: create device `/dev/x`: it cannot be made in a user namespace"
    )
    with open(f"{box.rootfs}/occupied", "w") as f:
        f.write("text")
    box.spec["linux"]["devices"] = [{"path": "/occupied", "type": "c", "major": 1, "minor": 3}]
    p = box.run("true")
    assert p.stderr == "linux.devices[0]: create device `/occupied`: another file is there already\n"
