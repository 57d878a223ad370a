"""Write the words that mutations put in: every name and constant that the runtime's sources compare with, and some."""

import pathlib
import re
import sys

# Values that no source names: system calls, paths, environment, what is between two checks.
EXTRA = """
read write clone clone3 personality socket ptrace futex openat execve no_such_call
/ /dev /dev/null /dev/pts /proc /sys /sys/fs/cgroup /tmp /a/../b ../a ./a // /proc/self/ns/net
PATH=/bin HOME=/ A=b =x LISTEN_FDS=1 net.ipv4.ip_forward net/ipv4/conf/eth0.1/forwarding kernel.shmmax 64KB 2MB 1GB
mode=755 size=64k gid=5 newinstance system.slice:a:b user.slice:: /user.slice/a a.service 1.0.2 1.2.0 1.2.0-dev 0.2.0
""".split()


def words(folder: pathlib.Path) -> set[str]:
    found = set(EXTRA)
    for path in folder.rglob("*.c"):
        text = re.sub(r"/\*.*?\*/|^#include.*?$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        literals = re.findall(r'"((?:[^"\\\n]|\\.)*)"', text)
        found |= {s for s in literals if re.fullmatch(r"[A-Za-z0-9_./:,=+-]{2,40}", s)}
    return found


if __name__ == "__main__":
    with open(sys.argv[1], "w") as out:
        out.writelines(f'"{word}",\n' for word in sorted(words(pathlib.Path(sys.argv[2]))))
