"""The process of `exec` in a running container, as the OCI runtime's exec --process takes it."""

from podlike.spec import capabilities
from podlike.spec.oci import oci_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NamedTuple

    from podlike.spec.container import ContainerSpec
    from podlike.spec.users import ResolvedUser
else:
    from podlike.spec.record import NamedTuple


class ExecRequest(NamedTuple):
    """What `exec` was asked for.

    user: as given to --user; "" = the container's. workdir: "" = the container's. env: stronger than the
        container's.
    """

    args: "Sequence[str]"
    user: str = ""
    workdir: str = ""
    env: "Mapping[str, str]" = {}
    terminal: bool = False
    privileged: bool = False


_SOCKETS = ("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID")  # sd_listen_fds(3)


def exec_process(request: ExecRequest, spec: "ContainerSpec", container: "Mapping[str, Any]", *,
                 user: "ResolvedUser", bounding: "Sequence[str]" = capabilities.KNOWN) -> "dict[str, Any]":
    """A process of runtime-spec for `exec`.

    spec: the container's resolved spec. container: its config.json. user: who request.user (or the
        container's user) is, from users.resolve with the container's files and --group-add.
    bounding: what --privileged grants: the capabilities that this process itself can pass on.
    Raises: UsageError.
    """
    own = container["process"]
    process: "dict[str, Any]" = {
        "terminal": request.terminal,
        "user": oci_user(_with_own_group(user), umask=spec.umask),
        "args": list(request.args),
        "env": _env(request, own["env"], user.home, keep_home="HOME" in spec.env),
        "cwd": request.workdir or own["cwd"],
        "capabilities": _capabilities(request, spec, own.get("capabilities", {}), user.uid, bounding),
        "noNewPrivileges": bool(own.get("noNewPrivileges")),
    }
    for key in ("rlimits", "oomScoreAdj", "apparmorProfile", "selinuxLabel"):
        if own.get(key):
            process[key] = own[key]
    return process


def _with_own_group(user: "ResolvedUser") -> "ResolvedUser":
    """Negative permissions of a group (chmod g-r) hold only for processes that list it (CVE-2022-2990)."""
    return user._replace(additional_gids=tuple(sorted({*user.additional_gids, user.gid})))


def _env(request: ExecRequest, container: "Sequence[str]", home: str, *, keep_home: bool) -> "list[str]":
    """keep_home: HOME was set on purpose, by the image or --env; otherwise it belongs to the container's own
    user."""
    env = dict(item.partition("=")[::2] for item in container)
    for key in _SOCKETS if "LISTEN_PID" in env else ():
        env.pop(key, None)  # they are the first process's
    if not keep_home:
        env["HOME"] = home
    env.update(request.env)
    if request.terminal:
        env.setdefault("TERM", "xterm")
    return [f"{key}={value}" for key, value in env.items()]


def _capabilities(request: ExecRequest, spec: "ContainerSpec", own: "Mapping[str, Sequence[str]]", uid: int,
                  bounding: "Sequence[str]") -> "dict[str, list[str]]":
    bound = sorted(bounding) if request.privileged else list(own.get("bounding", ()))
    if uid == 0:
        return capabilities.CapabilitySets(bound, bound, bound, [], []).to_oci()
    # The container's own user keeps what it was started with; anybody else starts with nothing.
    same = not request.user or request.user == spec.user
    kept = list(own.get("effective", ())) if same else []
    return capabilities.CapabilitySets(bound, kept, kept, kept, kept).to_oci()
