"""What systemd knows of services, and what it is asked to do: by systemctl(1), for the system or for the caller."""

import os

from podlike import paths
from podlike.errors import PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_RUNNING: "Final" = "/run/systemd/system"  # sd_booted(3)
_TIMEOUT: "Final" = 120


class State:
    """load: loaded, not-found ...; active: active, inactive, failed ...; sub: running, dead ..."""

    __slots__ = ("load", "active", "sub")

    def __init__(self, load: str = "not-found", active: str = "", sub: str = "") -> None:
        self.load = load
        self.active = active
        self.sub = sub

    @property
    def is_up(self) -> bool:
        """Also on its way up or down."""
        return self.active not in ("", "inactive", "failed")

    @property
    def words(self) -> str:
        return f"{self.active}/{self.sub}" if self.load == "loaded" else "Not loaded"


def caller() -> int | None:
    """The id of the user whose manager is meant; None: root, and the system's."""
    return paths.real_uid() or None


def is_running() -> bool:
    """Whether there is a systemd that can be asked."""
    if caller() is None:
        return os.path.isdir(_RUNNING)
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{paths.real_uid()}"
    return os.path.exists(f"{runtime}/systemd/private") or os.path.exists(f"{runtime}/bus") and os.path.isdir(_RUNNING)


def states(services: list[str]) -> dict[str, State]:
    """What is known of services; nothing of templates, and of none where there is no systemd."""
    found = {name: State() for name in services}
    wanted = [name for name in found if not name.endswith("@.service")]
    if not wanted or not is_running():
        return found
    out = _systemctl("show", "--property=Id,LoadState,ActiveState,SubState", "--", *wanted, check=False)[1]
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in out.split("\n\n")]
    if len(blocks) == len(wanted):  # in the order of the names; an alias has another Id
        pairs = list(zip(wanted, blocks, strict=True))
    else:
        pairs = [(block.get("Id", ""), block) for block in blocks]
    for name, block in pairs:
        if name in found:
            found[name] = State(block.get("LoadState", "not-found"), block.get("ActiveState", ""), block.get("SubState", ""))
    return found


def stop(service: str) -> None:
    """Stop a service and wait for it. Raises: PodlikeError."""
    _systemctl("stop", "--", service)


def reload() -> None:
    """Have the generators called, and all units read again. Raises: PodlikeError."""
    _systemctl("daemon-reload")


def call(*words: str) -> None:
    """Any other order. Raises: PodlikeError."""
    _systemctl(*words)


def _systemctl(*words: str, check: bool = True) -> tuple[int, str]:
    import subprocess

    program = paths.find_program("systemctl")
    if program is None:
        raise PodlikeError("ask systemd: there is no systemctl here", hint="Run it where systemd manages services.")
    uid = caller()
    environment = dict(os.environ)
    if uid is not None:
        environment.setdefault("XDG_RUNTIME_DIR", f"/run/user/{uid}")
    try:
        done = subprocess.run([program, *(() if uid is None else ("--user",)), *words], capture_output=True, text=True,
                              errors="replace", timeout=_TIMEOUT, check=False, env=environment, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise PodlikeError(f"systemctl {words[0]}: no answer for {_TIMEOUT} seconds",
                           hint="See `systemctl list-jobs` for what it waits for.") from None
    if done.returncode and check:
        raise PodlikeError(f"systemctl {' '.join(w for w in words if w != '--')}: {' '.join(done.stderr.split())}",
                           hint="Log in as this user, or switch lingering on (`loginctl enable-linger`), so that its systemd "
                                "runs." if "connect" in done.stderr else None)
    return done.returncode, done.stdout
