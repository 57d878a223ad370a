"""Taking a container's running parts away: idempotent, complete, and the same for a clean end and a crash."""

import os
import signal
import time

from podlike import log, procs
from podlike.engine import eventorders, events, query
from podlike.engine.core import Engine
from podlike.engine.tending import hold
from podlike.errors import InUseError, NotFoundError, PodlikeError
from podlike.locks import Lock
from podlike.runtime import cgroup
from podlike.runtime.oci import OciRuntime, find_runtime
from podlike.store.containers import Container
from podlike.store.trees import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def lock_of(engine: Engine, cid: str) -> Lock:
    """The lock that start, stop, cleanup and remove of one container take."""
    return Lock(engine.roots, f"container-{cid}")


def runtime_of(engine: Engine, container: Container) -> OciRuntime:
    spec, table = container.spec, engine.config.engine
    name = spec.runtime or table.runtime
    flags = [f"--{flag}" for flag in (*table.runtimes_flags.get(name or "podlike-spawn", ()), *spec.runtime_flags)]
    return find_runtime(name, roots=engine.roots, runtimes=table.runtimes, extra=flags,
                        cgroup_manager=cgroup.manager_of(container.state.cgroup))


def cleanup(engine: Engine, container: Container, *, remove: bool = False) -> None:
    """As _cleanup; the end of a pod's last container may be that of the pod."""
    _cleanup(engine, container, remove=remove)
    if container.spec.pod and not container.spec.infra:
        from podlike.engine.pods.exitpolicy import apply

        apply(engine, container.spec.pod)


def _cleanup(engine: Engine, container: Container, *, remove: bool) -> None:
    """Take down what a run left behind, once the container's process has ended; remove: the container too.

    Nothing happens while it runs. Called by the attached CLI, by the monitor's exit command, and by whoever
    finds a container that ended unwatched.
    """
    engine.enter_session()
    with lock_of(engine, container.id) as lock:
        fresh = engine.containers.get(container.id)
        if fresh is None:
            remove_leftovers(engine, container.id)
            lock.release(remove=True)
            return
        if query.process_of(engine, fresh)[0] or query.status(engine, fresh).state == "restarting":
            return
        ended = take_down(engine, fresh)
        if ended and not remove:
            events.container(engine, fresh, "cleanup")
        if remove or is_abandoned(fresh):
            delete(engine, fresh, volumes=True)
            if remove and fresh.spec.remove_image:
                _remove_image(engine, fresh)  # under the lock: who waits for the container's end finds it gone
            lock.release(remove=True)


def is_abandoned(container: Container) -> bool:
    """Whether its `run` was killed before the container ran, or the build that it belongs to: then nobody knows of it."""
    s = container.state
    return (s.phase == "created" or container.spec.bound) and bool(s.starter) and not procs.alive(*s.starter)


def _remove_image(engine: Engine, container: Container) -> None:
    """Remove the image of a --rmi container; one that others use, or that is gone already, is left with a warning."""
    from podlike.engine.imageremove import remove

    try:
        remove(engine, container.spec.image_name or container.spec.image_id)
    except (InUseError, NotFoundError) as e:
        log.warning(f"Failed to remove image: {e.message}")


def take_down(engine: Engine, container: Container) -> bool:
    """Under the container's lock: end every part of the last start and record how it ended.

    Returns whether it had run since it was last taken down.
    """
    if container.state.phase not in ("starting", "started", "initialized"):
        forget_end(engine, container.id)  # of a start that failed before its monitor ended
        return False
    now = query.status(engine, container)
    told_oom = eventorders.monitor_tells(engine, container)
    told_died = told_oom and query.end_was_told(engine, container)
    lost_output = query.log_error(engine, container.id)
    collect([lambda: _stop_helpers(container),
             lambda: runtime_of(engine, container).delete(container.id),
             lambda: remove_leftovers(engine, container.id, container.state.cgroup, keep_exit=True),
             lambda: _release_volumes(engine, container),
             lambda: _leave_hosts(engine, container)],
            what=f"clean up container {container.name}")
    s = container.state
    ended = s.phase == "started" or now.state == "exited"
    if ended:
        _tell_end(engine, container, now, oom=not told_oom, died=not told_died)
    if s.phase in ("starting", "initialized") and now.state != "exited":
        s.phase = "created" if not s.finished_at else "exited"
    else:
        s.phase, s.exit_code, s.oom_killed, s.error = "exited", now.exit_code, now.oom_killed, now.error or lost_output
        s.started_at, s.finished_at = now.started_at, now.finished_at or time.time()
        s.end, s.health, s.health_streak = now.end, now.health, now.streak
        if s.tended:
            s.restarts = now.restarts
            s.stopped_by_user = s.stopped_by_user or _ended_by_health(container)
        engine.containers.record_exit(container.id, s.exit_code, s.finished_at)
    s.pid = s.start_time = s.conmon_pid = s.conmon_start_time = 0
    s.helpers, s.execs, s.cgroup, s.netns = [], [], "", ""
    engine.containers.save_state(container)
    forget_end(engine, container.id)  # now that it is recorded
    return ended


def _release_volumes(engine: Engine, container: Container) -> None:
    if any(m.type == "volume" for m in container.spec.mounts):
        from podlike.engine.volumemount import release

        release(engine, container)


def _leave_hosts(engine: Engine, container: Container) -> None:
    if container.spec.network.startswith("container:") and not container.spec.no_hosts:
        from podlike.engine.joinedhosts import forget

        forget(engine, container)


