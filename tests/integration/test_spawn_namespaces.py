"""Namespaces that are new, joined or the runtime's own; ids, sysctls, names and network devices in them."""

import json
import os
import shutil
import subprocess

import pytest

from tests.support.box import Box, user_namespace
from tests.support.need import need


def test_sysctl_of_the_host(box: Box) -> None:
    box.spec["linux"]["sysctl"] = {"vm.swappiness": "1"}
    p = box.run("true")
    words = "linux.sysctl.vm.swappiness: is not of any namespace, it would change the host's\n"
    assert (p.returncode, p.stderr) == (1, words)


def test_sysctl_and_hostname(box: Box) -> None:
    box.spec["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/forwarding": "0"}
    box.spec["domainname"] = "dom"
    assert box.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/domainname").split() == ["1", "dom"]
    box.spec["linux"]["sysctl"] = {"net.no.such": "1"}
    p = box.run("true")
    assert p.returncode == 1 and p.stderr == "linux.sysctl.net.no.such: open `/proc/sys/net/no/such`: No such file or directory\n"
    box.spec["linux"]["sysctl"] = {"net/../../../etc/passwd": "1"}
    p = box.run("true")
    assert p.returncode == 1 and p.stderr == "linux.sysctl.net/../../../etc/passwd: not the name of a sysctl\n"


def test_loopback_is_up(box: Box) -> None:
    assert box.sh("cat /sys/class/net/lo/operstate; cat /sys/class/net/lo/flags").split()[1] == "0x9"


def test_new_user_namespace(box: Box) -> None:
    box.spec["linux"]["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": 100, "size": 50}]
    box.spec["linux"].update(uidMappings=maps, gidMappings=maps)
    box.inside("chown", "-R", "100:100", box.rootfs)
    box.inside("chmod", "711", box.dir)
    out = box.sh("cat /proc/self/uid_map; id -u; touch /tmp/x && stat -c %u /tmp/x")
    assert out.split() == ["0", "100", "50", "0", "0"]
    assert box.inside("stat", "-c", "%u", f"{box.rootfs}/tmp/x").stdout == "100\n"
    box.start("sleep", "100")
    assert box("exec", "--user", "3", "c", "sh", "-c", "id -u; cat /proc/self/uid_map").stdout.split() == [
        "3",
        "0",
        "100",
        "50",
    ]


def test_namespaces_by_path(box: Box) -> None:
    first = box.start("sleep", "100", name="a")
    kinds = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts"}
    for ns in box.spec["linux"]["namespaces"]:
        if ns["type"] in kinds:
            ns["path"] = f"/proc/{first}/ns/{kinds[ns['type']]}"
    del box.spec["hostname"]
    box.spec["linux"]["namespaces"] = [n for n in box.spec["linux"]["namespaces"] if n["type"] != "uts"]
    links = "for n in pid net ipc; do readlink /proc/self/ns/$n; done"
    assert box.sh(links) == box("exec", "a", "sh", "-c", links).stdout
    box.spec["linux"]["namespaces"][0] = {"type": "pid", "path": f"/proc/{first}/ns/net"}
    p = box.run("true")
    assert (
        p.returncode == 1
        and p.stderr == f"linux.namespaces[0].path: `/proc/{first}/ns/net` is not a pid namespace\n"
    )


def without(box: Box, *types: str) -> None:
    box.spec["linux"]["namespaces"] = [n for n in box.spec["linux"]["namespaces"] if n["type"] not in types]


NS = {
    "pid": "pid",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "mount": "mnt",
    "cgroup": "cgroup",
    "time": "time",
    "user": "user",
}


ALL = f"for n in {' '.join(NS.values())}; do readlink /proc/self/ns/$n; done"


def own_namespaces(box: Box) -> list[str]:
    return box.inside("sh", "-c", ALL).stdout.split()


def test_every_namespace_is_new(any_box: Box) -> None:
    any_box.spec["linux"]["namespaces"].append({"type": "time"})
    user_namespace(any_box, (0, 100, 50))
    assert set(any_box.sh(ALL).split()) & set(own_namespaces(any_box)) == set()


