"""podlike rm: remove containers."""

import os

from podlike.cli.command import Call, Command, Flag, at_least
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
    for typed, container in _in_order(call, _without_pods(call, _chosen(call, codes), codes)):
        try:
            _remove(call, container)
        except NotFoundError:
            continue  # somebody else removed it meanwhile
        except PodlikeError as e:
            codes.append(call.complain(e))
        else:
            call.out(typed)
    return max((c for c in codes if c != 1), default=1 if codes else 0)


def _without_pods(call: Call, chosen: "list[tuple[str, Container]]", codes: list[int]) -> "list[tuple[str, Container]]":
    """With --depend the pod of an infra container goes as a whole; returns what is left to do."""
    whole = {c.spec.pod for _, c in chosen if c.spec.infra} if call.opts.depend else set()
    for pod_id in whole:
        from podlike.engine.pods.remove import remove

        pod = call.engine.pods.get(pod_id)
        try:
            timeout = call.opts.time if call.changed("time") else None
            gone = remove(call.engine, pod, force=call.opts.force, timeout=timeout) if pod else []
        except PodlikeError as e:
            codes.append(call.complain(e))
            continue
        for cid in gone:
            call.out(cid)
    return [(name, c) for name, c in chosen if c.spec.pod not in whole]


def _in_order(call: Call, chosen: "list[tuple[str, Container]]") -> "list[tuple[str, Container]]":
    """Each before what it needs; with --depend also those that were not named, printed by their id."""
    from podlike.engine.dependents import dependents, dependents_first

    typed = {c.id: name for name, c in chosen}
    every = [c for _, c in chosen]
    if call.opts.depend:
        every += [other for c in every for other in dependents(call.engine, c)]
    elif len(every) < 2:
        return chosen
    return [(typed.get(c.id, c.id), c) for c in dependents_first(call.engine, every)]


def _chosen(call: Call, codes: list[int]) -> "list[tuple[str, Container]]":
    if not call.args:
        return [(name, c) for name, c in select(call) if not c.spec.infra or call.opts.depend]
    from podlike.engine.query import find

    found = []
    for name in call.args:
        try:
            found.append((name, find(call.engine, container_name(name))))
        except NotFoundError as e:
            if not (call.opts.ignore or call.opts.force):
                e.message = e.message.replace("name or ID", "ID or name")  # as podman's rm says it
                call.complain(e)
                codes.append(1)
        except PodlikeError as e:
            codes.append(call.complain(e))
    return found


def _remove(call: Call, container: "Container") -> None:
    opts = call.opts
    call.api.containers.remove(container, force=opts.force, volumes=opts.volumes,
                               timeout=opts.time if call.changed("time") else 0 if call.docker else None)
    if container.spec.cidfile:
        try:
            os.unlink(container.spec.cidfile)
        except OSError:
            pass  # it was a copy of the id for scripts; they may have removed or moved it


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


def _rm_as_docker(call: Call) -> int:
    if call.opts.link:
        from podlike.cli.refused import refuse

        refuse("link")
    for name in ("all", "depend", "ignore", "latest"):
        setattr(call.opts, name, False)
    call.opts.filter = call.opts.cidfile = None
    return rm(call)


docker_command = Command(
    "rm", _rm_as_docker, usage="CONTAINER [CONTAINER...]", summary="Remove one or more containers", args=at_least(1),
    flags=(Flag("force", "f", "bool", "Force the removal of a running container (uses SIGKILL)"),
           Flag("link", "l", "bool", "Remove the specified link"),
           Flag("volumes", "v", "bool", "Remove anonymous volumes associated with the container")))
