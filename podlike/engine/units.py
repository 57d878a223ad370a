"""systemd units for containers: what `generate systemd` writes, and in whose name."""

import os
import sys
import time

from podlike import __version__, log, paths
from podlike.errors import ConflictError, PodlikeError, UsageError
from podlike.spec import unittext
from podlike.spec.unittext import ContainerUnit, PodUnit, Program, UnitOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from podlike.engine.core import Engine
    from podlike.spec.typedflags import CommandLine
    from podlike.store.containers import Container
    from podlike.store.pods import Pod

    # From the words of a recorded command line to its flags. Raises: UsageError.
    Reader = Callable[[Sequence[str]], CommandLine]


def container_units(engine: "Engine", container: "Container", *, options: UnitOptions, read: "Reader",
                    prog: str = "podlike") -> dict[str, str]:
    """Text of the container's unit by its service's name. prog: what the program is called by here: podlike, podman.

    Raises: UsageError.
    """
    unittext.check_options(options)
    _warn_of_policy(container, options)
    unit = describe(engine, container, options=options, read=read)
    program = _without_roots_given_twice(program_of(engine, prog), unit.typed)
    return {unittext.container_service(container.id, container.name, options): unittext.container_text(unit, options, program)}


def pod_units(engine: "Engine", pod: "Pod", *, options: UnitOptions, read: "Reader", read_pod: "Reader",
              prog: str = "podlike") -> dict[str, str]:
    """Texts of the units of a pod and of its containers, the pod's first. Raises: UsageError, ConflictError."""
    from podlike.engine.pods.members import members

    unittext.check_options(options)
    if options.template:
        raise UsageError("--template is not supported for pods", hint="Leave it out.")
    containers = members(engine, pod)
    infra = next((c for c in containers if c.id == pod.state.infra), None)
    if infra is None:
        raise ConflictError(f'generating systemd unit files: Pod "{pod.name}" has no infra container',
                            hint="Make the pod without --infra=false.")
    services = {c.id: unittext.container_service(c.id, c.name, options) for c in containers}
    services[infra.id] = unittext.pod_service(pod.id, pod.name, options)
    own = PodUnit(id=pod.id, name=pod.name, infra_id=infra.id, infra_name=infra.name,
                  typed=read_pod(pod.spec.create_command) if options.new and pod.spec.create_command else None,
                  stop_timeout=infra.spec.stop_timeout, pidfile=_pidfile(engine, infra),
                  run_root=run_root(engine, new=options.new), required=[v for k, v in services.items() if k != infra.id])
    program = program_of(engine, prog)
    units = {services[infra.id]: unittext.pod_text(own, options, _without_roots_given_twice(program, own.typed))}
    id_file = unittext.pod_id_file(services[infra.id]) if options.new else ""
    for container in sorted((c for c in containers if c is not infra), key=lambda c: c.name):
        _warn_of_policy(container, options)
        unit = describe(engine, container, options=options, read=read)
        unit = unit._replace(bound_to=_bound_to(container, containers, services), pod_id_file=id_file)
        text = unittext.container_text(unit, options, _without_roots_given_twice(program, unit.typed))
        units[services[container.id]] = text
    return units


def _bound_to(container: "Container", members: "Sequence[Container]", services: dict[str, str]) -> list[str]:
    """The pod's service, and those of the other containers that it needs."""
    from podlike.engine.dependents import needs

    needed = (other.id for other in members if other is not container and not other.spec.infra and needs(container.spec, other))
    return [services[next(c.id for c in members if c.spec.infra)], *(services[cid] for cid in needed)]


def describe(engine: "Engine", container: "Container", *, options: UnitOptions, read: "Reader") -> ContainerUnit:
    """What of a container its unit depends on. Raises: UsageError."""
    spec = container.spec
    if spec.init_ctr:
        raise UsageError(f"unsupported container {container.id}: cannot generate systemd units for init containers",
                         hint="Its pod starts it.")
    typed = read(spec.create_command) if options.new and spec.create_command else None
    return ContainerUnit(id=container.id, name=container.name, typed=typed, stop_timeout=spec.stop_timeout,
                         pidfile=_pidfile(engine, container),
                         run_root=run_root(engine, new=options.new), env=spec.env)


