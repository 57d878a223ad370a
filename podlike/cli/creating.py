"""Making the container of `run` and `create`: the pull with its progress, the --cidfile."""

from podlike.cli.fillspec import platform_of, pull_policy
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.cli.command import Call
    from podlike.engine.fetch import Progress
    from podlike.spec.container import ContainerSpec
    from podlike.store.containers import Container
    from podlike.store.pods import Pod


class LazyProgress:
    """Stands for cli/progress.py's display until something is really pulled: a run of a local image pays nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._real: "Progress | None" = None

    def __getattr__(self, name: str) -> "Any":
        if self._real is None:
            from podlike.cli.progress import make_progress

            self._real = make_progress(quiet=self._quiet)
        return getattr(self._real, name)

    def close(self) -> None:
        if self._real is not None:
            self._real.close()


def create_container(call: "Call", spec: "ContainerSpec", *, for_run: bool = False) -> "Container":
    """Make the container that spec describes and write its --cidfile."""
    policy = pull_policy(call)
    progress: "Any" = LazyProgress(quiet=call.opts.quiet)
    startup = new_pod = None
    try:
        if spec.restart_policy not in ("", "no"):
            from podlike.cli.startup import set_up_once

            startup = set_up_once(call, spec.restart_policy)  # first: cron is out of reach from inside the session
        if spec.image and policy != "never" and _pulls_in_its_own_way(call):
            _pull(call, spec.image, policy, progress)
            policy = "missing"
        if spec.pod.startswith("new:"):
            new_pod = _new_pod(call, spec)
        container = call.api.containers.create(spec, pull=policy, replace=call.opts.replace, for_run=for_run, progress=progress)
    except BaseException:
        if new_pod is not None:
            _discard_pod(call, new_pod)
        if startup is not None:
            startup.forget()
        raise
    finally:
        progress.close()
    if spec.cidfile:
        write_cidfile(call, spec.cidfile, container)
    return container


def _new_pod(call: "Call", spec: "ContainerSpec") -> "Pod":
    from podlike.engine.pods.create import for_container

    pod = for_container(call.engine, spec, spec.pod.removeprefix("new:"))
    spec.pod = pod.id
    return pod


def _discard_pod(call: "Call", pod: "Pod") -> None:
    from podlike.engine.pods.remove import discard

    discard(call.engine, pod)


def _pulls_in_its_own_way(call: "Call") -> bool:
    """Whether a flag says how to pull, so that the engine's plain pull will not do."""
    return any(call.changed(name) for name in ("platform", "arch", "os", "variant", "authfile", "creds", "cert-dir",
                                               "tls-verify", "retry", "retry-delay", "signature-policy"))


def _pull(call: "Call", name: str, policy: str, progress: "Progress") -> None:
    from podlike.engine.pull import pull
    from podlike.spec.durations import parse_duration

    opts = call.opts
    pull(call.engine, name, platform=platform_of(call) or None,
         tls_verify=opts.tls_verify if call.changed("tls-verify") else None, creds=opts.creds or None,
         authfile=opts.authfile or None, cert_dir=opts.cert_dir or None, policy=policy,
         retries=opts.retry if call.changed("retry") else None,
         retry_delay=parse_duration(opts.retry_delay) if opts.retry_delay else None,
         signature_policy=opts.signature_policy or None, progress=progress)


def write_cidfile(call: "Call", path: str, container: "Container") -> None:
    """Write the id for scripts; the container goes away again if that cannot be done."""
    try:
        with open(path, "w") as f:
            f.write(container.id)
    except OSError as e:
        from podlike.engine.remove import remove

        remove(call.engine, container, force=True, volumes=True)
        raise UsageError(f"write container ID to {path}: {(e.strerror or '').lower()}",
                         hint="Give --cidfile a path that you can write.") from None