def test_a_namespace_that_is_not_listed_is_the_runtimes(any_box: Box) -> None:
    without(any_box, "pid", "network", "ipc", "uts", "cgroup")
    del any_box.spec["hostname"]
    inside = dict(zip(NS, any_box.sh(ALL).split(), strict=True))
    host = dict(zip(NS, own_namespaces(any_box), strict=True))
    assert {t for t in NS if inside[t] == host[t]} == set(NS) - {"mount"}


@pytest.mark.parametrize("user", [False, True])
def test_joining_every_namespace(any_box: Box, user: bool) -> None:
    """In the order that works: some belong to the user namespace that is joined, some to the caller's."""
    any_box.spec["linux"]["namespaces"].append({"type": "time"})
    if user:
        user_namespace(any_box, (0, 100, 50))
    pid = any_box.start("sleep", "100", name="first")
    kinds = set(NS) - {"mount"} - ({"user"} if not user else set())
    for n in any_box.spec["linux"]["namespaces"]:
        if n["type"] in kinds:
            n["path"] = f"/proc/{pid}/ns/{NS[n['type']]}"
    inside = dict(zip(NS, any_box.sh(ALL).split(), strict=True))
    first = dict(zip(NS, any_box("exec", "first", "sh", "-c", ALL).stdout.split(), strict=True))
    assert {t for t in NS if inside[t] == first[t]} >= kinds
    assert inside["mount"] != first["mount"]


def test_joining_namespaces_of_two_user_namespaces(any_box: Box) -> None:
    """A network namespace of the caller's user namespace, with a user namespace of its own."""
    pid = any_box.start("sleep", "100", name="net")
    for n in any_box.spec["linux"]["namespaces"]:
        if n["type"] == "network":
            n["path"] = f"/proc/{pid}/ns/net"
    user_namespace(any_box, (0, 100, 50))
    net = any_box("exec", "net", "readlink", "/proc/self/ns/net").stdout
    assert any_box.sh("readlink /proc/self/ns/net; cat /proc/self/uid_map").split() == [net.strip(), "0", "100", "50"]


def test_joined_mount_namespace(any_box: Box) -> None:
    with subprocess.Popen([*any_box.enter, "unshare", "-m", "sh", "-c", "echo up; exec sleep 100"], stdout=subprocess.PIPE) as p:
        try:
            assert p.stdout is not None and p.stdout.readline() == b"up\n"
            for n in any_box.spec["linux"]["namespaces"]:
                if n["type"] == "mount":
                    n["path"] = f"/proc/{p.pid}/ns/mnt"
            wanted = any_box.inside("readlink", f"/proc/{p.pid}/ns/mnt").stdout
            assert any_box.sh("readlink /proc/self/ns/mnt; ls /bin/busybox") == wanted + "/bin/busybox\n"
        finally:
            p.kill()


