"""Options of run whose effect is seen from inside the container, or in what is left of it."""

import os
import re
import time
from pathlib import Path

import pytest

from tests.support import oci
from tests.support.engine import Engine
from tests.support.oci import Dir, File


def run(podlike: Engine, *args: str) -> str:
    return podlike("run", "--rm", "--network", "none", *args).line


# --- the image goes with the container ---


def load(podlike: Engine, name: str, *layers: bytes) -> str:
    archive = f"{podlike.dir}/{name}.tar"
    oci.write_oci_archive(archive, {f"localhost/{name}:1": oci.Image(layers=[oci.busybox_layer(), *layers], config={})})
    podlike("load", "-q", "-i", archive)
    os.unlink(archive)
    return f"localhost/{name}:1"


def exists(podlike: Engine, image: str) -> bool:
    return podlike("image", "exists", image, check=False).code == 0


def test_rmi(podlike: Engine, name: str) -> None:
    target = load(podlike, name, oci.layer([File("only-here", name.encode())]))
    podlike("run", "--name", "/" + name, "--network", "none", target, "true")
    kept = podlike("run", "--rmi", "--network", "none", target, "true")
    assert "level=warning" in kept.stderr and "image is in use by a container" in kept.stderr
    assert exists(podlike, target)
    podlike("rm", "/" + name)
    assert run(podlike, "--rmi", target, "echo", "last") == "last"
    assert not exists(podlike, target)
    refused = podlike("run", "--rmi", "--rm=false", target, "true", check=False)
    assert (refused.code, refused.stderr) == (125, "Error: the --rmi option does not work without --rm\n")


def test_rmi_of_a_detached_container(podlike: Engine, name: str) -> None:
    target = load(podlike, name, oci.layer([File("only-here", name.encode())]))
    podlike("run", "-d", "--name", name, "--rmi", "--network", "none", target, "sleep", "100")
    shown = podlike("inspect", "-f", "{{.HostConfig.AutoRemoveImage}} {{.HostConfig.AutoRemove}}", name).line
    assert shown == "true true"
    podlike("stop", "-t", "0", name)
    assert not exists(podlike, target)
    target = load(podlike, name, oci.layer([File("only-here", name.encode())]))
    podlike("run", "-d", "--rmi", "--network", "none", target, "true")
    deadline = time.monotonic() + 10
    while exists(podlike, target):
        assert time.monotonic() < deadline, "the monitor's clean-up left the image"
        time.sleep(0.1)


# --- the root directory ---


@pytest.mark.parametrize(("layers", "mode"), [
    ([], "555"),  # nobody says anything
    ([[Dir("./", 0o711)]], "711"),
    ([[Dir("./", 0o750)], [File("above", b"")]], "750"),  # a layer without an entry changes nothing
    ([[Dir("./", 0o750)], [Dir(".", 0o700)]], "700"),
])
def test_mode_of_the_root_directory(podlike: Engine, name: str, layers: list[list[oci.Entry]], mode: str) -> None:
    target = load(podlike, name, *(oci.layer(entries) for entries in layers))
    assert run(podlike, target, "stat", "-c", "%a", "/") == mode
    podlike("rmi", target)


# --- environment, working directory, streams ---


def test_unset_environment_options(podlike: Engine, image: str) -> None:
    assert "TERM=" not in run(podlike, "--unsetenv=TERM", "-t=false", image, "env")
    names = {line.partition("=")[0] for line in run(podlike, "--unsetenv-all", "-e", "A=b", image, "/bin/env").splitlines()}
    assert names <= {"A", "HOME", "HOSTNAME", "SHLVL", "PWD"} and "A" in names


def test_working_directory_above_a_volume(podlike: Engine, image: str, tmp_path: Path) -> None:
    (tmp_path / "content").write_text("x")
    os.chmod(tmp_path, 0o755)
    assert run(podlike, "-w", "/made", "-v", f"{tmp_path}:/made/foo", image, "cat", "foo/content") == "x"
    missing = podlike("run", "--rm", "-w", "/mad", "-v", f"{tmp_path}:/made/foo", image, "true", check=False)
    assert missing.code == 126 and 'workdir "/mad" does not exist on container' in missing.stderr


