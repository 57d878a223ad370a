"""Attaching to a container that runs already."""

from podlike.engine import events, query
from podlike.engine.core import Engine
from podlike.engine.stop import sender
from podlike.engine.wait import wait
from podlike.errors import ConflictError
from podlike.runtime import attach as attaching
from podlike.spec.attach import Attach
from podlike.store.containers import Container


def attach(engine: Engine, container: Container, how: Attach) -> int | None:
    """Relay until the container ends (its exit code) or the user detaches (None).

    Raises: ConflictError when it does not run.
    """
    state = query.status(engine, container).state
    if state not in ("running", "paused"):
        raise ConflictError(f"you can only attach to running containers: {container.name} is {state}: "
                            "container state improper", hint=f"Start it: `podlike start --attach {container.name}`.")
    if container.spec.log_driver.startswith("passthrough"):
        raise ConflictError(f"this container is using the '{container.spec.log_driver}' log driver, cannot attach: "
                            "this container is not logging output")
    bundle = engine.roots.bundle(container.id)
    with attaching.connect(bundle) as sock:
        events.container(engine, container, "attach")
        relay = attaching.Relay(sock, how, bundle=bundle, on_signal=sender(engine, container))
        if not relay.run():
            return None
    return wait(engine, container)
