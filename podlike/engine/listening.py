"""Socket activation: the sockets that systemd has opened for the container's program.

The monitor keeps them, and hands them to every run of the container. Source: sd_listen_fds(3).
"""

from podlike import log, sockets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.container import ContainerSpec


def count(spec: "ContainerSpec") -> int:
    """How many sockets the container gets; 0 where the user hands over descriptors himself."""
    if sockets.given and (spec.preserve_fds or spec.preserve_fd):
        log.warning("Ignoring LISTEN_FDS to preserve custom user-specified FDs")
        return 0
    return sockets.given


def environment(spec: "ContainerSpec", *, ours: bool) -> dict[str, str]:
    """What the program finds, where it got sockets. ours: the runtime is podlike-spawn."""
    if not sockets.given or (spec.preserve_fds or spec.preserve_fd) and spec.preserve_fds < sockets.given:
        return {}
    # In a pid namespace of its own the program is the first process; podlike-init sees to it where that one is it. In
    # another's the pid is known to the runtime only: podlike-spawn puts it in place of 0.
    return {**sockets.variables(), "LISTEN_PID": "0" if ours and spec.pid_ns not in ("", "private") else "1"}
