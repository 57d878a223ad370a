"""Some threads for a list of jobs; the first failure ends them all."""

import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, TypeVar

    T = TypeVar("T")

# How long Ctrl-C waits for threads that are cleaning up.
_PATIENCE_S: "Final" = 10.0


def run_all(jobs: "Sequence[T]", work: "Callable[[T], None]", *, threads: int, abort: "Callable[[], None]") -> None:
    """Call work(job) for every job, in order, some at a time; the first error is raised when all have ended.

    abort: makes those that are at work stop soon; called at the first error and at KeyboardInterrupt.
    """
    state = _State(list(reversed(jobs)))
    made = [threading.Thread(target=_loop, args=(state, work, abort), name=f"job-{n}", daemon=True)
            for n in range(min(threads, len(jobs)))]
    # Not Thread.join(): interrupted by Ctrl-C, CPython 3.11's takes the thread for ended (bpo-45274's fix).
    running = 0
    try:
        for thread in made:
            thread.start()
            running += 1
        for _ in made:
            state.ended.acquire()
            running -= 1
    except BaseException:
        state.stop = True
        abort()
        deadline = time.monotonic() + _PATIENCE_S
        while running > 0 and state.ended.acquire(timeout=max(0.0, deadline - time.monotonic())):
            running -= 1
        raise
    if state.error is not None:
        raise state.error


class _State:
    def __init__(self, queue: "list[Any]") -> None:
        self.queue = queue
        self.lock = threading.Lock()
        self.ended = threading.Semaphore(0)
        self.error: BaseException | None = None
        self.stop = False


def _loop(state: _State, work: "Callable[[Any], None]", abort: "Callable[[], None]") -> None:
    try:
        while True:
            with state.lock:
                if state.stop or state.error is not None or not state.queue:
                    return
                job = state.queue.pop()
            try:
                work(job)
            except BaseException as e:
                with state.lock:
                    # The others will fail because of this one.
                    state.error = state.error or e
                abort()
    finally:
        state.ended.release()
