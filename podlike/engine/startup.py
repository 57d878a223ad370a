"""Who calls `podlike system startup run` after a reboot: a systemd unit of the user's, or cron where there is no systemd.

Set up by the first container that is to survive a reboot, once: a user who takes it away again is not overruled. What was
done is kept in the file `startup` beside the database: systemd, cron, none (there was neither), off (taken away).
Source: systemd.unit(5), systemd.service(5), loginctl(1), crontab(5).
"""

import os
import sys
from shlex import quote

from podlike import paths
from podlike.errors import PodlikeError
from podlike.files import read_text, replace_text
from podlike.paths import Roots, ensure_private_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_RUNNING_SYSTEMD: "Final" = "/run/systemd/system"  # sd_booted(3)
_LINGER: "Final" = "/var/lib/systemd/linger"
# What decides which podlike this is and what it reads; a unit and cron begin with an empty environment.
_ENVIRONMENT: "Final" = ("PYTHONPATH", "PODLIKE_LIBEXEC", "XDG_CONFIG_HOME", "CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE",
                         "CONTAINERS_STORAGE_CONF", "CONTAINERS_REGISTRIES_CONF")


class Startup:
    """How the containers of one store come back. Use it before the session is joined: cron does not know us inside."""

    __slots__ = ("roots", "uid")

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self.uid = paths.real_uid()

    # --- what there is ---

    @property
    def done(self) -> str:
        """systemd, cron, none, off; "": nothing has been decided yet."""
        try:
            return read_text(self._marker).strip()
        except OSError:
            return ""

    @property
    def lingering(self) -> bool:
        """Whether the user's units start at boot, and not only when the user logs in. Root's always do."""
        return self.uid == 0 or os.path.exists(f"{_LINGER}/{self._user()}")

    @property
    def enabled(self) -> bool:
        if self.done == "cron":
            try:
                return any(line.endswith(self._cron_tag()) for line in _crontab_lines())
            except PodlikeError:
                return False
        return self.done == "systemd" and os.path.lexists(self._wants) and os.path.exists(self.unit)

    @property
    def unit(self) -> str:
        """Path of the unit. Each store has its own; the usual one has the plain name."""
        return f"{self._unit_dir()}/{self._unit_name()}"

    def hint(self) -> str:
        """What is left for the user to do, "" if nothing."""
        if self.done == "none":
            return ("nothing starts containers after a reboot here: there is neither systemd nor cron. Have your init system "
                    f"run `{self._shell_command()}` as this user")
        if self.done == "systemd" and not self.lingering:
            return ("containers come back when you log in, not when the machine boots, as your user does not linger: "
                    "run `loginctl enable-linger`")
        if self.done == "cron" and self.roots.run.startswith("/run/user/"):
            return (f"containers come back if {os.path.dirname(self.roots.run)} is there when the machine boots: "
                    "have your session manager make it (`loginctl enable-linger` with elogind)")
        return ""

    def document(self) -> "dict[str, Any]":
        """For `info` and `system startup status`. by: systemd, cron, none, off, ""."""
        return {"by": self.done, "enabled": self.enabled, "lingering": self.lingering,
                "unit": self.unit if self.done == "systemd" else ""}

    # --- setting up, taking away ---

    def install(self) -> str:
        """Set it up, also where it was taken away; returns what `done` is then. Raises: PodlikeError."""
        ensure_private_dir(self.roots.data)
        if os.path.isdir(_RUNNING_SYSTEMD):
            self._write_unit()
            kind = "systemd"
        elif paths.find_program("crontab"):
            self._write_cron()
            kind = "cron"
        else:
            kind = "none"
        self._decide(kind)
        return kind

    def remove(self) -> None:
        """Take it away; containers do not bring it back. Raises: PodlikeError."""
        ensure_private_dir(self.roots.data)
        for path in (self._wants, self.unit):
            _unlink(path)
        if self.done == "cron":
            _write_crontab([line for line in _crontab_lines() if not line.endswith(self._cron_tag())])
        self._decide("off")

    def give_up(self) -> None:
        """It could not be set up, and the user knows."""
        self._decide("off")

    def forget(self) -> None:
        """As if nothing had been decided: for a container that came to nothing."""
        try:
            self.remove()
        except PodlikeError:
            return  # cron, and the session was joined meanwhile: a line with nothing to start does no harm
        _unlink(self._marker)

    # --- systemd ---

    def _unit_dir(self) -> str:
        if self.uid == 0:
            return "/etc/systemd/system"
        return f"{os.environ.get('XDG_CONFIG_HOME') or self._home() + '/.config'}/systemd/user"

    def _unit_name(self) -> str:
        usual = "/var/lib/podlike" if self.uid == 0 else f"{self._home()}/.local/share/podlike"
        if self.roots.data == usual:
            return "podlike-restart.service"
        from zlib import crc32

        return f"podlike-restart-{crc32(self.roots.data.encode()):08x}.service"

    @property
    def _target(self) -> str:
        return "multi-user.target" if self.uid == 0 else "default.target"

    @property
    def _wants(self) -> str:
        return f"{self._unit_dir()}/{self._target}.wants/{self._unit_name()}"

    def _write_unit(self) -> None:
        try:
            os.makedirs(os.path.dirname(self._wants), exist_ok=True)
            replace_text(self.unit, self.unit_text(), mode=0o644)
            if not os.path.lexists(self._wants):
                os.symlink(self.unit, self._wants)
        except FileExistsError:
            pass  # somebody else was as quick
        except OSError as e:
            raise PodlikeError(f"write unit {self.unit}: {e.strerror}", hint="Make its directory writable, or run "
                               f"`{self._shell_command()}` after each reboot.") from e

    def unit_text(self) -> str:
        network = "Wants=network-online.target\nAfter=network-online.target\n" if self.uid == 0 else ""
        environment = "".join(f"Environment={_unit_word(f'{k}={v}')}\n" for k, v in self._environment())
        # A failed ExecStart would take the monitors of the containers that did start with it, and ExecStop would not be
        # called: the "-" makes it a success. What failed is in the journal.
        return (f"# Made by podlike. `podlike system startup remove` takes it away.\n"
                f"[Unit]\nDescription=Start podlike's containers that survive a reboot\n"
                f"StartLimitIntervalSec=0\nRequiresMountsFor={_unit_word(self.roots.data)}\n{network}\n"
                f"[Service]\nType=oneshot\nRemainAfterExit=yes\nWorkingDirectory=/\n{environment}"
                f"ExecStart=-{self._unit_command('run')}\nExecStop={self._unit_command('stop')}\n\n"
                f"[Install]\nWantedBy={self._target}\n")

    def _unit_command(self, verb: str) -> str:
        return " ".join(_unit_word(word) for word in (*self._command(), verb))

    # --- cron ---

    def _write_cron(self) -> None:
        tag = self._cron_tag()
        line = f"@reboot {self._shell_command()} >/dev/null {tag}"
        if "\n" in line:
            raise PodlikeError("add a line to your crontab: a path has a line break in it", hint="Use other directories.")
        # In a crontab a percent sign ends the command.
        _write_crontab([*(kept for kept in _crontab_lines() if not kept.endswith(tag)), line.replace("%", "\\%")])

    def _cron_tag(self) -> str:
        from zlib import crc32

        return f"# podlike-restart {crc32(self.roots.data.encode()):08x}"

    def _shell_command(self) -> str:
        environment = [f"{k}={v}" for k, v in self._environment()]
        words = [*(("env", *environment) if environment else ()), *self._command(cron=True), "run"]
        return "cd / && " + " ".join(quote(word) for word in words)

    # --- both ---

    def _command(self, *, cron: bool = False) -> list[str]:
        words = [sys.executable, "-m", "podlike", "--root", self.roots.data]
        run = self.roots.run
        # Without a runtime directory its name changes with each boot. systemd names /run/user/UID, cron does not.
        if not run.startswith(f"/tmp/podlike-{self.uid}-") and (cron or run != f"/run/user/{self.uid}/podlike"):
            words += ["--runroot", run]
        return [*words, "system", "startup"]

    def _environment(self) -> "list[tuple[str, str]]":
        return [(name, os.environ[name]) for name in _ENVIRONMENT if os.environ.get(name)]

    def _home(self) -> str:
        import pwd

        return os.environ.get("HOME") or pwd.getpwuid(self.uid).pw_dir

    def _user(self) -> str:
        import pwd

        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    @property
    def _marker(self) -> str:
        return f"{self.roots.data}/startup"

    def _decide(self, kind: str) -> None:
        replace_text(self._marker, kind + "\n")


