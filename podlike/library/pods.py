"""engine.pods: the verbs for pods. A pod is named by name, id, a unique beginning of the id, or by a Pod.

A container is put into one with containers.create(..., pod=NAME).
"""

from podlike.library.calling import Group, in_session, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterable, Mapping
    from typing import Any

    from podlike.engine.pods.rows import Row
    from podlike.errors import PodlikeError
    from podlike.spec.pod import PodSpec
    from podlike.store.pods import Pod

    Which = str | Pod


class Pods(Group):
    """Verbs for pods."""

    __slots__ = ()
    name = "pods"

    @reading
    def list(self, *, filters: "Iterable[str] | Mapping[str, str]" = (), sort: str = "created") -> "builtins.list[Row]":
        """Each with pod (its record: id, name, created, spec), containers (records) and state.

        filters: keys as of `pod ps --filter`. sort: created, id, name, number or status. Raises: UsageError.
        """
        from podlike.engine.pods.rows import rows
        from podlike.library.containers import filter_words

        return rows(self._core, filters=filter_words(filters), sort=sort)

    @reading
    def get(self, pod: "Which") -> "Pod":
        """Raises: NotFoundError, ConflictError."""
        return self._found(pod)

    def exists(self, pod: "Which") -> bool:
        from podlike.errors import NotFoundError

        try:
            self.get(pod)
        except NotFoundError:
            return False
        return True

    @reading
    def inspect(self, pod: "Which") -> "dict[str, Any]":
        """Everything about it: podman's document."""
        from podlike.engine.pods.inspect import inspect_pod

        return inspect_pod(self._core, self._found(pod))

    def create(self, name: str = "", *, labels: "Mapping[str, str] | None" = None, infra: bool = True,
               share: "Iterable[str] | None" = None, replace: bool = False, **options: "Any") -> "Pod":
        """Make a pod without containers but its infra container.

        share: namespaces that its containers share: cgroup, ipc, net, pid, uts; None: ipc, net, uts. options: what
        the pod's containers have together, as of containers.create(): ports, network, hostname, volumes, memory ...
        Raises: ConflictError, UsageError.
        """
        from podlike.library.request import container_spec
        from podlike.spec.pod import DEFAULT_SHARE, PodSpec

        spec = PodSpec(name=name, labels=dict(labels or {}), infra=infra,
                       share=[*(DEFAULT_SHARE if share is None else share)] if infra else [],
                       container=container_spec("", (), options))
        return self._create(spec, replace=replace)

    @in_session
    def _create(self, spec: "PodSpec", *, replace: bool) -> "Pod":
        from podlike.engine.pods.create import create

        return create(self._core, spec, replace_old=replace)

    @in_session
    def start(self, pod: "Which") -> None:
        """Start what does not run in it. Raises: ConflictError when there is nothing, or what the first failure was."""
        from podlike.engine.pods.actions import start

        _raise(start(self._core, self._found(pod)))

    @in_session
    def stop(self, pod: "Which", *, timeout: int | None = None) -> None:
        """timeout: seconds until SIGKILL, None: each container's own. Raises: what the first failure was."""
        from podlike.engine.pods.actions import stop

        _raise(stop(self._core, self._found(pod), timeout=timeout))

    @in_session
    def restart(self, pod: "Which") -> None:
        """Raises: what the first failure was."""
        from podlike.engine.pods.actions import restart

        _raise(restart(self._core, self._found(pod)))

    @in_session
    def kill(self, pod: "Which", signal: str | int = "KILL") -> None:
        """Raises: UsageError for an unknown signal, what the first failure was."""
        from podlike.engine.pods.actions import kill
        from podlike.spec.signals import parse

        _raise(kill(self._core, self._found(pod), parse(str(signal))))

    @in_session
    def pause(self, pod: "Which") -> None:
        """Raises: what the first failure was."""
        from podlike.engine.pods.actions import pause

        _raise(pause(self._core, self._found(pod)))

    @in_session
    def unpause(self, pod: "Which") -> None:
        """Raises: what the first failure was."""
        from podlike.engine.pods.actions import unpause

        _raise(unpause(self._core, self._found(pod)))

    @in_session
    def remove(self, pod: "Which", *, force: bool = False, timeout: int | None = None) -> "builtins.list[str]":
        """Remove it with its containers; ids of what went. force: running ones too, stopped within timeout seconds.

        Raises: ConflictError or InUseError without force; nothing has gone then.
        """
        from podlike.engine.pods.remove import remove

        return remove(self._core, self._found(pod), force=force, timeout=timeout)

    @in_session
    def prune(self) -> "builtins.list[str]":
        """Remove those in which nothing runs; their ids."""
        from podlike.engine.pods.remove import prune

        return prune(self._core)[0]

    def _found(self, pod: "Which") -> "Pod":
        from podlike.engine.pods.members import find

        return find(self._core, pod if isinstance(pod, str) else pod.id)


def _raise(failures: "dict[str, PodlikeError]") -> None:
    for error in failures.values():
        raise error
