"""podlike rm: remove containers."""

import os

from podlike.cli.command import Call, Command, Flag, print_error
from podlike.cli.options import ALL_CIDFILE, FILTER, LATEST, TIME, check_selection, container_name, select
from podlike.errors import NotFoundError, PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.store.containers import Container


def rm(call: Call) -> int:
    """Exit code: 0; 1 when all that failed did not exist; 2 in use; 125 otherwise (podman-rm(1))."""
    check_selection(call, cidfile=True)
    opts = call.opts
    opts.ignore = opts.ignore or opts.force
    codes: list[int] = []
    for typed, container in _chosen(call, codes):
        try:
            for one in _with_dependents(call, container) if opts.depend else [container]:
                _remove(call, one)
        except NotFoundError:
            continue  # somebody else removed it meanwhile
        except PodlikeError as e:
            print_error(e)
            codes.append(e.exit_code)
        else:
            call.out(typed)
    return max((c for c in codes if c != 1), default=1 if codes else 0)


def _chosen(call: Call, codes: list[int]) -> "list[tuple[str, Container]]":
    if not call.args:
        return select(call)
    from podlike.engine.query import find

    found = []
    for name in call.args:
        try:
            found.append((name, find(call.engine, container_name(name))))
        except NotFoundError as e:
            if not call.opts.ignore:
                print_error(e)
                codes.append(1)
        except PodlikeError as e:
            print_error(e)
            codes.append(e.exit_code)
    return found


def _remove(call: Call, container: "Container") -> None:
    from podlike.engine.remove import remove

    opts = call.opts
    remove(call.engine, container, force=opts.force, volumes=opts.volumes,
           timeout=opts.time if call.changed("time") else None)
    if container.spec.cidfile:
        try:
            os.unlink(container.spec.cidfile)
        except OSError:
            pass  # it was a copy of the id for scripts; they may have removed or moved it


def _with_dependents(call: Call, container: "Container") -> "list[Container]":
    """Containers that live in this one's namespaces or on its volumes, each before what it needs."""
    from podlike.engine.query import all_containers

    everyone = all_containers(call.engine)
    out: list[Container] = []

    def visit(one: "Container") -> None:
        for other in everyone:
            if other.id != one.id and other not in out and _needs(other, one):
                visit(other)
        if one not in out:
            out.append(one)

    visit(container)
    return out


def _needs(one: "Container", other: "Container") -> bool:
    spec = one.spec
    joined = [v.partition(":")[2] for v in (spec.network, spec.pid_ns, spec.ipc_ns, spec.uts_ns, spec.cgroup_ns, spec.user_ns)
              if v.startswith("container:")]
    joined += [v.partition(":")[0] for v in spec.volumes_from]
    return any(name and (name == other.name or other.id.startswith(name)) for name in joined)


command = Command(
    "rm", rm, usage="CONTAINER [CONTAINER...]", summary="Remove one or more containers",
    description="Removes one or more containers from the host. The container name or ID can be used.\n\n"
                "Command does not remove images. Running or unusable containers will not be removed without the -f "
                "option.",
    flags=(Flag("all", "a", "bool", "Remove all containers"), ALL_CIDFILE,
           Flag("depend", "", "bool", "Remove container and all containers that depend on the selected container"),
           Flag(FILTER.name, "", FILTER.kind, FILTER.help),
           Flag("force", "f", "bool", "Force removal of a running or unusable container"),
           Flag("ignore", "i", "bool", "Ignore errors when a specified container is missing"), LATEST, TIME,
           Flag("volumes", "v", "bool", "Remove anonymous volumes associated with the container")),
    examples=("rm ctrID", "rm mywebserver myflaskserver 860a4b23", "rm --force --all", "rm -f c684f0d469f2"))
