"""Where a container's output is kept: the log's path, and the monitor's options for it."""

import os

from podlike.engine.core import Engine
from podlike.errors import UsageError
from podlike.spec.logopts import FILE_DRIVERS, PASSTHROUGH, check_log_request, extra_labels, log_format, max_files, max_size
from podlike.store.containers import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def log_path(engine: Engine, container: Container) -> str:
    """The newest file of the log; "" for drivers that write none."""
    if (container.spec.log_driver or "k8s-file") not in FILE_DRIVERS:
        return ""
    path = container.spec.log_options.get("path")
    if not path:
        return f"{engine.roots.container(container.id)}/ctr.log"
    # A directory takes the logs of any number of containers.
    return f"{path}/{container.id}/ctr.log" if os.path.isdir(path) else path


def refuse_bad_log(engine: Engine, container: Container) -> None:
    """Before anything exists: a log that could not be written, or whose tag makes no sense. Raises: UsageError."""
    spec = container.spec
    check_log_request(spec)
    if spec.log_options.get("path") and spec.log_driver in FILE_DRIVERS:
        _check_path(spec.log_options["path"], rotates=max_size(spec) > 0 and max_files(spec) > 1)
    _labels(engine, container)


def _check_path(path: str, *, rotates: bool) -> None:
    parent = path if os.path.isdir(path) else os.path.dirname(path)
    if not os.path.isdir(parent):
        raise UsageError(f"write log {path}: there is no directory {parent}", hint=f"Make it first: `mkdir -p {parent}`.")
    if not os.access(path if os.path.exists(path) else parent, os.W_OK):
        raise UsageError(f"write log {path}: permission denied", hint="Choose a place that you may write to.")
    if rotates and os.path.lexists(path) and not os.path.isdir(path) and (os.path.islink(path) or not os.path.isfile(path)):
        raise UsageError(f"rotate log {path}: it is not a regular file", hint="Leave max-file away, or name a file.")
    if rotates and not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"rotate log {path}: {parent} cannot be written to", hint="Leave max-file away, or take another place.")


def monitor_args(engine: Engine, container: Container) -> list[str]:
    """What the monitor is told about the log."""
    spec = container.spec
    kind = log_format(spec)
    if kind in PASSTHROUGH:
        return ["-l", "passthrough"]
    args = ["-l", kind]
    if kind in FILE_DRIVERS:
        path = log_path(engine, container)
        if os.path.isdir(spec.log_options.get("path", "")):
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        args = ["-l", f"{kind}:{path}"]
        if max_size(spec):
            args += ["--log-size-max", str(max_size(spec))]
            if max_files(spec) > 1:
                args += ["--log-rotate", "--log-max-files", str(max_files(spec) - 1)]
    tag, labels = _labels(engine, container)
    for name, value in labels.items():
        args += ["--log-label", f"{name}={value}"]
    return [*args, "--log-tag", tag] if tag else args


def _labels(engine: Engine, container: Container) -> "tuple[str, dict[str, str]]":
    """Tag and labels with their templates filled in. Raises: TemplateError, UsageError."""
    spec = container.spec
    tag = spec.log_options.get("tag", "")
    texts = {**extra_labels(spec), **spec.log_labels}
    if any("{{" in text for text in (tag, *spec.log_labels.values())):
        data = _template_data(engine, container)
        tag = _fill(tag, data)
        texts |= {name: _fill(text, data) for name, text in spec.log_labels.items()}
    for name, text in texts.items() if log_format(spec) == "journald" else ():
        if "=" in text:
            raise UsageError(f'log label "{name}": its value "{text}" has a "="', hint="The journal's labels cannot have one.")
    return tag, texts


def _fill(text: str, data: "Any") -> str:
    from podlike.spec.gotemplate import Template

    return Template(text, name="log-opt").execute(data)


def _template_data(engine: Engine, container: Container) -> "Any":
    """inspect's document, with what docker's tags call by other names."""
    from podlike.engine.inspect import inspect_container
    from podlike.spec.govalues import Struct

    def structs(value: "Any") -> "Any":
        return Struct({k: structs(v) for k, v in value.items()}) if isinstance(value, dict) else value

    doc = inspect_container(engine, container)
    doc |= {"ID": container.id, "FullID": container.id, "ImageID": doc["Image"], "ImageFullID": doc["Image"],
            "Command": " ".join(container.spec.args), "DaemonName": "podlike"}
    return structs(doc)
