"""Having Quadlets become services: systemd's generators (root), or a service of the user's where there is no generator.

systemd looks for generators in directories of root's only. A user without root gets the service podlike-quadlet.service,
which writes the same units when the user's manager starts; `quadlet install` and `rm` have it done again.
Source: systemd.generator(7), systemd.unit(5) "Unit File Load Path".
"""

import os
import stat
import sys

from podlike import paths
from podlike.engine.quadlet import systemctl
from podlike.errors import PodlikeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_DIRECTORIES: "Final" = ("/run/systemd/{}-generators", "/etc/systemd/{}-generators", "/usr/local/lib/systemd/{}-generators",
                         "/usr/lib/systemd/{}-generators", "/lib/systemd/{}-generators")
_NAME: "Final" = "podlike-{}-generator"
_SERVICE: "Final" = "podlike-quadlet.service"
_LIST: "Final" = ".podlike-quadlet"  # beside the units that refresh() wrote: their names


def program() -> str:
    """The generator's own path. Raises: PodlikeError."""
    path = f"{os.path.dirname(sys.executable)}/podlike-quadlet"
    if not os.access(path, os.X_OK):
        raise PodlikeError(f"find the generator: there is no {path}",
                           hint="Install podlike with pip, or contrib/quickstart; a source tree alone has no programs.")
    return path


def generator(kind: str) -> str:
    """The path of an installed generator, "" if there is none. kind: system, user."""
    for directory in _DIRECTORIES:
        path = f"{directory.format(kind)}/{_NAME.format(kind)}"
        if os.access(path, os.X_OK):
            return path
    return ""


def service_file() -> str:
    """Of the user's own service."""
    home = os.environ.get("XDG_CONFIG_HOME") or f"{os.environ.get('HOME') or _home()}/.config"
    return f"{home}/systemd/user/{_SERVICE}"


def _home() -> str:
    import pwd

    return pwd.getpwuid(paths.real_uid()).pw_dir


def state() -> str:
    """What makes services of the caller's Quadlets: a path, "" if nothing does."""
    if systemctl.caller() is None:
        return generator("system")
    return generator("user") or (service_file() if os.path.exists(service_file()) else "")


def install() -> list[str]:
    """Set it up; the paths that were made. Raises: PodlikeError."""
    target = program()
    if systemctl.caller() is not None:
        return [] if generator("user") else _install_service(target)
    made = []
    for kind in ("system", "user"):
        if kind == "user" and not _everybody_may_run(target):
            continue
        path = f"/etc/systemd/{kind}-generators/{_NAME.format(kind)}"
        _link(path, target)
        made.append(path)
    return made


def left_out() -> str:
    """Why root's install() made no generator for users, "" if it did."""
    if systemctl.caller() is not None or _everybody_may_run(program()):
        return ""
    return (f"users cannot run {program()}, so their Quadlets are left alone: install podlike where all may read it, or let "
            "each user run `podlike quadlet generator install`")


def _everybody_may_run(path: str) -> bool:
    """Whether other users get to the program, and to the interpreter and the package behind it."""
    for start in (path, os.path.realpath(sys.executable), os.path.dirname(os.path.abspath(paths.__file__))):
        here = start
        while here != "/":
            if not os.stat(here).st_mode & stat.S_IXOTH:
                return False
            here = os.path.dirname(here)
    return True


