"""One start's network: the pinned namespace, the helper behind it, the published ports."""

import os

from podlike import log
from podlike.engine import query
from podlike.engine.core import Engine
from podlike.net import driver
from podlike.runtime import monitorscope, spawn
from podlike.spec import resolve
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import asdict

    from podlike.net.driver import NetworkPlan, Pending
else:
    from podlike.spec.record import asdict


class Network:
    """start(), then wait_ready() or abort(); close() in every case.

    netns: path for config.json; "" with the host's network.
    """

    def __init__(self, engine: Engine, container: Container) -> None:
        self.engine = engine
        self.container = container
        self.plan: "NetworkPlan" = driver.prepare(container.spec, engine.config)
        self.setup = driver.NetworkSetup()  # what came of it, once wait_ready() has returned
        self.netns = ""
        self._pending: "Pending | None" = None
        self._alive_fd = -1  # the monitor holds a copy: the helper ends when the last one is closed

    def start(self) -> None:
        """Make or find the namespace and start the helper; does not wait for it. Raises: NetworkError."""
        engine, container, plan = self.engine, self.container, self.plan
        for text in plan.warnings:
            log.warning(text)
        driver.check_ports(plan.ports)
        if plan.kind == "host":
            return
        if plan.kind == "join":
            self.netns = self._namespace_to_join(*resolve.namespace(plan.target))
            return
        self.netns = f"{engine.roots.netns}/{container.id}"
        os.makedirs(engine.roots.netns, mode=0o700, exist_ok=True)
        spawn.netns_unpin(self.netns)  # of a start that was killed
        spawn.netns_pin(self.netns)
        container.state.netns = self.netns
        if plan.kind == "none":
            return
        if plan.kind == "pasta":
            # It goes by itself when the pin does, and takes no descriptor.
            self._pending = driver.start(plan, netns_path=self.netns, run_dir=engine.roots.bundle(container.id),
                                         cache_dir=engine.roots.run)
            return
        watched, self._alive_fd = os.pipe2(os.O_CLOEXEC)
        try:
            self._pending = driver.start(plan, netns_path=self.netns, run_dir=engine.roots.bundle(container.id),
                                         exit_read_fd=watched, cache_dir=engine.roots.run)
        finally:
            os.close(watched)

    def monitor_fds(self) -> list[int]:
        """Descriptors that the monitor shall hold for as long as it lives."""
        return [self._alive_fd] if self._alive_fd >= 0 else []

    def helper_pids(self) -> list[int]:
        """Of a helper that was started and stays; pasta's is known when it is ready."""
        helper = getattr(self._pending, "helper", None)
        return [helper["pid"]] if helper and self.plan.kind != "pasta" else []

    def wait_ready(self) -> None:
        """Wait for the helper and publish the ports; the record gets what came of it. Raises: NetworkError."""
        pending = self._pending or driver.NoHelper(self.plan)
        setup = self.setup = pending.wait_ready()
        for text in setup.warnings:
            log.warning(text)
        state = self.container.state
        state.helpers = setup.helpers
        state.ip = setup.ip
        state.ports = [asdict(p) for p in setup.ports]
        if self.plan.kind == "pasta" and monitorscope.wanted(state.cgroup, self.container.spec.cgroups):
            monitorscope.add(self.container.id, setup.helpers[0]["pid"])

    def abort(self) -> None:
        """The start failed: no helper may survive it."""
        if self._pending is not None:
            self._pending.cancel()

    def close(self) -> None:
        if self._alive_fd >= 0:
            os.close(self._alive_fd)
            self._alive_fd = -1

    def _namespace_to_join(self, kind: str, target: str) -> str:
        if kind == "ns":
            return target
        path = query.namespace_path(self.engine, target, "net")
        return "" if query.is_ours(path, "net") else path
