"""Which containers need which others: those that live in another's namespaces or on its volumes must go before it, and
start after it."""

from podlike.engine.core import Engine
from podlike.spec.container import ContainerSpec
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def dependents(engine: Engine, container: Container) -> list[Container]:
    """All that depend on it, also through others, each before what it needs itself."""
    everyone = engine.containers.joining()
    out: list[Container] = []

    def visit(one: Container) -> None:
        for other in everyone:
            if other.id != container.id and other not in out and needs(other.spec, one):
                visit(other)
                if other not in out:
                    out.append(other)

    visit(container)
    return out


def dependents_first(engine: Engine, containers: "Iterable[Container]") -> list[Container]:
    """The same containers in an order in which they can be removed."""
    wanted = {c.id: c for c in containers}
    order = {c.id: c for one in wanted.values() for c in (*dependents(engine, one), one) if c.id in wanted}
    return [wanted[cid] for cid in order]


def needs(spec: ContainerSpec, other: Container) -> bool:
    """Whether a container of this spec needs the other one itself."""
    names = must_run(spec) + [v.partition(":")[0] for v in spec.volumes_from]
    return any(name and (name == other.name or other.id.startswith(name)) for name in names)


def must_run(spec: ContainerSpec) -> list[str]:
    """Names and ids of the containers without which one of this spec cannot start."""
    joined = [v.partition(":")[2] for v in (spec.network, spec.pid_ns, spec.ipc_ns, spec.uts_ns, spec.cgroup_ns, spec.user_ns)
              if v.startswith("container:")]
    return joined + spec.requires
