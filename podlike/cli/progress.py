"""What a pull shows: bars on a terminal, podman's lines elsewhere, all of it on standard error."""

import sys

from podlike.engine.fetch import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import rich.progress

# Hexadecimal digits of a digest that a bar shows, as podman does.
_SHORT = 12


def make_progress(*, quiet: bool = False) -> Progress:
    """The display for this process's standard error."""
    if quiet:
        return Progress()
    return Bars() if sys.stderr.isatty() else Lines()


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
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    return Progress(TextColumn("{task.description}"), BarColumn(bar_width=38), DownloadColumn(), TransferSpeedColumn(),
                    TextColumn("{task.fields[note]}"), console=Console(stderr=True), refresh_per_second=8)


def _short(digest: str) -> str:
    return digest.partition(":")[2][:_SHORT]


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
