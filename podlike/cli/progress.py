"""What a pull shows: bars on a terminal, podman's lines elsewhere, all of it on standard error."""

import sys

from podlike.engine.fetch import Progress
from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import rich.progress

# Hexadecimal digits of a digest that a bar shows, as podman does.
_SHORT = 12
_JSON_INTERVAL_S = 0.1


def make_progress(*, quiet: bool = False, form: str = "auto") -> Progress:
    """The display for this process's standard error. form: auto, plain or json. Raises: UsageError."""
    if form not in ("auto", "tty", "plain", "json"):
        raise UsageError(f"--progress {form}: there is no such form", hint="Use auto, plain or json.")
    if quiet:
        return Progress()
    if form == "json":
        return JsonLines()
    return Bars() if form == "tty" or form == "auto" and sys.stderr.isatty() else Lines()


class Lines(Progress):
    """One line a step, for logs and pipes."""

    def trying(self, name: str) -> None:
        _say(f"Trying to pull {name}...")

    def note(self, text: str) -> None:
        _say(text)

    def reading(self) -> None:
        _say("Getting image source signatures")

    def started(self, digest: str, size: int) -> None:
        _say(f"Copying blob {digest}")

    def skipped(self, digest: str) -> None:
        _say(f"Copying blob {digest} skipped: already exists")

    def config(self, digest: str) -> None:
        _say(f"Copying config {digest}")

    def writing(self) -> None:
        _say("Writing manifest to image destination")


class JsonLines(Progress):
    """One JSON object a line: {"event", ...}; bytes are told at most ten times a second and layer."""

    def __init__(self) -> None:
        import threading

        self._lock = threading.Lock()
        self._sizes: dict[str, int] = {}
        self._here: dict[str, int] = {}
        self._told: dict[str, float] = {}

    def trying(self, name: str) -> None:
        self._say("trying", name=name)

    def note(self, text: str) -> None:
        self._say("note", text=text)

    def started(self, digest: str, size: int) -> None:
        self._sizes[digest], self._here[digest] = size, 0
        self._say("started", digest=digest, total=size)

    def advanced(self, digest: str, count: int) -> None:
        from time import monotonic

        self._here[digest] = self._here.get(digest, 0) + count
        now = monotonic()
        if now - self._told.get(digest, 0.0) >= _JSON_INTERVAL_S:
            self._told[digest] = now
            self._say("advanced", digest=digest, current=self._here[digest], total=self._sizes.get(digest, 0))

    def done(self, digest: str) -> None:
        self._say("done", digest=digest, current=self._here.get(digest, 0), total=self._sizes.get(digest, 0))

    def skipped(self, digest: str) -> None:
        self._say("skipped", digest=digest)

    def config(self, digest: str) -> None:
        self._say("config", digest=digest)

    def writing(self) -> None:
        self._say("writing")

    def _say(self, event: str, **fields: "str | int") -> None:
        import json

        with self._lock:
            _say(json.dumps({"event": event, **fields}))


class Bars(Lines):
    """A bar for each layer with its speed. The display starts with the first layer: it has a thread of its own,
    and the session's namespaces are joined before there is more than one."""

    def __init__(self) -> None:
        self._display: "rich.progress.Progress | None" = None
        self._tasks: "dict[str, rich.progress.TaskID]" = {}

    def started(self, digest: str, size: int) -> None:
        self._task(digest, size)

    def advanced(self, digest: str, count: int) -> None:
        if self._display is not None and digest in self._tasks:
            self._display.advance(self._tasks[digest], count)

    def done(self, digest: str) -> None:
        if self._display is not None and digest in self._tasks:
            self._display.update(self._tasks[digest], note="done")

    def skipped(self, digest: str) -> None:
        task = self._task(digest, 1)
        if self._display is not None:
            self._display.update(task, completed=1, note="skipped: already exists")

    def config(self, digest: str) -> None:
        self.close()
        _say(f"Copying config {_short(digest)} done")

    def close(self) -> None:
        display, self._display = self._display, None
        self._tasks.clear()
        if display is not None:
            display.stop()

    def _task(self, digest: str, size: int) -> "rich.progress.TaskID":
        if self._display is None:
            self._display = _make_display()
            self._display.start()
        if digest not in self._tasks:
            self._tasks[digest] = self._display.add_task(f"Copying blob {_short(digest)}", total=size, note="")
        return self._tasks[digest]


def _make_display() -> "rich.progress.Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(TextColumn("{task.description}"), BarColumn(bar_width=38), DownloadColumn(), TransferSpeedColumn(),
                    TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=Console(stderr=True), refresh_per_second=8)


def _short(digest: str) -> str:
    return digest.partition(":")[2][:_SHORT]


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