def test_time_offsets(any_box: Box) -> None:
    any_box.spec["linux"]["namespaces"].append({"type": "time"})
    any_box.spec["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000, "nanosecs": 5}, "monotonic": {"secs": 7}}
    out = any_box.sh("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime").split()
    assert out[:6] == ["monotonic", "7", "0", "boottime", "1000000", "5"] and int(out[6]) >= 1000000


def test_sysctl_of_a_namespace_that_is_the_hosts(any_box: Box) -> None:
    for n in any_box.spec["linux"]["namespaces"]:
        if n["type"] == "network":
            n["path"] = "/proc/self/ns/net"
    any_box.spec["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    p = any_box.run("true")
    assert p.returncode == 1
    assert p.stderr == "linux.sysctl.net.ipv4.ip_forward: the network namespace `/proc/self/ns/net` is the host's\n"


def test_sysctls(any_box: Box) -> None:
    # Message queues and semaphores can only be set by who owns the IPC namespace: both cases.
    any_box.spec["linux"]["sysctl"] = {"net.ipv4.ping_group_range": "0 0", "kernel.msgmax": "12345", "kernel.sem": "1 2 3 4"}
    out = any_box.sh("cat /proc/sys/net/ipv4/ping_group_range /proc/sys/kernel/msgmax /proc/sys/kernel/sem")
    assert out.split() == ["0", "0", "12345", "1", "2", "3", "4"]


def test_names(any_box: Box) -> None:
    any_box.spec.update(hostname="h" * 64, domainname="d.example")
    assert any_box.sh("hostname; cat /proc/sys/kernel/domainname").split() == ["h" * 64, "d.example"]
    any_box.spec["linux"]["sysctl"] = {"kernel.domainname": "other"}
    p = any_box.run("true")
    assert p.stderr == 'linux.sysctl.kernel.domainname: contradicts domainname, which is "d.example"\n'


def test_several_ranges_of_ids(any_box: Box) -> None:
    user_namespace(any_box, (0, 100, 10), (10, 200, 20), (1000, 300, 1))
    out = any_box.sh("cat /proc/self/uid_map").split()
    assert out == ["0", "100", "10", "10", "200", "20", "1000", "300", "1"]


def test_an_id_that_is_not_mapped(any_box: Box) -> None:
    user_namespace(any_box, (0, 100, 10))
    any_box.spec["process"]["user"] = {"uid": 50, "gid": 0}
    p = any_box.run("true")
    assert (p.returncode, p.stderr) == (1, "setresuid to `50`: Invalid argument\n")


def test_user_without_a_session(direct_box: Box) -> None:
    """A user namespace is added, the caller is its root, subordinate ids follow."""
    without(direct_box, "cgroup")
    out = direct_box.sh("cat /proc/self/uid_map; touch /tmp/mine; id -u").split()
    assert out[:3] == ["0", str(os.getuid()), "1"] and out[3] == "1" and int(out[5]) > 1000 and out[-1] == "0"
    assert os.stat(f"{direct_box.rootfs}/tmp/mine").st_uid == os.getuid()


def test_one_id_and_no_helper(direct_box: Box) -> None:
    """A map of one's own id is written directly, at the price of setgroups(2)."""
    without(direct_box, "cgroup")
    direct_box.spec["linux"]["namespaces"].append({"type": "user"})
    direct_box.spec["linux"]["uidMappings"] = [{"containerID": 0, "hostID": os.getuid(), "size": 1}]
    direct_box.spec["linux"]["gidMappings"] = [{"containerID": 0, "hostID": os.getgid(), "size": 1}]
    assert direct_box.sh("cat /proc/self/setgroups; cat /proc/self/uid_map").split() == ["deny", "0", str(os.getuid()), "1"]


def test_ids_that_are_not_lent(direct_box: Box) -> None:
    without(direct_box, "cgroup")
    direct_box.spec["linux"]["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": 1, "size": 100}]
    direct_box.spec["linux"].update(uidMappings=maps, gidMappings=maps)
    p = direct_box.run("true")
    assert p.returncode == 1 and "refused the id mappings" in p.stderr and "/etc/subuid" in p.stderr


def ip(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *argv], capture_output=True, text=True)


@pytest.mark.parametrize("name", [None, "inside0", "net%d"])
def test_network_devices(root_box: Box, name: str | None) -> None:
    need(shutil.which("ip"), "no ip: install iproute2")
    device = f"pl{os.getpid() % 100000}"
    made = ip("link", "add", device, "type", "veth", "peer", "name", f"{device}p")
    need(made.returncode == 0, "this kernel has no veth", optional=True)
    try:
        ip("addr", "add", "10.211.5.6/24", "brd", "10.211.5.99", "dev", device)
        ip("addr", "add", "fd00:211::7/64", "dev", device)
        root_box.spec["linux"]["netDevices"] = {device: {"name": name} if name else {}}
        pid = root_box.start("sleep", "100")
        p = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-j", "addr"], capture_output=True, text=True)
        links = {x["ifname"]: x for x in json.loads(p.stdout)}
        link = links["net0" if name == "net%d" else name or device]
        addresses = {a["local"]: a.get("broadcast") for a in link["addr_info"]}
        assert addresses["10.211.5.6"] == "10.211.5.99" and "fd00:211::7" in addresses
        assert "UP" in link["flags"] and ip("link", "show", device).returncode != 0
    finally:
        root_box("delete", "--force", "c")
        ip("link", "del", f"{device}p")


def test_network_device_that_is_not_there(any_box: Box) -> None:
    any_box.spec["linux"]["netDevices"] = {"nosuch0": {}}
    p = any_box.run("true")
    assert (p.returncode, p.stderr) == (1, "linux.netDevices.nosuch0: find the interface: No such device\n")
