"""Health checks as flags and images ask for them.

Source: podman-run(1) (--health-*), Docker's image config (Healthcheck: Test, Interval, Timeout, StartPeriod, StartInterval
in nanoseconds, Retries).
"""

from podlike.errors import UsageError
from podlike.spec.container import ContainerSpec, HealthCheck
from podlike.spec.durations import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import replace
    from typing import Any, Final
else:
    from podlike.spec.record import replace

ACTIONS: "Final" = ("none", "kill", "restart", "stop")
LOCAL_LOGS: "Final" = ("local", "events_logger")
DEFAULT_LOG_COUNT: "Final" = 5
DEFAULT_LOG_SIZE: "Final" = 500  # characters
_SECOND: "Final" = 1_000_000_000  # ns, as in images
_INTERVAL: "Final" = 30 * _SECOND
_TIMEOUT: "Final" = 30 * _SECOND
_RETRIES: "Final" = 3


def parse_test(text: str) -> "list[str]":
    """["CMD-SHELL", "..."], ["CMD", WORD...] or ["NONE"] from --health-cmd: a command for the shell, a JSON list of
    words, or either with one of those words in front. Raises: UsageError."""
    import json

    try:
        words = json.loads(text)
        listed = isinstance(words, list) and all(isinstance(w, str) for w in words)
    except ValueError:
        listed = False
    if not listed:
        words = text.split(" ", 1)
    if not words:
        raise UsageError("must define a healthcheck command for all healthchecks")
    kind = words[0].upper()
    if kind == "NONE":
        return ["NONE"]
    if kind == "CMD-SHELL":
        return ["CMD-SHELL", *words[1:]]
    if kind == "CMD":
        return ["CMD", *(words[1:] if listed else text.split()[1:])]
    if listed and len(words) > 1:
        return ["CMD", *words]
    return ["CMD-SHELL", words[0] if listed else text]


def argv(check: HealthCheck) -> "list[str]":
    """The command line to run; [] when the check is none."""
    kind, rest = (check.test[0], check.test[1:]) if check.test else ("NONE", [])
    if kind in ("", "NONE"):
        return []
    if kind == "CMD":
        return rest
    return ["/bin/sh", "-c", " ".join(rest)] if kind == "CMD-SHELL" else list(check.test)


def duration(text: str, flag: str) -> int:
    """Nanoseconds; "disable" is 0. Raises: UsageError."""
    try:
        return 0 if text == "disable" else round(parse_duration(text) * _SECOND)
    except UsageError as e:
        raise UsageError(f"invalid healthcheck-{flag}: {e.message}", hint=e.hint) from None


def check_from_flags(command: str, *, interval: str, timeout: str, retries: int, start_period: str = "", start_interval: str = "",
                     startup: bool = False, successes: int = 0) -> HealthCheck:
    """The check that --health-cmd (or --health-startup-cmd) and its flags ask for; "" takes the default.

    Raises: UsageError.
    """
    out = HealthCheck(test=parse_test(command), interval=_INTERVAL, timeout=_TIMEOUT, retries=retries, successes=successes)
    _set_times(out, interval=interval, timeout=timeout, start_period=start_period, start_interval=start_interval)
    if retries < 1 and not startup:
        raise UsageError("healthcheck-retries must be greater than 0")
    return out


def _set_times(check: HealthCheck, **texts: str) -> None:
    for name, text in texts.items():
        if text:
            setattr(check, name, duration(text, name.replace("_", "-")))
    if texts.get("timeout") and check.timeout < 1:
        raise UsageError("healthcheck-timeout must be at least 1 second")
    if check.start_period < 0:
        raise UsageError("healthcheck-start-period must be 0 seconds or greater")
    if check.interval < 0 or check.start_interval < 0:
        raise UsageError("healthcheck-interval must be 0 seconds or greater")


def check_from_image(doc: "Mapping[str, Any] | None") -> HealthCheck | None:
    """The image's HEALTHCHECK with the defaults filled in; None when it has none."""
    if not doc or not doc.get("Test"):
        return None
    return HealthCheck(test=[str(w) for w in doc["Test"]], interval=doc.get("Interval") or _INTERVAL,
                       timeout=doc.get("Timeout") or _TIMEOUT, start_period=doc.get("StartPeriod") or 0,
                       start_interval=doc.get("StartInterval") or 0, retries=doc.get("Retries") or _RETRIES)


def changed(check: HealthCheck | None, texts: "Mapping[str, str]", *, startup: bool = False) -> HealthCheck | None:
    """A new check from one that there may be, and flags: cmd, interval, timeout, start_period, retries, successes. None: the
    command is none. Raises: UsageError."""
    if check is None and "cmd" not in texts:
        raise UsageError(f"{'startup ' if startup else ''}healthcheck command is not set",
                         hint=f"Give --health-{'startup-' if startup else ''}cmd too.")
    out = HealthCheck(interval=_INTERVAL, timeout=_TIMEOUT, retries=0 if startup else _RETRIES) if check is None else \
        replace(check)
    if "cmd" in texts:
        out.test = parse_test(texts["cmd"])
    _set_times(out, **{name: text for name, text in texts.items() if name in ("interval", "timeout", "start_period")})
    out.retries = int(texts.get("retries", out.retries))
    out.successes = int(texts.get("successes", out.successes))
    if out.retries < 1 and not startup:
        raise UsageError("healthcheck-retries must be greater than 0")
    return out if argv(out) else None


def refuse_without_check(spec: ContainerSpec) -> None:
    """Raises: UsageError for what needs a check."""
    if spec.health_on_failure:
        raise UsageError(f"cannot set on-failure action to {spec.health_on_failure} without a health check")
    if spec.startup_health is not None:
        raise UsageError("cannot set a startup healthcheck when there is no regular healthcheck: invalid argument",
                         hint="Give --health-cmd too.")
    if spec.sdnotify == "healthy":
        raise UsageError('invalid argument: sdnotify policy "healthy" requires a healthcheck to be set')


def complete(spec: ContainerSpec, image: "Mapping[str, Any]") -> None:
    """Take the image's check where the command line names none; flags without a command change it.

    Raises: UsageError for what cannot go together.
    """
    if spec.health is None:
        spec.health = check_from_image(image.get("Healthcheck"))
        if spec.health is not None and spec.health_changes:
            changes = dict(spec.health_changes)
            retries = changes.pop("retries", "")
            _set_times(spec.health, **changes)
            if retries:
                spec.health.retries = int(retries)
    if spec.health is not None and not argv(spec.health):
        spec.health = None
    if spec.health is None:
        refuse_without_check(spec)


def document(check: HealthCheck) -> "dict[str, Any]":
    """As `inspect` shows it: Docker's names, zeros left out."""
    out: "dict[str, Any]" = {"Test": check.test}
    for key, value in (("StartPeriod", check.start_period), ("StartInterval", check.start_interval),
                       ("Interval", check.interval), ("Timeout", check.timeout), ("Retries", check.retries),
                       ("Successes", check.successes)):
        if value:
            out[key] = value
    return out