def _link(path: str, target: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.islink(path):
            os.unlink(path)
        os.symlink(target, path)
    except OSError as e:
        raise PodlikeError(f"link {path} to {target}: {(e.strerror or '').lower()}",
                           hint="Make the directory writable, or put a link of that name into another directory of "
                                "generators (systemd.generator(7)).") from e


def remove() -> list[str]:
    """Undo install(); the paths that are gone. Raises: PodlikeError."""
    if systemctl.caller() is None:
        found = [f"/etc/systemd/{kind}-generators/{_NAME.format(kind)}" for kind in ("system", "user")]
    else:
        found = [_wants(), service_file()]
        _clear(_units())
    gone = [path for path in found if os.path.lexists(path)]
    for path in gone:
        try:
            os.unlink(path)
        except OSError as e:
            raise PodlikeError(f"remove {path}: {(e.strerror or '').lower()}") from e
    return gone


# --- the service of a user ---

def _wants() -> str:
    return f"{os.path.dirname(service_file())}/default.target.wants/{_SERVICE}"


def _install_service(target: str) -> list[str]:
    from podlike.engine.quadlet.write import write_unit
    from podlike.quadlet.words import quote_words

    path = service_file()
    # The units are new to the manager, which is on its way to default.target already: it is told to set out again.
    words = quote_words([word.replace("%", "%%").replace("$", "$$")
                         for word in (f"{os.path.dirname(target)}/podlike", "quadlet", "generator", "run", "--start")])
    text = ("# Made by podlike. `podlike quadlet generator remove` takes it away.\n"
            "[Unit]\nDescription=Make services of Quadlets\n\n"
            f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={words}\n\n[Install]\nWantedBy=default.target\n")
    try:
        os.makedirs(os.path.dirname(_wants()), exist_ok=True)
        write_unit(os.path.dirname(path), _SERVICE, text.encode(errors="surrogateescape"))
    except OSError as e:
        raise PodlikeError(f"write {path}: {(e.strerror or '').lower()}", hint="Make its directory writable.") from e
    _link(_wants(), path)
    return [path]


def _units() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{paths.real_uid()}"
    return f"{runtime}/systemd/user"


def _clear(directory: str) -> None:
    """Remove the units and links that refresh() wrote."""
    try:
        with open(f"{directory}/{_LIST}", encoding="utf-8", errors="surrogateescape") as f:
            names = f.read().splitlines()
    except OSError:
        return
    for name in (*names, _LIST):
        if not name.startswith("/") and ".." not in name.split("/"):
            try:
                os.unlink(f"{directory}/{name}")
            except OSError:
                continue


def refresh(*, start: bool = False) -> int:
    """Write the units again where there is no generator, and reload; the exit code of the generator.

    start: have those started that default.target wants. Raises: PodlikeError.
    """
    import subprocess
    import tempfile

    directory = _units()
    with tempfile.TemporaryDirectory(prefix="podlike-quadlet.") as scratch:
        done = subprocess.run([program(), "-user", "-no-kmsg-log", f"{scratch}/units", f"{scratch}/early", scratch], check=False)
        _clear(directory)
        try:
            _move(scratch, directory)
        except OSError as e:
            raise PodlikeError(f"write units to {directory}: {(e.strerror or '').lower()}") from e
    systemctl.reload()
    if start:
        systemctl.call("start", "--no-block", "default.target")
    return done.returncode


def _move(scratch: str, directory: str) -> None:
    """Units and links from the scratch directory to their place, and a list of them. Raises: OSError."""
    import shutil

    names = []
    for base in (scratch, f"{scratch}/units"):
        for folder, _, files in os.walk(base):
            if base == scratch and folder != scratch:
                continue
            names += [(f"{folder}/{name}", os.path.relpath(f"{folder}/{name}", base)) for name in files]
    os.makedirs(directory, exist_ok=True)
    for path, name in names:
        os.makedirs(os.path.dirname(f"{directory}/{name}"), exist_ok=True)
        if os.path.lexists(f"{directory}/{name}"):
            os.unlink(f"{directory}/{name}")
        shutil.move(path, f"{directory}/{name}")
    with open(f"{directory}/{_LIST}", "w", encoding="utf-8", errors="surrogateescape") as f:
        f.write("".join(f"{name}\n" for _, name in names))


def reload() -> None:
    """Have the caller's Quadlets become services now. Raises: PodlikeError."""
    if systemctl.caller() is not None and not generator("user") and os.path.exists(service_file()):
        refresh()
    else:
        systemctl.reload()
