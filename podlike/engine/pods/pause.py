"""The infra container that runs podlike-pause: a root file system with that one program, and no monitor.

Nobody needs to know what it writes (nothing) or how it ends (when it is told to). So an idle pod costs one process of three
pages; the network helper ends with it, because it holds the descriptor that a monitor would. With --infra-conmon-pidfile
there is a monitor, as somebody wants to watch it.
"""

import json
import os
import time

from podlike import procs
from podlike.engine import events
from podlike.engine.bundle import write_network_files
from podlike.engine.cleanup import runtime_of
from podlike.engine.core import Engine
from podlike.engine.network import Network
from podlike.files import write_text
from podlike.net import files
from podlike.paths import libexec
from podlike.runtime import cgroup, hostfacts, spawn, unwatched
from podlike.runtime.session import rootless
from podlike.spec import oci
from podlike.spec.container import ContainerSpec
from podlike.spec.users import ResolvedUser
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import replace
    from typing import Final
else:
    from podlike.spec.record import replace

PROGRAM: "Final" = "/pause"  # in the container; podman's name for it


def is_pause(spec: ContainerSpec) -> bool:
    """Whether a container runs our pause program."""
    return spec.infra and not spec.image and not spec.rootfs


def is_unwatched(spec: ContainerSpec) -> bool:
    """Whether it runs without a monitor."""
    return is_pause(spec) and not spec.conmon_pidfile


def bring_up(engine: Engine, container: Container) -> None:
    """Under the container's lock, its fresh state saved; as engine/start.py does it for others.

    Raises: NetworkError, RuntimeFailure; the caller undoes what was done so far.
    """
    state, bundle = container.state, engine.roots.bundle(container.id)
    network = Network(engine, container)
    try:
        network.start()
        write_bundle(engine, container, network)
        # It needs no network itself, so it need not wait for it.
        state.pid = unwatched.run(runtime_of(engine, container), container.id, bundle=bundle, keep=network.monitor_fds())
        state.start_time = procs.start_time(state.pid)
        network.wait_ready()
        write_network_files(engine, container, network)
        state.phase, state.started_at = "started", time.time()
        engine.containers.save_state(container)
    except BaseException:
        network.abort()
        raise
    finally:
        network.close()
    events.emit(engine, *(events.container_event(container, word) for word in ("init", "start")))


def write_bundle(engine: Engine, container: Container, network: Network) -> None:
    """config.json, the root file system, and the files that the pod's containers share: hosts, resolv.conf, /dev/shm."""
    bundle, spec = engine.roots.bundle(container.id), container.spec
    rootfs = f"{bundle}/rootfs"
    os.makedirs(engine.roots.container(container.id), mode=0o700, exist_ok=True)  # a monitor's log lies there
    for name in ("rootfs", "rootfs/proc", "rootfs/dev", "rootfs/sys", "etc"):
        os.makedirs(f"{bundle}/{name}", mode=0o755, exist_ok=True)
    write_text(rootfs + PROGRAM, "")  # the program is bound over it
    _shared_files(engine, container, network)
    plain = replace(spec, seccomp_profile="unconfined", apparmor_profile="", mounts=[], tmpfs={}, devices=[], init=False,
                    args=[PROGRAM], read_only=True)
    config = oci.build(plain, cid=container.id, rootfs=rootfs, user=ResolvedUser(),
                       host=hostfacts.gather(controllers=cgroup.available(container.state.cgroup)), rootless=rootless(),
                       netns_path=network.netns or None, cgroups_path=container.state.cgroup or None,
                       default_sysctls=_default_sysctls(engine))
    program = {"destination": PROGRAM, "type": "bind", "source": libexec("podlike-pause"),
               "options": ["bind", "rprivate", "ro", "nosuid", "nodev"]}
    # /proc is for runc, which sets parameters from inside.
    config["mounts"] = [*(m for m in config["mounts"] if m["destination"] == "/proc"), program]
    config["process"] |= {"env": [], "capabilities": {}, "noNewPrivileges": True}
    for name in ("maskedPaths", "readonlyPaths"):
        config["linux"].pop(name, None)
    write_text(f"{bundle}/config.json", json.dumps(config), mode=0o600)


def _default_sysctls(engine: Engine) -> "dict[str, str]":
    from podlike.engine.bundle import default_sysctls

    return default_sysctls(engine.config.containers.default_sysctls)


def _shared_files(engine: Engine, container: Container, network: Network) -> None:
    bundle, spec = engine.roots.bundle(container.id), container.spec
    write_text(f"{bundle}/etc/hostname", files.hostname(spec, network.plan, engine.config, container.id) + "\n")
    if not spec.no_hosts:
        write_text(f"{bundle}/etc/hosts", "")
    if "none" not in spec.dns:
        write_text(f"{bundle}/etc/resolv.conf", "")
    share_memory(engine, container)


def share_memory(engine: Engine, container: Container) -> None:
    """Mount the /dev/shm that containers who join this one's IPC namespace share with it."""
    spec, path = container.spec, f"{engine.roots.bundle(container.id)}/shm"
    if spec.ipc_ns not in ("", "private", "shareable"):
        return
    os.makedirs(path, mode=0o755, exist_ok=True)
    spawn.umount(path)  # of a start that was killed
    spawn.tmpfs_mount(path, options=f"mode=1777,size={spec.shm_size}")