def test_attach_stdin_only_prints_the_id(podlike: Engine, image: str, name: str) -> None:
    out = podlike("run", "--name", name, "--network", "none", "--attach", "stdin", image, "echo", "hello").line
    assert out == podlike("inspect", "-f", "{{.Id}}", name).line


def test_log_of_binary_output(podlike: Engine, image: str, name: str) -> None:
    count = 200_000
    podlike("run", "--name", name, "--network", "none", "--attach", "stderr", image,
            "dd", "if=/dev/zero", f"count={count}", "bs=1")
    path = podlike("inspect", "-f", "{{.HostConfig.LogConfig.Path}}", name).line
    assert Path(path).read_bytes().count(b"\0") == count
    assert podlike("logs", name).stdout.count("\0") == count


# --- what inspect says ---


def test_log_configuration(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", name, "--log-opt", "max-size=9.045m", image)
    form = "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Size}} {{.HostConfig.LogConfig.Path}}"
    kind, size, path = podlike("inspect", "-f", form, name).line.split(" ")
    assert (kind, size) == ("k8s-file", "9.045MB") and path.startswith("/")
    podlike("create", "--replace", "--name", name, "--log-driver", "none", image)
    assert podlike("inspect", "-f", form, name).stdout == "none 0B \n"


def test_runtime_named_by_path(podlike: Engine, image: str, name: str) -> None:
    path = podlike("info", "-f", "{{.Host.OCIRuntime.Path}}").line
    podlike("--runtime", path, "create", "--name", name, image)
    assert podlike("inspect", "-f", "{{.OCIRuntime}}", name).line == path


# --- exit codes and exact words ---


def test_never_pull_says_one_line(podlike: Engine) -> None:
    result = podlike("run", "--pull=never", "localhost/no-such:1", "true", check=False)
    assert (result.code, result.stderr) == (125, "Error: localhost/no-such:1: image not known\n")


def test_port_in_use_is_126_and_leaves_nothing(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, "-p", "127.0.0.1::80", image, "sleep", "100")
    port = re.search(r":(\d+)", podlike("port", name).stdout)
    assert port is not None
    failed = podlike("run", "-d", "-p", f"127.0.0.1:{port.group(1)}:80", image, "sleep", "100", check=False)
    assert failed.code == 126 and "ddress already in use" in failed.stderr
    assert podlike("ps", "-aq").stdout.split() == [podlike("inspect", "-f", "{{slice .Id 0 12}}", name).line]


def test_host_cgroup_namespace_is_read_only(podlike: Engine, image: str) -> None:
    for mode in ("host", "private"):
        mounts = podlike("run", "--rm", "--network=host", f"--cgroupns={mode}", image, "cat", "/proc/self/mountinfo").stdout
        last = [line.split() for line in mounts.splitlines() if line.split()[4] == "/sys/fs/cgroup"][-1]
        assert last[3] == "/" and last[5].split(",")[0] == "ro", last


# --- users of the host ---


def test_host_users(podlike: Engine, image: str) -> None:
    import grp
    import pwd

    me = pwd.getpwuid(os.getuid())
    group = grp.getgrgid(me.pw_gid).gr_name
    assert me.pw_name not in run(podlike, image, "cat", "/etc/passwd")
    added = [line for line in run(podlike, f"--hostuser={me.pw_name}", image, "cat", "/etc/passwd").splitlines()
             if line.startswith(me.pw_name + ":")]
    assert added == [f"{me.pw_name}:*:{me.pw_uid}:{me.pw_gid}:{me.pw_gecos}:{me.pw_dir}:/bin/sh"]
    both = ("--hostuser", str(me.pw_uid), "--user", f"{me.pw_name}:{me.pw_gid}")
    assert run(podlike, *both, image, "sh", "-c", "echo $(id -un):$(id -g)") == f"{me.pw_name}:{me.pw_gid}"
    assert run(podlike, *both, f"--group-entry={group}:x:$GID:", image, "id", "-gn") == group
    for flags in (["--hostuser=nosuchuser"], [*both[:3], f"{me.pw_name}:nosuchgroup"]):
        failed = podlike("run", "--rm", *flags, image, "true", check=False)
        assert failed.code == 126, failed
    assert "no matching entries in group file" in failed.stderr


def test_passwd_of_a_numeric_user(podlike: Engine, image: str) -> None:
    def last(*flags: str) -> str:
        return run(podlike, "-u", "4321", *flags, image, "cat", "/etc/passwd").splitlines()[-1]

    assert last() == "4321:*:4321:0:container user:/:/bin/sh"
    assert last("--passwd-entry", "me:x:$UID:$GID::/me:/bin/sh") == "me:x:4321:0::/me:/bin/sh"
    assert not last("--passwd=false").startswith("4321")


def test_time_zone_of_the_image_is_linked(podlike: Engine, image: str, name: str) -> None:
    zone = oci.layer([Dir("usr/share/zoneinfo/Europe"), File("usr/share/zoneinfo/Europe/Berlin", b"TZif2"),
                      Dir("etc"), File("etc/localtime", b"old")])
    target = load(podlike, name, zone)
    assert run(podlike, "--tz", "Europe/Berlin", target, "readlink", "/etc/localtime") == "../usr/share/zoneinfo/Europe/Berlin"
    podlike("rmi", target)


# --- what the host adds ---


def test_init(podlike: Engine, image: str, name: str) -> None:
    assert run(podlike, "--init", image, "cat", "/proc/1/comm") == "podman-init"
    assert run(podlike, "--init", image, "sh", "-c", "echo $$") == "2"
    for command, code in ((["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137), (["nosuch"], 127), (["/etc"], 126)):
        assert podlike("run", "--rm", "--network", "none", "--init", image, *command, check=False).code == code
    # An orphan that ends is taken: no zombie is left.
    orphan = "(sleep 0.1 & ) ; sleep 0.5; grep -l '^State:.*Z' /proc/[0-9]*/status | wc -l"
    assert run(podlike, "--init", image, "sh", "-c", orphan) == "0"
    podlike("run", "-d", "--name", name, "--network", "none", "--init", image, "sh", "-c",
            "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.1; done")
    deadline = time.monotonic() + 10
    while podlike("logs", name).stdout != "ready\n" and time.monotonic() < deadline:
        time.sleep(0.05)
    podlike("kill", "-s", "USR1", name)
    assert podlike("wait", name).line == "3" and podlike("logs", name).stdout == "ready\ngot\n"


def test_init_on_a_terminal(podlike: Engine, image: str) -> None:
    with podlike.terminal("run", "--rm", "-it", "--init", "--network", "none", image, "sh", "-c",
                          "trap 'echo one; ' INT; echo ready; n=0; while [ $n -lt 20 ]; do sleep 0.1; n=$((n+1)); done") as t:
        t.expect(b"ready")
        t.send(b"\x03")
        t.expect(b"one")
        assert t.wait() == 0
        assert t.output.count(b"one\r\n") == 1


def test_hooks(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = tmp_path / "hook.sh"
    script.write_text(f'#!/bin/sh\ngrep -o \'"status": *"[a-z]*"\' | tr -d " " >> {log}\n')
    os.chmod(script, 0o755)
    os.chmod(tmp_path, 0o777)
    (tmp_path / "h.json").write_text('{"version": "1.0.0", "when": {"always": true}, "stages": ["prestart", "poststop"], '
                                     f'"hook": {{"path": "{script}", "env": ["PATH=/usr/bin:/bin"]}}}}')
    podlike("--hooks-dir", str(tmp_path), "run", "--name", name, "--network", "none", image, "true")
    assert len(log.read_text().splitlines()) == 2
    podlike("start", "-a", name)
    assert len(log.read_text().splitlines()) == 4, "a later start has forgotten the hooks"


def test_mounts_conf(podlike: Engine, image: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    conf = tmp_path / "mounts.conf"
    os.chmod(tmp_path, 0o755)

    def key(*flags: str) -> str:
        return podlike("run", "--rm", "--network", "none", f"--default-mounts-file={conf}", *flags, image, "sh", "-c",
                       "cat /run/secrets/key 2>/dev/null; true").line

    assert key() == ""
    conf.write_text(f"/no/such:/x\n{tmp_path}:/run/secrets\n")
    assert key() == "secret"
    assert key("--tmpfs", "/run/secrets") == ""


def test_read_only_everywhere(podlike: Engine, image: str) -> None:
    files = ["/tmp/a", "/dev/c", "/dev/shm/d", "/run/e"]
    assert run(podlike, "--read-only", image, "touch", *files) == ""
    failed = podlike("run", "--rm", "--read-only", "--read-only-tmpfs=false", image, "touch", *files, check=False)
    assert failed.code == 1 and failed.stderr.count("Read-only file system") == len(files)


def test_the_hosts_dev(podlike: Engine, image: str) -> None:
    assert run(podlike, "-v", "/dev:/dev", image, "sh", "-c", "test -c /dev/null && echo ok") == "ok"


def test_unshare(podlike: Engine) -> None:
    assert podlike("unshare", "id", "-u").line == "0"
    assert len(podlike("unshare", "cat", "/proc/self/uid_map").stdout.splitlines()) >= 2
    assert podlike("unshare", "sh", "-c", "exit 9", check=False).code == 9
    assert podlike("unshare", "nosuch-command", check=False).code == 127
    assert podlike("unshare", "/etc", check=False).code == 126
    inner = podlike("unshare", podlike.bin, "images", "-q").stdout
    assert inner and inner == podlike("images", "-q").stdout
    assert podlike("--noout", "unshare", "id").stdout == ""


def test_system_connection_list(podlike: Engine) -> None:
    assert podlike("system", "connection", "ls").stdout.split() == ["Name", "URI", "Identity", "Default", "ReadWrite"]
    assert podlike("system", "connection", "list", "-q").stdout == ""


def test_nothing_is_made_in_a_bound_run(podlike: Engine, image: str, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    assert run(podlike, "-v", f"{tmp_path}:/run", image, "sh", "-c", "test -e /run/.containerenv || echo none") == "none"
    assert os.listdir(tmp_path) == []
    for flags in ([], ["--tmpfs=/run"], ["--read-only"]):
        assert run(podlike, *flags, image, "stat", "-c", "%s", "/run/.containerenv") == "0"


# --- containers that depend on others; stopping ---


def test_rm_of_what_others_need(podlike: Engine, image: str, name: str) -> None:
    base = podlike("create", "--name", name, image).line
    joined = podlike("create", "--network", f"container:{name}", image).line
    refused = podlike("rm", base, check=False)
    assert refused.code == 125
    words = f"Error: container {base} has dependent containers which must be removed before it: {joined}"
    assert refused.stderr.startswith(words)
    assert podlike("rm", "--depend", name).stdout.split() == [joined, name]
    podlike("create", "--name", name, image)
    podlike("create", "--network", f"container:{name}", image)
    assert len(podlike("rm", "--all").stdout.split()) == 2


def test_stopping_is_seen(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--restart=always", "--name", name, "--network", "none", image, "sh", "-c",
            "trap 'echo asked' TERM; trap 'exit 42' USR1; echo ready; while :; do sleep 0.1; done")
    with podlike.popen("stop", "-t", "30", name) as stop:
        deadline = time.monotonic() + 10
        while "asked" not in podlike("logs", name).stdout and time.monotonic() < deadline:
            time.sleep(0.05)
        assert podlike("inspect", "-f", "{{.State.Status}} {{.State.Running}}", name).line == "stopping true"
        podlike("kill", "-s", "USR1", name)
        assert stop.wait(10) == 0
    assert podlike("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).line == "exited 42"


def test_the_stop_signal_ends_a_restart_policy(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--restart=always", "--name", name, "--network", "none", image, "sh", "-c",
            "trap 'exit 42' TERM; echo ready; while :; do sleep 0.1; done")
    deadline = time.monotonic() + 10
    while "ready" not in podlike("logs", name).stdout and time.monotonic() < deadline:
        time.sleep(0.05)
    podlike("kill", "-s", "TERM", name)
    assert podlike("wait", name).line == "42"
    time.sleep(1)
    form = "{{.State.Status}} {{.State.StoppedByUser}} {{.RestartCount}}"
    assert podlike("inspect", "-f", form, name).line == "exited true 0"


def test_logs_until_a_time_to_come(podlike: Engine, image: str, name: str) -> None:
    podlike("run", "-d", "--name", name, "--network", "none", image, "sh", "-c", "echo one; sleep 60")
    began = time.monotonic()
    assert podlike("logs", "-f", "--until", "1s", name, timeout=20).stdout == "one\n"
    assert 0.5 < time.monotonic() - began < 10


# --- a user namespace of its own ---


def test_keep_id(podlike: Engine, image: str, name: str, tmp_path: Path) -> None:
    import pwd

    me = pwd.getpwuid(os.getuid())
    assert run(podlike, "--userns=keep-id", image, "sh", "-c", "id -u; id -g; id -un") == \
        f"{me.pw_uid}\n{me.pw_gid}\n{me.pw_name}"
    assert run(podlike, "--userns=keep-id", image, "stat", "-c", "%u:%g", "/etc", "/bin/busybox", "/etc/hosts") == "0:0\n0:0\n0:0"
    assert run(podlike, "--userns=keep-id", "--user=0", image, "id", "-un") == "root"
    assert run(podlike, "--userns=keep-id:uid=77,gid=88", image, "sh", "-c", "id -u; id -g") == "77\n88"
    os.chmod(tmp_path, 0o700)
    run(podlike, "--userns=keep-id", "-v", f"{tmp_path}:/mine", image, "sh", "-c", "echo x > /mine/file")
    st = (tmp_path / "file").stat()
    assert (st.st_uid, st.st_gid) == (me.pw_uid, me.pw_gid)
    podlike("run", "-d", "--name", name, "--network", "none", "--userns=keep-id", image, "sleep", "100")
    shown = podlike("inspect", "-f", "{{.HostConfig.UsernsMode}} {{index .HostConfig.IDMappings.UidMap 1}}", name).line
    assert shown == f"keep-id {me.pw_uid}:0:1"
    assert podlike("exec", name, "id", "-un").line == me.pw_name
    assert podlike("exec", "-u", "0", name, "sh", "-c", "echo a:x:4242:0::/:/bin/sh >> /etc/passwd && id -u a").line == "4242"


def test_keep_id_with_a_network(podlike: Engine, image: str) -> None:
    assert podlike("run", "--rm", "--userns=keep-id", image, "cat", "/sys/class/net/lo/operstate").code == 0


def test_given_maps(podlike: Engine, image: str) -> None:
    maps = run(podlike, "--uidmap", "0:1:2000", "--uidmap", "2000:0:1", image, "cat", "/proc/self/uid_map").split()
    assert maps == ["0", "1", "2000", "2000", "0", "1"]
    few = podlike("run", "--rm", "--uidmap", "0:0:5", image, "true", check=False)
    assert few.code == 126 and "which the mapping does not have" in few.stderr
    refused = podlike("run", "--rm", "--uidmap", "0:1:10", image, "true", check=False)
    assert refused.code == 125 and "your own id, 0, is not in it" in refused.stderr


def test_copies_for_namespaces_go_with_the_image(podlike: Engine, name: str) -> None:
    target = load(podlike, name, oci.layer([File("only-here", name.encode())]))
    copies = f"{podlike.data}/shifted"
    before = set(os.listdir(copies)) if os.path.isdir(copies) else set()
    for _ in range(2):
        assert run(podlike, "--userns=keep-id", target, "cat", "/only-here") == name
    assert len(set(os.listdir(copies)) - before) == 1
    podlike("rmi", target)
    assert set(os.listdir(copies)) == before


def test_start_of_what_cannot_run_is_125(podlike: Engine, image: str, name: str) -> None:
    podlike("create", "--name", name, "--network", "none", image, "/no/such/command")
    assert podlike("wait", name).line == "0"  # it never ran
    assert podlike("start", name, check=False).code == 125
    assert podlike("start", "-a", name, check=False).code == 127
