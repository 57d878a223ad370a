"""`run`: exit codes, streams, process settings, isolation, as podman's users know them."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import oci
from tests.support.engine import Engine, wait_for
from tests.support.need import need

CONFIGURED = "localhost/podlike-configured:latest"
HEX64 = re.compile(r"[0-9a-f]{64}")


@pytest.fixture(scope="module")
def configured(session_engine: Engine, image: str) -> Iterator[str]:
    """An image that sets everything an image can set."""
    archive = f"{session_engine.dir}/configured.tar"
    oci.write_docker_archive(
        archive,
        {
            CONFIGURED: oci.busybox_image(
                Entrypoint=["/bin/echo", "entry"],
                Cmd=["of", "image"],
                User="user",
                WorkingDir="/var/log",
                Env=["PATH=/usr/bin:/bin", "COLOUR=blue", "SPACED=a b"],
                Labels={"maker": "test"},
                StopSignal="SIGINT",
                ExposedPorts={"8080/tcp": {}},
                Volumes={"/var/stock": {}},
            )
        },
    )
    session_engine("load", "-i", archive)
    os.unlink(archive)
    yield CONFIGURED
    session_engine("rmi", "-f", CONFIGURED)


# --- exit codes ---


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["true"], 0),
        (["false"], 1),
        (["sh", "-c", "exit 42"], 42),
        (["sh", "-c", "exit 255"], 255),
        (["/etc/not-executable"], 126),
        (["/etc"], 126),
        (["nosuch"], 127),
        (["/bin/nosuch"], 127),
        (["./nosuch"], 127),
    ],
)
def test_exit_code(podlike: Engine, image: str, argv: list[str], code: int) -> None:
    result = podlike("run", "--rm", "--network", "none", image, *argv, check=False)
    assert result.code == code, result
    assert bool(result.stderr) == (code in (126, 127)), result
    assert result.stdout == ""


@pytest.mark.parametrize(
    "args",
    [
        ["--no-such-flag"],
        ["--network", "no-such-mode:x"],
        ["--pull", "never", "localhost/no-such-image"],
        ["-v", "/no/such/source:/mnt"],
        ["-v", "/tmp"[1:] + ":relative"],
        ["-p", "notaport"],
        ["-p", "70000:80"],
        ["--memory", "lots"],
        ["--user", "no-such-user"],
        ["--name", "no spaces allowed"],
        ["--runtime", "/no/such/runtime"],
        ["--cap-add", "NO_SUCH_CAP"],
        ["--security-opt", "seccomp=/no/such/profile"],
        ["--env-file", "/no/such/file"],
    ],
)
def test_engine_error_is_125(podlike: Engine, image: str, args: list[str]) -> None:
    target = [] if "localhost/no-such-image" in args else [image]
    result = podlike("run", "--rm", *args, *target, "true", check=False)
    assert result.code in ((125, 126) if args[0] == "--user" else (125,)), result
    assert result.stderr.strip() and result.stdout == "", result
    assert "Traceback" not in result.stderr, result
    assert podlike("ps", "-aq").stdout == ""


def test_missing_arguments_are_125(podlike: Engine) -> None:
    assert podlike("run", check=False).code == 125


def test_death_by_signal(podlike: Engine, image: str, name: str) -> None:
    with podlike.popen("run", "--name", name, "--network", "none", image, "sleep", "100") as run:
        wait_running(podlike, name)
        podlike("kill", "-s", "KILL", name)
        assert run.wait(20) == 137
    assert podlike("inspect", "-f", "{{.State.ExitCode}}", name).line == "137"


# --- streams ---


def test_stdout_and_stderr_stay_apart(podlike: Engine, image: str) -> None:
    result = podlike("run", "--rm", "--network", "none", image, "sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


def test_stdin_is_empty_unless_asked_for(podlike: Engine, image: str) -> None:
    assert podlike("run", "--rm", "--network", "none", image, "cat", input="lost").stdout == ""


def test_ten_megabytes_each_way(podlike: Engine, image: str) -> None:
    data = os.urandom(10 << 20)
    argv = [podlike.bin, "run", "-i", "--rm", "--network", "none", image, "cat"]
    out = subprocess.run(argv, input=data, stdout=subprocess.PIPE, env=podlike.env, timeout=60, check=True).stdout
    assert len(out) == len(data)
    assert out == data


def test_no_output_is_lost_at_a_quick_end(podlike: Engine, image: str) -> None:
    want = "".join(f"{i}\n" for i in range(1, 200_001))
    assert podlike("run", "--rm", "--network", "none", image, "seq", "200000").stdout == want


def test_stdin_end_of_file_reaches_the_container(podlike: Engine, image: str) -> None:
    result = podlike("run", "-i", "--rm", "--network", "none", image, "sh", "-c", "cat; echo end", input="a\nb\n")
    assert result.stdout == "a\nb\nend\n"


def test_client_survives_a_closed_stdout(podlike: Engine, image: str) -> None:
    run = podlike.popen(
        "run", "--rm", "--network", "none", image, "sh", "-c", "while echo y; do :; done", stderr=subprocess.DEVNULL
    )
    assert run.stdout is not None
    run.stdout.read(100)
    run.stdout.close()
    podlike("ps", "-q")  # it still answers
    ids = podlike("ps", "-q").stdout.split()
    if ids:
        podlike("kill", *ids, check=False)
    run.wait(20)


def test_arguments_arrive_as_given(podlike: Engine, image: str) -> None:
    args = ["", "two words", "quote\"'", "new\nline", "ünï", "-v", "--", "$HOME", "*"]
    assert podlike("run", "--rm", "--network", "none", image, "printf", "[%s]", *args).stdout == "".join(
        f"[{a}]" for a in args
    )


# --- signals ---


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_forwarded(podlike: Engine, image: str, signum: signal.Signals) -> None:
    script = f"trap 'echo got; exit 7' {signum.name[3:]}; echo ready; while :; do sleep 0.05; done"
    with podlike.popen("run", "--rm", "--network", "none", image, "sh", "-c", script) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        if podlike.is_podman:
            time.sleep(0.5)  # podman starts to forward some time after the container has started
        run.send_signal(signum)
        assert run.stdout.readline() == b"got\n"
        assert run.wait(20) == 7


@pytest.mark.parametrize("remove", [True, False])
def test_killed_client_leaves_a_container_that_is_cleaned_up(
    podlike: Engine, image: str, name: str, remove: bool
) -> None:
    with podlike.popen(
        "run",
        *(["--rm"] if remove else []),
        "--name",
        name,
        "--network",
        "none",
        image,
        "sh",
        "-c",
        "echo ready; sleep 1; exit 9",
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        run.kill()
        run.wait(20)
    if remove:
        wait_for(lambda: podlike("ps", "-aq").stdout == "", "the monitor to remove the container")
    else:
        wait_for(lambda: status(podlike, name) == "exited", "the container to end")
        assert podlike("inspect", "-f", "{{.State.ExitCode}}", name).line == "9"
        wait_for(lambda: not [m for m in podlike.mounts() if m.endswith("/merged")], "the overlay to be unmounted")


# --- the process ---


def out(podlike: Engine, *args: str) -> str:
    """stdout of a `run --rm` without network, without its last newline."""
    return podlike("run", "--rm", "--network", "none", *args).line


def test_environment(podlike: Engine, image: str, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\nFROM_FILE=f i\nFROM_HOST\n")
    shown = out_env(
        podlike, "-e", "A=1", "-e", "B=", "-e", "FROM_HOST2", "--env-file", str(file), "--hostname", "h", image
    )
    assert shown["A"] == "1"
    assert shown["B"] == ""
    assert shown["FROM_FILE"] == "f i"
    assert shown["FROM_HOST"] == "one"
    assert shown["FROM_HOST2"] == "two"
    assert shown["HOSTNAME"] == "h"
    assert shown["HOME"] == "/root"
    assert shown["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert "container" in shown
    assert not {"USER", "LOGNAME", "XDG_RUNTIME_DIR", "PODLIKE_ROOT", "PODLIKE_TEST_TOKEN"} & set(shown)


def out_env(podlike: Engine, *args: str) -> dict[str, str]:
    text = podlike(
        "run", "--rm", "--network", "none", *args, "env", env={"FROM_HOST": "one", "FROM_HOST2": "two"}
    ).stdout
    return dict(line.split("=", 1) for line in text.splitlines())


def test_unset_environment(podlike: Engine, configured: str) -> None:
    assert "COLOUR" not in out(podlike, "--unsetenv", "COLOUR", "--entrypoint", "env", configured)


@pytest.mark.parametrize(
    ("user", "want"),
    [
        ("0", "uid=0 gid=0"),
        ("user", "uid=1000 gid=1000"),
        ("1000", "uid=1000 gid=1000"),
        ("1000:2000", "uid=1000 gid=2000"),
        ("user:extra", "uid=1000 gid=2000"),
        ("4242", "uid=4242 gid=0"),
        ("4242:4343", "uid=4242 gid=4343"),
        ("nobody", "uid=65534 gid=65534"),
    ],
)
def test_user(podlike: Engine, image: str, user: str, want: str) -> None:
    shown = re.sub(r"\([^)]*\)", "", out(podlike, "-u", user, image, "id"))
    assert shown.startswith(want + " ") or shown == want, shown


def test_supplementary_groups_come_from_the_image(podlike: Engine, image: str) -> None:
    assert "2000" in out(podlike, "-u", "user", image, "id", "-G").split()
    assert "3000" in out(podlike, "--group-add", "3000", image, "id", "-G").split()


def test_home_follows_the_user(podlike: Engine, image: str) -> None:
    assert out(podlike, "-u", "user", image, "sh", "-c", "echo $HOME") == "/home/user"
    assert out(podlike, "-u", "user", image, "cat", "/home/user/mine") == "of user 1000"


def test_working_directory(podlike: Engine, image: str, configured: str) -> None:
    assert out(podlike, image, "pwd") == "/"
    assert out(podlike, "-w", "/etc", image, "pwd") == "/etc"
    assert out(podlike, "--entrypoint", "pwd", configured) == "/var/log"
    result = podlike("run", "--rm", "-w", "/no/such/dir", image, "pwd", check=False)
    assert result.code in (0, 126, 127)
    assert result.code or result.line == "/no/such/dir"


def test_entrypoint_and_command(podlike: Engine, configured: str) -> None:
    assert out(podlike, configured) == "entry of image"
    assert out(podlike, configured, "given") == "entry given"
    assert out(podlike, "--entrypoint", "/bin/printf", configured, "%s", "x") == "x"
    assert out(podlike, "--entrypoint", '["/bin/echo", "json"]', configured, "y") == "json y"
    assert out(podlike, "--entrypoint", "", configured, "echo", "bare") == "bare"


def test_image_settings(podlike: Engine, configured: str) -> None:
    assert out(podlike, "--entrypoint", "id", configured, "-u") == "1000"
    shown = out_env(podlike, "--entrypoint", "", configured)
    assert (shown["COLOUR"], shown["SPACED"], shown["PATH"]) == ("blue", "a b", "/usr/bin:/bin")
    assert out(podlike, "-e", "COLOUR=red", "--entrypoint", "", configured, "sh", "-c", "echo $COLOUR") == "red"


def test_empty_command_is_refused(podlike: Engine, configured: str, session_engine: Engine) -> None:
    archive = f"{session_engine.dir}/nothing.tar"
    oci.write_oci_archive(
        archive, {"localhost/podlike-nothing:latest": oci.Image(layers=[oci.layer([oci.Dir("etc")])])}
    )
    podlike("load", "-i", archive)
    os.unlink(archive)
    try:
        result = podlike("run", "--rm", "localhost/podlike-nothing", check=False)
        assert result.code == 125 and result.stderr, result
        assert podlike("run", "--rm", "localhost/podlike-nothing", "sh", check=False).code == 127
    finally:
        podlike("rmi", "-f", "localhost/podlike-nothing")


def test_hostname(podlike: Engine, image: str) -> None:
    assert out(podlike, "--hostname", "castle", image, "hostname") == "castle"
    shown = out(podlike, image, "hostname")
    assert re.fullmatch(r"[0-9a-f]{12}", shown), shown


def test_umask_and_descriptors(podlike: Engine, image: str) -> None:
    assert out(podlike, image, "sh", "-c", "umask") == "0022"
    assert out(podlike, "--umask", "0077", image, "sh", "-c", "umask") == "0077"
    # 3 is the directory that ls itself reads.
    assert out(podlike, image, "sh", "-c", "ls /proc/self/fd").split() == ["0", "1", "2", "3"]


def test_limits_and_priority(podlike: Engine, image: str) -> None:
    shown = out(podlike, "--ulimit", "nofile=512:1024", image, "sh", "-c", "ulimit -n; ulimit -Hn")
    assert shown.split() == ["512", "1024"]
    floor = int(Path("/proc/self/oom_score_adj").read_text())
    assert out(podlike, "--oom-score-adj", str(floor + 100), image, "cat", "/proc/self/oom_score_adj") == str(
        floor + 100
    )


# --- names and files of a run ---


def test_detached_prints_the_id(podlike: Engine, image: str, name: str) -> None:
    cid = podlike("run", "-d", "--name", name, "--network", "none", image, "sleep", "100").line
    assert HEX64.fullmatch(cid)
    assert podlike("inspect", "-f", "{{.Id}}", name).line == cid
    assert podlike("inspect", "-f", "{{.Name}}", cid[:12]).line == name


def test_detached_failure_to_start(podlike: Engine, image: str) -> None:
    result = podlike("run", "-d", "--rm", "--network", "none", image, "nosuch", check=False)
    assert result.code == 127, result
    wait_for(lambda: podlike("ps", "-aq").stdout == "", "nothing to be left")


def test_name_in_use(podlike: Engine, image: str, name: str) -> None:
    first = podlike("create", "--name", name, image, "true").line
    result = podlike("run", "--rm", "--name", name, image, "true", check=False)
    assert result.code == 125
    assert name in result.stderr
    assert podlike("ps", "-aq", "--no-trunc").stdout.split() == [first]
    podlike("run", "--name", name, "--replace", "--network", "none", image, "true")
    assert podlike("inspect", "-f", "{{.Id}}", name).line != first


def test_cidfile(podlike: Engine, image: str, tmp_path: Path) -> None:
    file = tmp_path / "cid"
    cid = podlike("run", "-d", "--cidfile", str(file), "--network", "none", image, "true").line
    assert file.read_text().strip() == cid
    again = podlike("run", "--rm", "--cidfile", str(file), "--network", "none", image, "true", check=False)
    assert again.code == 0
    assert len(file.read_text()) == len(cid) and file.read_text() != cid, "an old file is written anew, whole"


def test_rm_leaves_nothing(podlike: Engine, image: str) -> None:
    podlike("run", "--rm", "--network", "none", image, "sh", "-c", "echo data > /file; exit 3", check=False)
    assert podlike("ps", "-aq").stdout == ""


def test_containers_do_not_share_writes(podlike: Engine, image: str) -> None:
    out(podlike, image, "sh", "-c", "echo x > /etc/new; rm /etc/group; chmod 700 /etc")
    assert out(
        podlike, image, "sh", "-c", "ls /etc/new 2>/dev/null; cat /etc/group | wc -l; stat -c %a /etc"
    ).split() == ["4", "755"]


def test_eight_at_once(podlike: Engine, image: str) -> None:
    runs = [podlike.popen("run", "--rm", "--network", "none", image, "echo", str(i)) for i in range(8)]
    results = [(run.communicate(timeout=60), run.returncode) for run in runs]
    assert [(o, e, code) for (o, e), code in results] == [(f"{i}\n".encode(), b"", 0) for i in range(8)]


# --- mounts ---


def test_bind_mount(podlike: Engine, image: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from host")
    assert (
        out(podlike, "-v", f"{tmp_path}:/mnt", image, "sh", "-c", "cat /mnt/in; echo -n back > /mnt/out") == "from host"
    )
    made = tmp_path / "out"
    assert made.read_text() == "back"
    assert made.stat().st_uid == os.getuid()


def test_bind_mount_read_only(podlike: Engine, image: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("x")
    for spec in (["-v", f"{tmp_path}:/mnt:ro"], ["--mount", f"type=bind,source={tmp_path},target=/mnt,ro=true"]):
        result = podlike(
            "run", "--rm", "--network", "none", *spec, image, "sh", "-c", "cat /mnt/in; touch /mnt/new", check=False
        )
        assert result.stdout == "x"
        assert result.code == 1 and "Read-only file system" in result.stderr, result
    assert sorted(os.listdir(tmp_path)) == ["in"]


def test_bind_mount_of_a_file_and_a_relative_path(podlike: Engine, image: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("file")
    result = podlike(
        "run", "--rm", "--network", "none", "-v", "./f:/new/place:ro", image, "cat", "/new/place", cwd=str(tmp_path)
    )
    assert result.stdout == "file"


def test_bind_mount_of_an_unreadable_source(podlike: Engine, image: str) -> None:
    need(not os.access("/root", os.X_OK), "/root is open to this user", optional=True)
    result = podlike("run", "--rm", "--network", "none", "-v", "/root/x:/mnt", image, "true", check=False)
    assert result.code == 125, result
    assert "/root" in result.stderr and "ermission denied" in result.stderr
    assert podlike("ps", "-aq").stdout == ""


def test_mount_target_cannot_leave_the_root(podlike: Engine, image: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("safe")
    assert out(podlike, "-v", f"{tmp_path}/in:/tmp/../../../../mnt/x", image, "cat", "/mnt/x") == "safe"


def volumes(podlike: Engine) -> set[str]:
    """Names of all volumes, as the disk has them: `volume` is no part of what is tested here."""
    podmans = f"{podlike.home}/.local/share/containers/storage/volumes"
    try:
        return set(os.listdir(podmans if podlike.is_podman else f"{podlike.data}/volumes"))
    except FileNotFoundError:
        return set()


def test_named_volume_outlives_its_containers(podlike: Engine, image: str, name: str) -> None:
    out(podlike, "-v", f"{name}:/data", image, "sh", "-c", "echo kept > /data/f")
    assert out(podlike, "-v", f"{name}:/data:ro", image, "cat", "/data/f") == "kept"
    assert name in volumes(podlike)


def test_new_named_volume_gets_the_images_files(podlike: Engine, image: str, name: str) -> None:
    assert out(podlike, "-v", f"{name}:/home/user", image, "cat", "/home/user/mine") == "of user 1000"
    assert out(podlike, "-v", f"{name}:/x", image, "stat", "-c", "%u:%g:%a", "/x") == "1000:1000:700"


def test_anonymous_volume_goes_with_rm(podlike: Engine, image: str, configured: str) -> None:
    before = volumes(podlike)
    out(podlike, "-v", "/anon", image, "touch", "/anon/x")
    out(podlike, "--entrypoint", "ls", configured, "/var/stock")
    assert volumes(podlike) == before


def test_volumes_from_another_container(podlike: Engine, image: str, configured: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("bound")
    before = volumes(podlike)
    podlike("create", "--name", name, "-v", f"{tmp_path}:/mnt:ro", configured, "x")
    out(podlike, "--volumes-from", name, image, "sh", "-c", "echo shared > /var/stock/f")
    script = "cat /mnt/in /var/stock/f; touch /var/stock/g && echo writable"
    assert out(podlike, "--volumes-from", name, image, "sh", "-c", script).split() == ["boundshared", "writable"]
    flags = ["--network", "none", "--volumes-from", f"{name}:ro"]
    readonly = podlike("run", "--rm", *flags, image, "touch", "/var/stock/h", check=False)
    assert readonly.code == 1 and "Read-only" in readonly.stderr, readonly
    assert out(podlike, "--volumes-from", name, "--tmpfs", "/mnt", image, "ls", "/mnt") == ""
    assert len(volumes(podlike) - before) == 1
    podlike("rm", "-v", name)
    assert volumes(podlike) == before


def test_tmpfs_and_shm(podlike: Engine, image: str) -> None:
    assert "tmpfs" in out(podlike, "--tmpfs", "/scratch:size=1m", image, "grep", " /scratch ", "/proc/mounts")
    line = out(podlike, image, "grep", " /dev/shm ", "/proc/mounts")
    assert "size=64000k" in line or "size=65536k" in line, line


def test_read_only_root(podlike: Engine, image: str) -> None:
    result = podlike(
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        image,
        "sh",
        "-c",
        "touch /tmp/ok && touch /run/ok && touch /dev/shm/ok && echo fine; touch /etc/x",
        check=False,
    )
    assert result.stdout == "fine\n"
    assert result.code == 1 and "Read-only file system" in result.stderr


# --- isolation ---

DEFAULT_CAPS = sum(1 << n for n in (0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 31))  # capabilities(7); podman's eleven


def proc_status(podlike: Engine, *args: str) -> dict[str, str]:
    text = out(podlike, *args, "cat", "/proc/self/status")
    return {k: v.strip() for k, v in (line.split(":", 1) for line in text.splitlines())}


def test_default_capabilities(podlike: Engine, image: str) -> None:
    shown = proc_status(podlike, image)
    assert int(shown["CapEff"], 16) == DEFAULT_CAPS
    assert int(shown["CapPrm"], 16) == DEFAULT_CAPS
    assert int(shown["CapBnd"], 16) == DEFAULT_CAPS
    assert int(shown["CapAmb"], 16) == 0


def test_capabilities_of_an_ordinary_user(podlike: Engine, image: str) -> None:
    shown = proc_status(podlike, "-u", "user", image)
    assert int(shown["CapEff"], 16) == int(shown["CapPrm"], 16) == int(shown["CapAmb"], 16) == 0
    assert int(shown["CapBnd"], 16) == DEFAULT_CAPS


@pytest.mark.parametrize(
    ("args", "want"),
    [
        (["--cap-drop", "ALL"], 0),
        (["--cap-drop", "all", "--cap-add", "chown"], 1),
        (["--cap-drop", "CHOWN"], DEFAULT_CAPS & ~1),
        (["--cap-add", "CAP_NET_ADMIN"], DEFAULT_CAPS | 1 << 12),
    ],
)
def test_capabilities_added_and_dropped(podlike: Engine, image: str, args: list[str], want: int) -> None:
    shown = proc_status(podlike, *args, image)
    assert int(shown["CapEff"], 16) == want
    assert int(shown["CapBnd"], 16) == want


def test_privileged(podlike: Engine, image: str) -> None:
    shown = proc_status(podlike, "--privileged", image)
    assert int(shown["CapEff"], 16) & 1 << 21  # SYS_ADMIN
    assert shown["Seccomp"] == "0"


def test_seccomp_is_on(podlike: Engine, image: str) -> None:
    shown = proc_status(podlike, image)
    assert shown["Seccomp"] == "2"
    assert shown["NoNewPrivs"] == "0"
    assert proc_status(podlike, "--security-opt", "seccomp=unconfined", image)["Seccomp"] == "0"
    assert proc_status(podlike, "--security-opt", "no-new-privileges", image)["NoNewPrivs"] == "1"


def test_seccomp_profile_of_the_user(podlike: Engine, image: str, tmp_path: Path) -> None:
    profile = tmp_path / "p.json"
    profile.write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW",'
        ' "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}'
    )
    result = podlike(
        "run", "--rm", "--network", "none", "--security-opt", f"seccomp={profile}", image, "mkdir", "/x", check=False
    )
    assert result.code == 1 and "not supported" in result.stderr, result


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /mnt",
        "umount /proc",
        "unshare -m true",
        "hostname other",
        "mknod /tmp/d b 8 0",
        "chroot /proc/1/root/.. true; mount -o remount,rw /proc/sys",
        "insmod x",
    ],
)
def test_forbidden_from_inside(podlike: Engine, image: str, command: str) -> None:
    assert podlike("run", "--rm", "--network", "none", image, "sh", "-c", command, check=False).code != 0


def test_masked_and_read_only_paths(podlike: Engine, image: str) -> None:
    script = """
        for f in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug; do
            [ ! -e $f ] || [ "$(head -c 1 $f | wc -c)" = 0 ] || echo "readable $f"; done
        for d in /proc/acpi /proc/scsi /sys/firmware; do [ ! -d $d ] || [ -z "$(ls $d)" ] || echo "visible $d"; done
        for f in /proc/sys/kernel/domainname /proc/sysrq-trigger /proc/irq /proc/bus /proc/fs; do
            [ ! -e $f ] || { [ -d $f ] && mkdir $f/x 2>/dev/null; } && echo "writable $f"; done
        (echo x > /proc/sys/kernel/domainname) 2>/dev/null && echo "wrote domainname"
        (echo x > /sys/kernel/x) 2>/dev/null && echo "wrote sys"
        echo done"""
    assert [
        line for line in out(podlike, image, "sh", "-c", script).splitlines() if not line.startswith("writable")
    ] == ["done"]
    mounts = out(podlike, image, "cat", "/proc/mounts").splitlines()
    options = {words[1]: words[3].split(",") for words in (line.split() for line in mounts)}
    for path in ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys"):
        if not os.path.exists(path):
            continue  # a kernel without it
        assert "ro" in options[path], (path, options.get(path))
    assert {"nosuid", "nodev", "noexec"} <= set(options["/proc"])


def test_unmask(podlike: Engine, image: str) -> None:
    assert " /proc/kcore " not in out(podlike, "--security-opt", "unmask=ALL", image, "cat", "/proc/mounts")


def test_devices(podlike: Engine, image: str) -> None:
    shown = set(out(podlike, image, "ls", "/dev").split())
    assert {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "ptmx",
        "pts",
        "shm",
        "fd",
        "stdin",
        "stdout",
        "stderr",
    } <= shown
    assert not {d for d in shown if d.startswith(("sd", "vd", "nvme", "kmsg", "mem", "tun", "fuse"))}
    assert out(podlike, image, "sh", "-c", "echo x > /dev/null; head -c 3 /dev/zero | wc -c") == "3"


def namespaces(podlike: Engine, *args: str) -> dict[str, str]:
    kinds = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
    text = podlike(
        "run", "--rm", *args, "sh", "-c", "for n in " + " ".join(kinds) + "; do readlink /proc/self/ns/$n; done"
    ).stdout
    return dict(zip(kinds, text.split(), strict=True))


def own(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def test_all_namespaces_are_new(podlike: Engine, image: str) -> None:
    shown = namespaces(podlike, "--network", "none", image)
    same = [kind for kind, inode in shown.items() if inode == own(kind) and not (kind == "user" and os.geteuid() == 0)]
    assert same == []
    assert out(podlike, image, "sh", "-c", "echo $$") == "1"


@pytest.mark.parametrize(("flag", "kind"), [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--network", "net")])
def test_host_namespaces(podlike: Engine, image: str, flag: str, kind: str) -> None:
    need(
        not (podlike.is_podman and kind == "ipc" and not os.path.exists("/dev/mqueue")),
        "podman wants the host's /dev/mqueue",
        optional=True,
    )
    others = [] if flag == "--network" else ["--network", "none"]
    assert namespaces(podlike, *others, flag, "host", image)[kind] == own(kind)


def test_two_containers_share_no_namespace(podlike: Engine, image: str) -> None:
    one, two = (namespaces(podlike, "--network", "none", image) for _ in range(2))
    # Inode numbers of ended namespaces may be used again, so only what lives on can be compared.
    assert one["user"] == two["user"]


def test_join_a_container(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, "--network", "none", image, "sleep", "100")
    pid = podlike("inspect", "-f", "{{.State.Pid}}", name).line
    shown = namespaces(
        podlike, "--network", f"container:{name}", "--pid", f"container:{name}", "--ipc", f"container:{name}", image
    )
    for kind in ("net", "pid", "ipc"):
        assert shown[kind] == os.readlink(f"/proc/{pid}/ns/{kind}"), kind


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_another_runtime(podlike: Engine, image: str, name: str, runtime: str) -> None:
    found = [f"{d}/{runtime}" for d in ("/usr/bin", "/usr/sbin", "/usr/local/bin") if os.path.exists(f"{d}/{runtime}")]
    need(found, f"{runtime} is not installed", optional=runtime != "crun")
    for how in ([runtime], [found[0]])[: 1 if podlike.is_podman else 2]:
        prefix = ["--runtime", *how] if podlike.is_podman else []
        after = [] if podlike.is_podman else ["--runtime", *how]
        result = podlike(
            *prefix, "run", "--rm", "--network", "none", *after, image, "sh", "-c", "echo $$; exit 4", check=False
        )
        assert (result.stdout, result.code) == ("1\n", 4), result


def test_time_limit(podlike: Engine, image: str) -> None:
    started = time.monotonic()
    result = podlike("run", "--rm", "--network", "none", "--timeout", "1", image, "sleep", "100", check=False)
    assert result.code != 0
    assert time.monotonic() - started < 15


def status(podlike: Engine, name: str) -> str:
    return podlike("inspect", "-f", "{{.State.Status}}", name).line


def wait_running(podlike: Engine, name: str) -> None:
    wait_for(
        lambda: podlike("inspect", "-f", "{{.State.Status}}", name, check=False).line == "running", f"{name} to run"
    )
