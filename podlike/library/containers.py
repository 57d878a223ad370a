"""engine.containers: the verbs for containers.

A container is named by its name, its id, a unique beginning of it, or by an object that another verb returned. All
verbs raise NotFoundError for one that does not exist, and ConflictError for a beginning that fits several.
"""

from podlike.library.calling import Group, in_session, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import IO, Any, Literal, overload

    from podlike.engine.diff import Change
    from podlike.engine.fetch import Progress
    from podlike.engine.logs import Request
    from podlike.engine.psrows import Row
    from podlike.library.results import Finished
    from podlike.spec.attach import Attach
    from podlike.spec.container import ContainerSpec
    from podlike.spec.exec import ExecSpec
    from podlike.spec.loglines import LogLine
    from podlike.store.containers import Container

    Which = str | Container | Row
    Stream = IO[Any] | int | None


class Containers(Group):
    """Verbs for containers."""

    __slots__ = ()
    name = "containers"

    # --- looking ---

    @reading
    def list(self, *, all: bool = False, filters: "Iterable[str] | Mapping[str, str]" = (), last: int = -1,
             sort: str = "created") -> "builtins.list[Row]":
        """The containers that run, as `ps`. all: the others too. last: only so many, the newest, in any state.

        filters: {"name": "web"} or ["label=a=b", ...], keys as of `ps --filter`. sort: command, created, id, image, names,
        runningfor, size or status. Raises: UsageError for a bad filter or key.
        """
        from podlike.engine.psrows import rows

        return rows(self._core, filters=filter_words(filters), every=all, last=last, sort=sort)

    @reading
    def get(self, container: "Which") -> "Row":
        """One container with its present state."""
        from podlike.engine.psrows import Row

        return Row(self._core, self._found(container))

    def exists(self, container: "Which") -> bool:
        from podlike.errors import NotFoundError

        try:
            self.get(container)
        except NotFoundError:
            return False
        return True

    @reading
    def inspect(self, container: "Which", *, size: bool = False) -> "dict[str, Any]":
        """Everything about it: podman's document, keys in its order. size: with SizeRw and SizeRootFs, in bytes."""
        from podlike.engine.inspect import inspect_container

        return inspect_container(self._core, self._found(container), size=size)

    def logs(self, container: "Which", *, follow: bool = False, since: float = 0.0, until: float = 0.0,
             tail: int = -1) -> "Iterator[LogLine]":
        """What it wrote, oldest first: LogLine with time (RFC 3339), stream (stdout, stderr), text (bytes, no newline) and
        partial (the line goes on in the next piece).

        follow: go on until it ends. since, until: Unix seconds, 0: no limit. tail: only so many lines, the last; -1: all.
        Raises: ConflictError for log drivers that keep nothing. The iterator belongs to the thread that uses it first.
        """
        from podlike.engine.logs import Request

        return self.log_lines(container, Request(follow=follow, since=since, until=until, tail=tail))

    def log_lines(self, container: "Which", request: "Request") -> "Iterator[LogLine]":
        from podlike.engine.logs import logs

        yield from logs(self._core, self._found(container), request)

    def log_text(self, container: "Which", request: "Request") -> "Iterator[tuple[str, bytes]]":
        """The same as (stream, bytes), in large pieces and much faster."""
        from podlike.engine.logs import text

        yield from text(self._core, self._found(container), request)

    @in_session
    def top(self, container: "Which", columns: "Sequence[str]" = ("user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args")
            ) -> "tuple[builtins.list[str], builtins.list[builtins.list[str]]]":
        """(headings, rows) of its processes. Raises: ConflictError when it does not run, UsageError for a bad column."""
        from podlike.engine.top import processes

        return processes(self._core, self._found(container), [*columns])

    @in_session
    def diff(self, container: "Which") -> "builtins.list[Change]":
        """What has changed since its image. Raises: StoreError for one without an image."""
        from podlike.engine.diff import diff_container

        return diff_container(self._core, self._found(container))

    @reading
    def wait(self, container: "Which", *, conditions: "Sequence[str]" = ("stopped",), interval: float = 0.25,
             unstarted_ends: bool = False) -> int:
        """Block until one of the conditions holds: stopped, or a state as `ps` shows it, healthy, unhealthy, removing.

        Returns the exit code, -1 for a condition other than stopped. interval: seconds between looks at what the kernel
        does not announce. unstarted_ends: one that was never started is not waited for.
        Raises: ConflictError for the health of one without a check, or that has stopped.
        """
        from podlike.engine.wait import wait

        return wait(self._core, self._found(container), conditions=tuple(conditions), interval=interval,
                    unstarted_ends=unstarted_ends)

    # --- making and starting ---

    def create(self, image: "str | ContainerSpec", command: "Sequence[str]" = (), *, pull: str = "missing",
               replace: bool = False, for_run: bool = False, progress: "Progress | None" = None, **options: "Any") -> "Container":
        """Make a container that does not run yet.

        image: its name (a directory with rootfs=True), or a ContainerSpec, which has everything else in it. command: words,
        instead of the image's own. pull: always, missing, never or newer. replace: a container of the same name goes first.
        for_run: this call is followed by start(); if the program ends before, the container goes. progress: what a pull does.
        options: fields of ContainerSpec by keyword, among them
            name, hostname, env={"A": "b"}, labels={...}, workdir, user, entrypoint, terminal,
            volumes=["/host:/in:ro", "name:/data", Mount(...)], tmpfs={"/tmp": ""}, ports=["8080:80", PortMapping(...)],
            network="none", memory="64m" (or bytes), cpus=1.5, pids_limit, cap_add=[...], privileged, read_only,
            restart_policy, health=HealthCheck(...), stop_signal, stop_timeout (seconds), timeout (seconds it may run),
            remove=True: it goes when it has ended.
        Returns its record: id (64 hex digits), name, image (id), created (Unix seconds), spec (as resolved).
        Raises: UsageError, NotFoundError, ConflictError for a name that is taken, and what a pull raises. Nothing is left then.
        """
        spec = self._spec(image, command, options)
        return self._create(spec, pull=pull, replace=replace, for_run=for_run, progress=progress)

    @in_session
    def _create(self, spec: "ContainerSpec", *, pull: str, replace: bool, for_run: bool,
                progress: "Progress | None" = None) -> "Container":
        from podlike.engine.create import create

        return create(self._core, spec, pull_policy=pull, replace=replace, for_run=for_run, progress=progress)

    @in_session
    def start(self, container: "Which", *, attach: "Attach | None" = None, discard: bool = False,
              wait: bool = True) -> int | None:
        """Start it, after the containers that it needs; fine if it runs. wait: for sdnotify="healthy", until it is.

        attach: follow it with the standard streams of the process that runs the verb (the command line's; elsewhere
        use run() or logs()), and return its exit code. discard: it goes if it cannot start.
        Raises: ConflictError, NetworkError, RuntimeFailure, CannotExecuteError, CommandNotFoundError.
        """
        from podlike.engine.start import start

        return start(self._core, self._found(container), attach=attach, discard=discard, wait=wait)

    if TYPE_CHECKING:
        @overload
        def run(self, image: "str | ContainerSpec", command: Sequence[str] = (), *, detach: Literal[True],
                pull: str = "missing", replace: bool = False, progress: Progress | None = None,
                **options: Any) -> Container: ...
        @overload
        def run(self, image: "str | ContainerSpec", command: Sequence[str] = (), *, detach: Literal[False] = False,
                input: "bytes | IO[Any] | int | None" = None, stdout: Stream = None, stderr: Stream = None,
                check: bool = False, pull: str = "missing", replace: bool = False, progress: Progress | None = None,
                **options: Any) -> Finished: ...

    def run(self, image: "str | ContainerSpec", command: "Sequence[str]" = (), *, detach: bool = False,
            input: "bytes | IO[Any] | int | None" = None, stdout: "Stream" = None, stderr: "Stream" = None, check: bool = False,
            pull: str = "missing", replace: bool = False, progress: "Progress | None" = None,
            **options: "Any") -> "Finished | Container":
        """Make a container, start it, and wait for its end. Arguments as of create().

        Returns Finished: exit_code, stdout and stderr (bytes), container (id). input: bytes, or a file, for its standard
        input. stdout, stderr: a file or descriptor to write to instead of collecting. check: raise CommandFailed unless the
        exit code is 0. An exception in the calling thread (KeyboardInterrupt) stops the container.
        detach: do not wait; returns the Container, started.
        Raises: as create() and start(); the container is gone when it could not start.
        """
        spec = self._spec(image, command, options)
        if detach:
            return self._run_detached(spec, pull=pull, replace=replace, progress=progress)
        from podlike.library.child import Streams
        from podlike.library.results import Finished, checked

        spec.stdin_open = spec.stdin_open or input is not None
        made: "builtins.list[str]" = []

        def interrupted() -> None:
            if made and self.exists(made[0]):
                self.stop(made[0], timeout=0)

        (cid, args, code), out, err = self._engine.children.attached(
            self.name, "_run_attached", (spec,), {"pull": pull, "replace": replace}, Streams(input, stdout, stderr),
            progress=progress, tell=made.append, interrupted=interrupted)
        finished = Finished(args, cid, code, out, err)
        return checked(finished) if check else finished

    @in_session
    def _run_detached(self, spec: "ContainerSpec", *, pull: str, replace: bool,
                      progress: "Progress | None" = None) -> "Container":
        from podlike.engine.create import create
        from podlike.engine.start import start

        container = create(self._core, spec, pull_policy=pull, replace=replace, for_run=True, progress=progress)
        start(self._core, container, discard=True)
        return container

    def _run_attached(self, spec: "ContainerSpec", *, pull: str, replace: bool, tell: "Callable[[str], None]",
                      progress: "Progress | None" = None) -> "tuple[str, builtins.list[str], int]":
        """In the process of the verb, whose standard streams are the caller's."""
        from podlike.engine.create import create
        from podlike.engine.start import start
        from podlike.spec.attach import Attach

        container = create(self._core, spec, pull_policy=pull, replace=replace, for_run=True, progress=progress)
        tell(container.id)
        attach = Attach(stdin=spec.stdin_open, tty=spec.terminal, detach_keys="")
        code = start(self._core, container, attach=attach, discard=True)
        return container.id, container.spec.args, code or 0

    if TYPE_CHECKING:
        @overload
        def exec(self, container: Which, command: Sequence[str], *, detach: Literal[True], env: Mapping[str, str] | None = None,
                 user: str = "", workdir: str = "", terminal: bool = False, privileged: bool = False) -> str: ...
        @overload
        def exec(self, container: Which, command: Sequence[str], *, detach: Literal[False] = False,
                 env: Mapping[str, str] | None = None, user: str = "", workdir: str = "", terminal: bool = False,
                 privileged: bool = False, input: "bytes | IO[Any] | int | None" = None, stdout: Stream = None,
                 stderr: Stream = None, check: bool = False) -> Finished: ...

    def exec(self, container: "Which", command: "Sequence[str]", *, env: "Mapping[str, str] | None" = None, user: str = "",
             workdir: str = "", terminal: bool = False, privileged: bool = False, detach: bool = False,
             input: "bytes | IO[Any] | int | None" = None, stdout: "Stream" = None, stderr: "Stream" = None,
             check: bool = False) -> "Finished | str":
        """Run a further command in a container that runs. Arguments and result as of run().

        env: added to the container's. user, workdir: "" as the container has them. privileged: with all capabilities.
        detach: do not wait; returns the id of the session.
        Raises: ConflictError when it does not run, CannotExecuteError, CommandNotFoundError.
        """
        from podlike.library.child import Streams
        from podlike.library.results import Finished, checked
        from podlike.spec.exec import ExecSpec

        spec = ExecSpec(args=[*command], env=dict(env or {}), user=user, workdir=workdir, tty=terminal, privileged=privileged,
                        interactive=input is not None, detach=detach)
        cid = self._found(container).id
        if detach:
            return str(self.exec_spec(cid, spec))
        code, out, err = self._engine.children.attached(self.name, "_exec_attached", (cid, spec), {},
                                                        Streams(input, stdout, stderr))
        finished = Finished(spec.args, cid, code, out, err)
        return checked(finished) if check else finished

    @in_session
    def exec_spec(self, container: "Which", spec: "ExecSpec", *, attach: "Attach | None" = None) -> int | str:
        """The same as the command line has it. attach: as of start(); returns the exit code, without it the session's id."""
        from podlike.engine.exec import exec_

        return exec_(self._core, self._found(container), spec, attach=attach)

    def _exec_attached(self, container: str, spec: "ExecSpec") -> int:
        from podlike.spec.attach import Attach

        return int(self.exec_spec(container, spec, attach=Attach(stdin=spec.interactive, tty=spec.tty, detach_keys="")))

    # --- changing ---

    @in_session
    def stop(self, container: "Which", *, timeout: int | None = None, signal_name: str = "") -> bool:
        """Send its stop signal, and SIGKILL after timeout seconds (None: its own stop_timeout; negative: never).

        signal_name: instead of its own stop signal.

        Returns whether it ran. It is cleaned up, and removed if it was made with remove=True, when this returns.
        """
        from podlike.engine.stop import stop

        return stop(self._core, self._found(container), timeout=timeout, signal_name=signal_name)

    @in_session
    def kill(self, container: "Which", signal: str | int = "KILL") -> None:
        """Send a signal to its first process. Raises: UsageError for an unknown one, ConflictError when it does not run."""
        from podlike.engine.stop import kill
        from podlike.spec.signals import parse

        kill(self._core, self._found(container), parse(str(signal)))

    @in_session
    def pause(self, container: "Which") -> None:
        """Freeze its processes. Raises: ConflictError."""
        from podlike.engine.stop import pause

        pause(self._core, self._found(container))

    @in_session
    def unpause(self, container: "Which") -> None:
        """Raises: ConflictError when it is not paused."""
        from podlike.engine.stop import unpause

        unpause(self._core, self._found(container))

    @in_session
    def restart(self, container: "Which", *, timeout: int | None = None, signal_name: str = "") -> None:
        """Stop it as stop() does, and start it again. One that does not run is started."""
        from podlike.engine import events
        from podlike.engine.start import start
        from podlike.engine.stop import stop

        found = self._found(container)
        events.container(self._core, found, "restart")
        # remove=True means until the container ends by itself; a restart is not its end
        remove, found.spec.remove = found.spec.remove, False
        try:
            stop(self._core, found, timeout=timeout, signal_name=signal_name)
        finally:
            found.spec.remove = remove
        start(self._core, found)

    @in_session
    def rename(self, container: "Which", name: str) -> None:
        """Raises: UsageError for a name that cannot be, ConflictError for one that is taken."""
        from podlike.engine.rename import rename

        rename(self._core, self._found(container), name)

    @in_session
    def remove(self, container: "Which", *, force: bool = False, volumes: bool = False, timeout: int | None = None) -> None:
        """Remove it. force: stop it first if it runs, as stop() with timeout. volumes: its anonymous volumes too.

        Raises: InUseError when it runs and force is not given; ConflictError when others depend on it.
        """
        from podlike.engine.remove import remove

        remove(self._core, self._found(container), force=force, volumes=volumes, timeout=timeout)

    @in_session
    def prune(self, *, filters: "Iterable[str] | Mapping[str, str]" = ()) -> "builtins.list[str]":
        """Remove all that do not run; their ids. Raises: UsageError for a bad filter."""
        from podlike.engine.prune import prune_containers

        return prune_containers(self._core, filters=filter_words(filters))[0]

    def _found(self, container: "Which") -> "Container":
        from podlike.engine.query import find
        from podlike.store.containers import Container

        if isinstance(container, str):
            return find(self._core, container.removeprefix("/"))
        record = container if isinstance(container, Container) else container.c
        # The command line has just read it; a program may have kept it for hours.
        return record if self._engine.direct else find(self._core, record.id)

    def _spec(self, image: "str | ContainerSpec", command: "Sequence[str]", options: "dict[str, Any]") -> "ContainerSpec":
        if isinstance(image, str):
            from podlike.library.request import container_spec

            return container_spec(image, command, options)
        if command or options:
            from podlike.errors import UsageError

            raise UsageError("create a container from a ContainerSpec: command and options belong into it")
        return image


def filter_words(filters: "Iterable[str] | Mapping[str, str]") -> "list[str]":
    """["KEY=VALUE", ...] of either form."""
    from collections.abc import Mapping

    if isinstance(filters, Mapping):
        return [f"{key}={value}" for key, value in filters.items()]
    return [*filters]
