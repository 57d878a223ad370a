"""Running a further process in a running container; each has its own monitor, so it survives our end."""

import json
import os

from podlike import procs
from podlike.engine import eventorders, events, query
from podlike.engine.cleanup import runtime_of
from podlike.engine.core import Engine
from podlike.engine.users import lookup_user
from podlike.errors import ConflictError, NotFoundError
from podlike.files import read_text, write_text
from podlike.runtime import attach as attaching
from podlike.runtime import hostfacts
from podlike.runtime.monitor import Monitor, MonitorRequest, launch
from podlike.spec.attach import Attach
from podlike.spec.oci_exec import ExecRequest, exec_process
from podlike.store.containers import Container
from podlike.store.trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.spec.exec import ExecSpec


class NotRunningError(ConflictError):
    """exec in a container that does not run; podman's exit code for it is 255."""

    exit_code = 255


def exec_(engine: Engine, container: Container, spec: "ExecSpec", *, attach: Attach | None) -> int | str:
    """Run spec in the container. With attach: its exit code; without: the id of the exec session.

    Raises: NotRunningError, CommandNotFoundError, CannotExecuteError.
    """
    pid, started = query.process_of(engine, container)
    state = query.status(engine, container).state
    if not pid or state != "running":
        raise NotRunningError(f"can only create exec sessions on running containers: {container.name} is {state}: "
                              "container state improper", hint=f"Start it: `podlike start {container.name}`.")
    engine.enter_session()
    session = os.urandom(32).hex()
    bundle = f"{engine.roots.bundle(container.id)}/exec/{session if spec.session else f'.{session}'}"
    os.makedirs(bundle, mode=0o700)
    try:
        _write_process(engine, container, spec, bundle, pid)
        monitor = launch(_request(engine, container, spec, bundle, session), pidfile=f"{bundle}/conmon.pid")
    except BaseException:
        remove_tree(bundle)
        raise
    try:
        code = _drive(engine, monitor, bundle, attach)
    finally:
        monitor.close()
    if attach is None:
        return session
    if spec.session and not os.path.exists(eventorders.path_of(bundle)):
        _tell(engine, container, session, code)
    remove_tree(bundle)
    return code


def sessions(engine: Engine, container: Container) -> list[str]:
    """Ids of the exec sessions whose monitors live; those of --no-session, whose directories begin with a dot, do not count."""
    directory = f"{engine.roots.bundle(container.id)}/exec"
    try:
        names = sorted(n for n in os.listdir(directory) if n[0] != ".")
    except FileNotFoundError:
        return []
    return [n for n in names if _lives(f"{directory}/{n}")]


def _lives(bundle: str) -> bool:
    try:
        pid = int(read_text(f"{bundle}/conmon.pid"))
        # The number may be another process's by now: a monitor of ours was started before it wrote the file.
        return procs.start_time(pid) > 0 and b"conmon" in _command_of(pid)
    except (OSError, ValueError):
        return False


def _command_of(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read(4096).partition(b"\0")[0]


def _tell(engine: Engine, container: Container, session: str, code: int) -> None:
    """The events of a process whose monitor was conmon; podlike-conmon has told them itself."""
    events.emit(engine, events.container_event(container, "exec"),
                events.container_event(container, "exec_died", exit_code=code, attributes={"execID": session}))


def _write_process(engine: Engine, container: Container, spec: "ExecSpec", bundle: str, pid: int) -> None:
    config = json.loads(read_text(f"{engine.roots.bundle(container.id)}/config.json", limit=4 << 20))
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        user = lookup_user(root, spec.user if spec.user else container.spec.user, groups=container.spec.groups)
    finally:
        os.close(root)
    request = ExecRequest(args=spec.args, user=spec.user, workdir=spec.workdir, env=spec.env, terminal=spec.tty,
                          privileged=spec.privileged)
    process = exec_process(request, container.spec, config, user=user, bounding=hostfacts.gather().bounding)
    write_text(f"{bundle}/process.json", json.dumps(process), mode=0o600)


def _request(engine: Engine, container: Container, spec: "ExecSpec", bundle: str, session: str) -> MonitorRequest:
    from podlike.engine.start import conmon_path, monitor_env
    from podlike.engine.tending import is_ours

    args = ["-b", bundle, "-p", f"{bundle}/pidfile", "--exit-dir", bundle, "--persist-dir", bundle, "-l", "none",
            "-n", container.name, "--full-attach", "-e", "--exec-attach", "--exec-process-spec", f"{bundle}/process.json"]
    if spec.tty:
        args.append("-t")
    if spec.interactive:
        args.append("-i")
    if spec.session and is_ours(conmon_path(engine)):
        eventorders.write(engine, container, bundle, exec_id=session)
    return MonitorRequest(conmon=conmon_path(engine), runtime=runtime_of(engine, container), cid=container.id,
                          uid=session, args=args, cwd=bundle, exec_session=True, env=monitor_env(engine),
                          preserved=[*range(3, 3 + spec.preserve_fds), *spec.preserve_fd])


def _drive(engine: Engine, monitor: Monitor, bundle: str, attach: Attach | None) -> int:
    monitor.wait_attach_ready()
    if attach is None:
        monitor.proceed()
        monitor.wait_created()
        return 0
    sock = attaching.connect(bundle)
    try:
        # The signal handlers need the pid, which is there once the process was created.
        target = {"pid": 0, "started": 0}

        def forward(signum: int) -> None:
            procs.send_signal(target["pid"], target["started"], signum)

        relay = attaching.Relay(sock, attach, bundle=bundle, on_signal=forward)
        try:
            relay.enter()
            monitor.proceed()
            target["pid"] = monitor.wait_created()
            target["started"] = procs.start_time(target["pid"])
            ended = relay.run()
        finally:
            relay.leave()
    finally:
        sock.close()
    return monitor.wait_exec_exit() if ended else 0


def forget(engine: Engine, container: Container, session: str) -> None:
    """Remove the files of an exec session whose process has ended. Raises: NotFoundError, ConflictError."""
    bundle = f"{engine.roots.bundle(container.id)}/exec/{session}"
    if "/" in session or not os.path.isdir(bundle):
        raise NotFoundError(f"no exec session with ID {session} found: no such exec session")
    try:
        pid = int(read_text(f"{bundle}/pidfile"))
    except (OSError, ValueError):
        pid = 0
    if pid and procs.start_time(pid):
        raise ConflictError(f"cannot clean up container {container.id} exec session {session} as it is running: "
                            "exec session state improper")
    engine.enter_session()
    remove_tree(bundle)
