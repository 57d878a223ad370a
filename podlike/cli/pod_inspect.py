"""podlike pod inspect: everything about pods."""

from podlike.cli.command import Call, Command, Flag, print_error
from podlike.cli.pod import LATEST
from podlike.errors import NotFoundError, PodlikeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def inspect(call: Call) -> int:
    """Print what was found, then complain about what was not."""
    if call.opts.latest and call.args:
        raise UsageError("--latest and arguments cannot be used together")
    if not call.opts.latest and not call.args:
        raise UsageError("no names or ids specified")
    docs, errors = [], []
    for name in [None] if call.opts.latest else call.args:
        try:
            docs.append(document(call, name))
        except PodlikeError as e:
            errors.append(e)
    print_documents(call, docs)
    for error in errors:
        print_error(error)
    return errors[-1].exit_code if errors else 0


def document(call: Call, name: str | None) -> "dict[str, Any]":
    """name: None for the latest. Raises: NotFoundError, ConflictError."""
    from podlike.engine.pods.inspect import inspect_pod
    from podlike.engine.pods.members import find, latest

    try:
        pod = latest(call.engine) if name is None else find(call.engine, name)
    except NotFoundError:
        raise NotFoundError("no pods found: no such pod" if name is None else f"no such pod {name}") from None
    return inspect_pod(call.engine, pod)


def print_documents(call: Call, docs: "list[dict[str, Any]]") -> None:
    """As JSON, or each by the user's template."""
    from podlike.cli.output import format_document, is_json, print_json

    if is_json(call.opts.format):
        print_json(docs, indent=5)
        return
    for doc in docs:
        format_document(call, go_struct(doc), call.opts.format)


def go_struct(doc: "dict[str, Any]") -> "Any":
    """The document as a template sees it: Go's field names, and those that are empty."""
    from podlike.cli.inspect import as_structs
    from podlike.engine.pods.inspect import EMPTY, GO_NAMES

    full = {**EMPTY, **doc}
    if full["InfraConfig"] is not None:
        infra = {"cpu_period": 0, "cpu_quota": 0, "cpuset_cpus": "", **full["InfraConfig"]}
        full["InfraConfig"] = {GO_NAMES.get(k, k): v for k, v in infra.items()}
    return as_structs({k if k == "Id" else GO_NAMES.get(k, k): v for k, v in full.items()})


command = Command(
    "inspect", inspect, usage="POD [POD...]", summary="Display a pod configuration",
    description="Display the configuration for a pod by name or id\n\nBy default, this will render all results in a JSON array.",
    flags=(Flag("format", "f", "string", "Format the output to a Go template or json", "json"), LATEST),
    examples=("pod inspect podID",))
