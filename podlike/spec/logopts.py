"""What --log-driver and --log-opt may say.

Source: podman-run(1), --log-opt; docker's reference of the json-file and journald drivers for max-file, labels and env.
"""

import re

from podlike.errors import UsageError
from podlike.spec.container import ContainerSpec
from podlike.spec.sizes import parse_decimal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

FILE_DRIVERS: "Final" = ("k8s-file", "json-file")
PASSTHROUGH: "Final" = ("passthrough", "passthrough-tty")
DRIVERS: "Final" = (*FILE_DRIVERS, "journald", "none", *PASSTHROUGH)
# Drivers whose entries can carry more than text.
_LABELLED: "Final" = ("journald", "json-file")
_KEYS: "Final" = ("driver", "env", "label", "labels", "max-buffer-size", "max-file", "max-size", "mode", "path", "tag")
_JOURNAL_FIELD: "Final" = re.compile(r"[A-Z0-9_]+")


def parse_log_options(spec: ContainerSpec, words: "list[str]") -> None:
    """Put each KEY=VALUE of --log-opt into the spec; later ones win, except labels, which add up. Raises: UsageError."""
    for text in words:
        key, eq, value = text.partition("=")
        key = key.lower()
        if not eq:
            raise UsageError(f'invalid log option "{text}"', hint="Write --log-opt KEY=VALUE.")
        if key not in _KEYS:
            raise UsageError(f'unknown log option "{key}"', hint=f"Options are {', '.join(_KEYS)}.")
        _check_value(key, value)
        if key == "driver":
            spec.log_driver = value
        elif key == "label":
            name, eq, label = value.partition("=")
            if not eq or not name:
                raise UsageError(f'invalid log label "{text}"', hint="Write --log-opt label=NAME=VALUE.")
            _check_template(label)
            spec.log_labels = {**spec.log_labels, name: label}
        else:
            spec.log_options[key] = value


def _check_value(key: str, value: str) -> None:
    if key in ("max-size", "max-buffer-size"):
        parse_decimal_size(value)
    elif key == "max-file":
        if not value.isdecimal() or int(value) < 1:
            raise UsageError(f"invalid max-file {value!r}: it must be a number of files, and at least 1")
        if int(value) > 10000:
            raise UsageError(f"invalid max-file {value}: more than 10000 files")
    elif key == "mode" and value not in ("blocking", "non-blocking"):
        raise UsageError(f'invalid log mode "{value}"', hint="Modes are blocking and non-blocking.")
    elif key == "path" and not value:
        raise UsageError("log path must be set: invalid argument")
    elif key == "tag":
        if not value:
            raise UsageError("log tag must be set: invalid argument")
        _check_template(value)


def _check_template(text: str) -> None:
    if "{{" in text:
        from podlike.spec.gotemplate import Template

        Template(text, name="log-opt")


def check_driver(name: str) -> None:
    """"" is the default. Raises: UsageError."""
    if name and name not in DRIVERS:
        raise UsageError("running container create option: invalid log driver: invalid argument")


def check_log_request(spec: ContainerSpec) -> None:
    """What can be known to be wrong once the driver is known. Raises: UsageError."""
    driver, options = spec.log_driver, spec.log_options
    check_driver(driver)
    kind = log_format(spec)
    if "tag" in options and kind not in _LABELLED:
        raise UsageError(f'log tags can only be used with the journald log driver but driver is "{driver}": invalid argument',
                         hint="Add --log-driver journald or --log-driver json-file.")
    if (spec.log_labels or options.get("labels") or options.get("env")) and kind not in _LABELLED:
        raise UsageError(f'log labels can only be used with the journald log driver but driver is "{driver}": '
                         "invalid argument", hint="Add --log-driver journald or --log-driver json-file.")
    for name in spec.log_labels if kind == "journald" else ():
        if not _JOURNAL_FIELD.fullmatch(name):
            raise UsageError(f'log label "{name}" contains invalid characters, only uppercase letters, digits, and '
                             "underscores are allowed")


def log_format(spec: ContainerSpec) -> str:
    """The driver that does the work: json-file is docker's format, except where podman's alias for k8s-file is meant."""
    driver = spec.log_driver or "k8s-file"
    return "k8s-file" if driver == "json-file" and spec.log_json_is_k8s else driver


def in_journal(spec: "ContainerSpec") -> bool:
    """Whether the output is in the systemd journal: by the driver, or as that of the unit that runs the container."""
    return spec.log_driver == "journald" or bool(passthrough_unit(spec))


def passthrough_unit(spec: "ContainerSpec") -> str:
    """The unit whose output that of a passthrough container is, or ""."""
    return spec.labels.get("PODMAN_SYSTEMD_UNIT", "") if spec.log_driver in PASSTHROUGH else ""


def max_size(spec: ContainerSpec) -> int:
    """Bytes a log file may have; 0: no limit."""
    text = spec.log_options.get("max-size", "")
    return parse_decimal_size(text) if text else 0


def max_files(spec: ContainerSpec) -> int:
    """How many files a log is kept in, the newest counted too."""
    return int(spec.log_options.get("max-file", "1"))


def extra_labels(spec: ContainerSpec) -> "dict[str, str]":
    """The labels and variables of the container that docker's `labels` and `env` choose, as labels of the log."""
    found = {}
    for key, values in (("labels", spec.labels), ("env", spec.env)):
        for name in spec.log_options.get(key, "").split(","):
            if name.strip() in values:
                found[name.strip()] = values[name.strip()]
    if log_format(spec) != "journald":
        return found
    return {re.sub("[^A-Z0-9_]", "_", name.upper()): value for name, value in found.items()}
