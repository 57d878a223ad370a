"""Every error podlike raises on purpose.

    PodlikeError                     125  the engine could not do what was asked
    ├── UsageError                   125  the command line is wrong
    ├── ConfigError                  125  a configuration file is wrong
    ├── NotFoundError                125  no such container, image, volume, network ...
    ├── ConflictError                125  name in use, wrong state
    ├── InUseError                     2  the object is used by others; removing it needs --force
    ├── SessionError                 125  user namespaces, subordinate ids, newuidmap
    ├── StoreError                   125  disk, database, layers, archives
    ├── RegistryError                125  registry, network to it, authentication, digests
    ├── NetworkError                 125  container network, ports
    └── RuntimeFailure               125  the OCI runtime or the monitor failed
        ├── CannotExecuteError       126  the command was found but cannot be run
        └── CommandNotFoundError     127  the command was not found in the container

Only podlike/__main__.py prints errors and exits. This module imports nothing.
"""


class PodlikeError(Exception):
    """What was attempted, on what, and why it failed; `hint` says what to do next.

    message: "attempt object: cause", one line, no final full stop.
    hint: an imperative sentence that the user can act on, or None.
    """

    exit_code = 125

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> "tuple[object, ...]":
        return _again, (type(self), self.args, self.__dict__)  # whatever the __init__ of a subclass takes


def _again(kind: "type[PodlikeError]", args: "tuple[object, ...]", state: "dict[str, object]") -> PodlikeError:
    """An error that came from another process (pickle)."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(PodlikeError):
    """The command line asks for something that has no meaning."""


class ConfigError(PodlikeError):
    """A configuration file cannot be read or says something wrong. detail: what is wrong in a file's text, alone."""

    detail = ""


class NotFoundError(PodlikeError):
    """The named object does not exist."""


class ConflictError(PodlikeError):
    """The object exists already, or its state does not allow the action."""


class InUseError(PodlikeError):
    """The object is used by others."""

    exit_code = 2


class SessionError(PodlikeError):
    """The user's session namespaces cannot be made or joined."""


class StoreError(PodlikeError):
    """The store on disk failed: database, blob, layer, archive."""


class RegistryError(PodlikeError):
    """A registry refused, lied or could not be reached."""


class NetworkError(PodlikeError):
    """A container's network cannot be set up."""


class RuntimeFailure(PodlikeError):
    """The OCI runtime or the monitor failed."""


class CannotExecuteError(RuntimeFailure):
    """The command exists in the container but cannot be executed."""

    exit_code = 126


class CommandNotFoundError(RuntimeFailure):
    """The command does not exist in the container."""

    exit_code = 127