def _pidfile(engine: "Engine", container: "Container") -> str:
    """Where its monitor's pid is, as a unit says it."""
    return (container.spec.conmon_pidfile or f"{engine.roots.bundle(container.id)}/conmon.pid").replace("%", "%%")


def _warn_of_policy(container: "Container", options: UnitOptions) -> None:
    policy = container.spec.restart_policy
    if not options.new and policy not in ("", "no"):
        log.warning(f'Container {container.id} has restart policy "{policy.partition(":")[0]}" which can lead to issues on '
                    "shutdown: consider recreating the container without a restart policy and use systemd's restart mechanism "
                    "instead")


def run_root(engine: "Engine", *, new: bool) -> str:
    """The directory of volatile state in a unit; one that is to work for others too says %t."""
    return "%t/podlike" if new and engine.roots.run == _plain_roots()[1] else engine.roots.run.replace("%", "%%")


def _plain_roots() -> tuple[str, str]:
    """Where everything lies for a program that systemd starts, whose environment names no other places."""
    uid = paths.real_uid()
    if uid == 0:
        return "/var/lib/podlike", "/run/podlike"
    import pwd

    try:
        home = pwd.getpwuid(uid).pw_dir
    except KeyError:
        home = os.environ.get("HOME", "/")
    return f"{home}/.local/share/podlike", f"/run/user/{uid}/podlike"


def program_of(engine: "Engine", prog: str) -> Program:
    """The program that runs now, as systemd can call it: with its environment, and the store where that is not the usual."""
    words, environment = [os.path.abspath(sys.argv[0])], list[str]()
    if "/" not in sys.argv[0] or sys.argv[0].endswith("/__main__.py") or not os.access(words[0], os.X_OK):
        words = [sys.executable, "-m", "podlike"]
        environment = [f"{k}={os.environ[k]}" for k in ("PYTHONPATH", "PODLIKE_LIBEXEC") if os.environ.get(k)]
    data, run = _plain_roots()
    roots = engine.roots
    words += ["--root", roots.data] if roots.data != data else []
    words += ["--runroot", roots.run] if roots.run != run and not roots.run.startswith("/tmp/podlike-") else []
    return Program(words=words, title=prog.capitalize(), version=__version__, manual=_manual(words[0], prog),
                   environment=environment, written=_unix_date())


def _without_roots_given_twice(program: Program, typed: "CommandLine | None") -> Program:
    if typed is None or not any(word.startswith(("--root", "--runroot")) for word in typed.root):
        return program
    words = list(program.words)
    for flag in ("--root", "--runroot"):
        if flag in words:
            del words[words.index(flag):words.index(flag) + 2]
    return program._replace(words=words)


def _manual(executable: str, prog: str) -> str:
    """The page, where there is one: `systemd-analyze verify` calls a unit wrong that names a page which man cannot find."""
    shares = (f"{os.path.dirname(os.path.dirname(executable))}/share", "/usr/local/share", "/usr/share")
    page = f"{prog}-generate-systemd"
    found = any(os.path.exists(f"{share}/man/man1/{page}.1{suffix}") for share in shares for suffix in ("", ".gz"))
    return f"man:{page}(1)" if found else ""


def _unix_date() -> str:
    now = time.localtime()
    return time.strftime(f"%a %b {now.tm_mday:2d} %H:%M:%S %Z %Y", now)


def write_units(directory: str, units: dict[str, str]) -> dict[str, str]:
    """Write each unit to NAME.service, whole or not at all. Returns the paths by service name. Raises: PodlikeError."""
    from podlike.files import replace_text

    written = {}
    for name, text in units.items():
        path = f"{directory.rstrip('/')}/{name}.service"
        if "/" in name:
            raise UsageError(f"write unit {path}: a prefix or separator with a slash makes no file name",
                             hint="Leave the slash out of --container-prefix, --pod-prefix and --separator.")
        try:
            replace_text(path, text, mode=0o644)
        except OSError as e:
            raise PodlikeError(f"write unit {path}: {(e.strerror or str(e)).lower()}",
                               hint="Call it in a directory that you can write to, such as ~/.config/systemd/user.") from e
        written[name] = path
    return written
