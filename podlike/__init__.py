"""podlike, a daemonless, rootless container engine.

    from podlike import Engine

    with Engine() as engine:
        done = engine.containers.run("alpine", ["echo", "hello"], remove=True)
        print(done.exit_code, done.stdout)

See docs/LIBRARY.md. Importing this module costs nothing: what it exports is imported when it is first used.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from podlike.engine.fetch import Progress
    from podlike.engine.psrows import Row as ContainerInfo
    from podlike.engine.pull import PullOptions
    from podlike.errors import (
        CannotExecuteError,
        CommandNotFoundError,
        ConfigError,
        ConflictError,
        InUseError,
        NetworkError,
        NotFoundError,
        PodlikeError,
        RegistryError,
        RuntimeFailure,
        SessionError,
        StoreError,
        UsageError,
    )
    from podlike.library.engine import Engine
    from podlike.library.results import CommandFailed, Finished
    from podlike.spec.container import ContainerSpec, HealthCheck, Mount, PortMapping
    from podlike.spec.events import Event
    from podlike.spec.loglines import LogLine
    from podlike.store.containers import Container
    from podlike.store.images import Image
    from podlike.store.pods import Pod
    from podlike.store.volumes import Volume

_ERRORS = ("CannotExecuteError", "CommandNotFoundError", "ConfigError", "ConflictError", "InUseError", "NetworkError",
           "NotFoundError", "PodlikeError", "RegistryError", "RuntimeFailure", "SessionError", "StoreError", "UsageError")
# name -> (module, its name there)
_HOMES = {
    **{name: ("podlike.errors", name) for name in _ERRORS},
    "CommandFailed": ("podlike.library.results", "CommandFailed"), "Container": ("podlike.store.containers", "Container"),
    "ContainerInfo": ("podlike.engine.psrows", "Row"), "ContainerSpec": ("podlike.spec.container", "ContainerSpec"),
    "Engine": ("podlike.library.engine", "Engine"), "Event": ("podlike.spec.events", "Event"),
    "Finished": ("podlike.library.results", "Finished"), "HealthCheck": ("podlike.spec.container", "HealthCheck"),
    "Image": ("podlike.store.images", "Image"), "LogLine": ("podlike.spec.loglines", "LogLine"),
    "Mount": ("podlike.spec.container", "Mount"), "PortMapping": ("podlike.spec.container", "PortMapping"),
    "Progress": ("podlike.engine.fetch", "Progress"), "PullOptions": ("podlike.engine.pull", "PullOptions"),
    "Volume": ("podlike.store.volumes", "Volume"), "Pod": ("podlike.store.pods", "Pod"),
}

__all__ = ["__version__", "CannotExecuteError", "CommandFailed", "CommandNotFoundError", "ConfigError", "ConflictError",
           "Container", "ContainerInfo", "ContainerSpec", "Engine", "Event", "Finished", "HealthCheck", "Image", "InUseError",
           "LogLine", "Mount", "NetworkError", "NotFoundError", "Pod", "PodlikeError", "PortMapping", "Progress", "PullOptions",
           "RegistryError", "RuntimeFailure", "SessionError", "StoreError", "UsageError", "Volume"]


def __getattr__(name: str) -> "Any":
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'podlike' has no attribute {name!r}")
    found = getattr(__import__(home[0], fromlist=(home[1],)), home[1])
    globals()[name] = found
    return found


def __dir__() -> "list[str]":
    return __all__