def _tell_end(engine: Engine, container: Container, now: query.Status, *, oom: bool, died: bool) -> None:
    """The events of its end that its monitor has not written."""
    told = []
    if now.oom_killed and oom:
        told.append(events.container_event(container, "oom"))
    if died:
        told.append(events.container_event(container, "died", exit_code=now.exit_code))
    if told:
        events.emit(engine, *told)


def _ended_by_health(container: Container) -> bool:
    """Podman counts an end by --health-on-failure=kill or stop as one by the user."""
    return container.state.end == "health" and container.spec.health_on_failure in ("kill", "stop")


def kill_now(engine: Engine, container: Container) -> None:
    """Under the container's lock: SIGKILL everything of a container and wait until it is gone for good."""
    hold(engine, container)
    pid, started = query.process_of(engine, container)
    if pid:
        procs.send_signal(pid, started, signal.SIGKILL)
        if container.spec.pid_ns == "host" or container.spec.pid_ns.startswith("container:"):
            _kill_everyone(engine, container, pid, started)
        procs.wait_gone(pid, started, 10)
    s = container.state
    if s.pid:  # else there was none, and no code will be written; the monitor's exit command waits for our lock
        await_exit_file(engine, container.id, s.conmon_pid, s.conmon_start_time)


def _kill_everyone(engine: Engine, container: Container, pid: int, started: int) -> None:
    """Of a container whose processes do not end with its first one."""
    try:
        runtime_of(engine, container).kill(container.id, signal.SIGKILL, everyone=True)
    except PodlikeError:
        if procs.alive(pid, started):
            raise
        # Its end has been noticed already: the runtime has ended the others and forgotten it.


def await_exit_file(engine: Engine, cid: str, conmon_pid: int, conmon_started: int) -> None:
    """Wait for the monitor to have written the exit code, as long as it lives to write it."""
    deadline = time.monotonic() + 10
    while not os.path.exists(f"{engine.roots.exits}/{cid}") and time.monotonic() < deadline:
        if procs.wait_gone(conmon_pid, conmon_started, 0.005):
            return


def delete(engine: Engine, container: Container, *, volumes: bool = False) -> None:
    """Under the container's lock: forget a container that does not run, with its files.

    volumes: the anonymous volumes too.
    """
    container.state.phase = "removing"
    engine.containers.save_state(container)
    take_down_mount(engine, container.id)
    remove_tree(engine.roots.container(container.id))
    forget_end(engine, container.id)
    if volumes and any(m.type == "volume" for m in container.spec.mounts):
        from podlike.engine.volumes import remove_anonymous

        remove_anonymous(engine, container)
    code = engine.containers.exit_code(container.id)
    engine.containers.delete(container.id)
    events.container(engine, container, "remove", exit_code=code)


def take_down_mount(engine: Engine, cid: str) -> None:
    """What `podlike mount` has left of a container that did not run."""
    if os.path.exists(f"{engine.roots.container(cid)}/mounted"):
        from podlike.engine.containermount import forget

        forget(engine, cid)


def remove_leftovers(engine: Engine, cid: str, cgroup_path: str = "", *, keep_exit: bool = False) -> None:
    """Unmount and unpin whatever exists under this id, and remove its volatile files and cgroup.

    keep_exit: the exit file stays, for its code is not in the database yet.
    """
    from podlike.engine.mountsources import forget as forget_sources
    from podlike.runtime import spawn

    roots = engine.roots
    bundle = roots.bundle(cid)
    collect([lambda: spawn.umount(f"{roots.container(cid)}/merged"),
             lambda: forget_sources(engine, cid),
             lambda: spawn.umount(f"{bundle}/shm"),
             lambda: spawn.netns_unpin(f"{roots.netns}/{cid}"),
             lambda: None if keep_exit else forget_end(engine, cid),
             lambda: remove_tree(bundle),
             # A scope ends by itself with its last process.
             lambda: spawn.cgroup_remove(cgroup.ROOT + cgroup_path) if cgroup.manager_of(cgroup_path) == "cgroupfs" else None],
            what=f"clean up container {cid[:12]}")


def forget_end(engine: Engine, cid: str) -> None:
    """Remove what the monitor wrote about the container's end."""
    from podlike.runtime.statefile import path_of

    _unlink(f"{engine.roots.exits}/{cid}")
    _unlink(path_of(engine.roots, cid))


def find_and_cleanup(engine: Engine, cid: str, *, remove: bool) -> None:
    """The monitor's exit command. A container that somebody removed already is fine."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        # So that a service manager that ends all of our unit leaves us. Unlike this, a handler is not passed on.
        signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        container = engine.containers.find(cid)
    except NotFoundError:
        engine.enter_session()
        remove_leftovers(engine, cid)
        return
    cleanup(engine, container, remove=remove)
    if not remove and container.spec.restart_policy and not container.state.tended:
        from podlike.engine.restart import restart_if_wanted

        restart_if_wanted(engine, container.id)


def collect(steps: "list[Callable[[], object]]", *, what: str) -> None:
    """Run every step whatever the others do; report the failures as warnings, never hide the rest."""
    for step in steps:
        try:
            step()
        except (PodlikeError, OSError, ExceptionGroup) as e:
            for failure in e.exceptions if isinstance(e, ExceptionGroup) else (e,):
                log.warning(f"{what}: {failure}")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _stop_helpers(container: Container) -> None:
    if container.state.helpers:
        from podlike.net.driver import teardown

        teardown(container.state.helpers, wait=bool(container.state.ports))
