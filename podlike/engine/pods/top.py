"""The processes of all containers of a pod."""

from podlike.engine import query
from podlike.engine import top as containers
from podlike.engine.core import Engine
from podlike.engine.pods.members import members
from podlike.errors import ConflictError
from podlike.store.pods import Pod


def processes(engine: Engine, pod: Pod, columns: list[str]) -> tuple[list[str], list[list[str]]]:
    """(headings, rows), container by container; those that share their process ids are listed once.

    Raises: ConflictError when nothing runs, UsageError for a bad column.
    """
    heads: list[str] = []
    rows: list[list[str]] = []
    seen: set[str] = set()
    # The infra container last: where it shares its process ids, another one knows the users' names.
    for container in sorted(members(engine, pod), key=lambda c: c.spec.infra):
        pid, _ = query.process_of(engine, container)
        namespace = query.pid_namespace(pid) if pid else ""
        if not namespace or namespace in seen:
            continue
        seen.add(namespace)
        heads, found = containers.processes(engine, container, columns)
        rows += found
    if not heads:
        raise ConflictError(f"pod top can only be used on pods with at least one running container: {pod.name} has none",
                            hint=f"Start it: `podlike pod start {pod.name}`.")
    return heads, rows