def _unit_word(text: str) -> str:
    """One word of a unit's setting. Source: systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers"."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    text = text.replace("$", "$$")
    return f'"{text}"' if any(c in text for c in " \t'\";") or not text else text


def _crontab_lines() -> list[str]:
    """The user's crontab; a user who has none has an empty one. Raises: PodlikeError."""
    code, out, err = _crontab("-l")
    if code and "no crontab" not in err.lower():
        raise _cron_error("read", err)
    return out.splitlines() if not code else []


def _write_crontab(lines: list[str]) -> None:
    """Raises: PodlikeError."""
    code, _, err = _crontab("-", "".join(line + "\n" for line in lines))
    if code:
        raise _cron_error("write", err)


def _crontab(word: str, text: str = "") -> tuple[int, str, str]:
    import subprocess

    program = paths.find_program("crontab")
    if program is None:
        return 1, "", "no crontab"
    r = subprocess.run([program, word], input=text, capture_output=True, text=True, errors="surrogateescape", check=False)
    return r.returncode, r.stdout, r.stderr


def _cron_error(verb: str, words: str) -> PodlikeError:
    return PodlikeError(f"{verb} your crontab: {' '.join(words.split()) or 'crontab failed'}",
                        hint="Ask the administrator to let you use cron (crontab(1)), or to have "
                             "`podlike system startup run` run as you after each boot.")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
