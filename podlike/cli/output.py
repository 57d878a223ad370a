"""What commands print: tables, --format templates, JSON, YAML.

    views = [View({"ID": ..., "Names": ...}, doc) for ...]
    print_rows(call, views, "{{.ID}}\\t{{.Names}}", format=call.opts.format, heads={"ID": "CONTAINER ID"})

print_rows decides between the default table, `table ...`, a template of the user, and JSON. One document
(inspect, info, version) goes through format_document. Nothing here knows containers or images.
"""

import re
import sys

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from podlike.cli.command import Call
    from podlike.spec.gotemplate import Template
    from podlike.spec.govalues import View

# `json`, `{{json}}` and `{{json.}}` ask for the whole list as JSON; `{{json .}}` is a template like any other.
_JSON = re.compile(r"\s*(?:json|\{\{\s*json\.?\s*\}\})\s*")
_RANGE = re.compile(r"(?s)\{\{-?\s*range\s*\.\s*-?\}\}.*\{\{-?\s*end\s*-?\}\}")


def is_json(format: str) -> bool:
    return _JSON.fullmatch(format) is not None


def print_json(doc: "Any", *, indent: int = 4) -> None:
    import json

    from podlike.spec.govalues import json_default

    text = json.dumps(doc, indent=indent, default=json_default, ensure_ascii=False)
    sys.stdout.write(text + "\n")


def print_rows(call: "Call", rows: "Sequence[View]", default: str, *, format: str = "",
               heads: "dict[str, str] | None" = None, heading: bool = True, always: bool = False, indent: int = 4) -> None:
    """Print the rows of a list.

    default: template of one row of the usual table, cells separated by tabs. format: the user's --format or "".
    heads: headings of fields whose heading is not the field's name in upper case. heading: False with --noheading.
    always: headings stand above the user's own templates too.
    """
    if format and is_json(format):
        _print_rows_json(call, rows, indent)
        return
    from podlike.spec import table

    style = table.DOCKER if call.docker else table.PODMAN
    if not format or format == "table":
        sys.stdout.write(table.align(_render(call, rows, default + "\n", heads, heading), style=style))
    elif format.startswith("table "):
        row = _unescaped(format[6:]).replace(" ", "\t")
        sys.stdout.write(table.align(_render(call, rows, _line(row), heads, heading), style=style))
    else:
        text = _unescaped(format)
        text = text if always and _RANGE.search(text) else _line(text)
        sys.stdout.write(_render(call, rows, text, heads, always and heading))


def _print_rows_json(call: "Call", rows: "Sequence[View]", indent: int) -> None:
    if not call.docker:
        print_json([row.doc for row in rows], indent=indent)
        return
    from podlike.spec.govalues import to_json

    for row in rows:
        sys.stdout.write(to_json(row.doc) + "\n")


def _render(call: "Call", rows: "Sequence[View]", text: str, heads: "dict[str, str] | None", heading: bool) -> str:
    from podlike.spec.govalues import View

    template = parse_template(call, text)
    head = ""
    if heading:
        head = template.execute([View(_Heads(heads or {}))] if _RANGE.search(text) else View(_Heads(heads or {})))
    if _RANGE.search(text):
        return head + template.execute(list(rows))
    return head + "".join(template.execute(row) for row in rows)


class _Heads(dict):  # type: ignore[type-arg]
    """Headings as if they were a row: a field without a heading is headed by its name."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> "Any":
        found = self.get(key)
        if found is None:
            found = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", key).upper()
        return lambda *arguments: found


def _unescaped(text: str) -> str:
    """The two characters \\t and \\n typed in a format are a tab and a newline; within {{ }} Go reads them."""
    return re.sub(r"(?s)\{\{.*?\}\}|\\[tn]", lambda m: {"\\t": "\t", "\\n": "\n"}.get(m[0], m[0]), text)


def _line(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def parse_template(call: "Call", text: str) -> "Template":
    from podlike.spec.gotemplate import Template

    return Template(text, name=call.command.name or "format")


def row_template(call: "Call", format: str) -> "Template":
    """The template of one line of a list that is printed as it grows; a heading has no place in that."""
    return parse_template(call, _line(_unescaped(format.removeprefix("table "))))


def format_document(call: "Call", doc: "Any", format: str, *, indent: int = 4) -> None:
    """Print one document by a template of the user, or as JSON."""
    if is_json(format):
        print_json(doc, indent=indent)
        return
    sys.stdout.write(parse_template(call, _line(_unescaped(format))).execute(doc))


def check_format(format: str) -> None:
    """Refuse a --format that is blank but not empty; it would print empty lines. Raises: UsageError."""
    if format and not format.strip():
        raise UsageError("use an empty --format", hint="Leave --format out to get the default table.")


def to_yaml(doc: "Any", depth: int = 0) -> str:
    """The document as YAML, keys sorted as in the dict, as `podlike info` prints it."""
    pad = "  " * depth
    if isinstance(doc, dict):
        if not doc:
            return f"{pad}{{}}\n"
        return "".join(_yaml_entry(pad, str(k), v, depth) for k, v in doc.items())
    if isinstance(doc, list):
        if not doc:
            return f"{pad}[]\n"
        return "".join(_yaml_item(pad, v, depth) for v in doc)
    return f"{pad}{_yaml_scalar(doc)}\n"


def _yaml_entry(pad: str, key: str, value: "Any", depth: int) -> str:
    key = _yaml_scalar(key)
    if isinstance(value, dict):
        return f"{pad}{key}: {{}}\n" if not value else f"{pad}{key}:\n{to_yaml(value, depth + 1)}"
    if isinstance(value, list):
        return f"{pad}{key}: []\n" if not value else f"{pad}{key}:\n{to_yaml(value, depth)}"
    if isinstance(value, str) and "\n" in value:
        body = "".join(f"{pad}  {line}\n" for line in value.rstrip("\n").split("\n"))
        return f"{pad}{key}: |{'' if value.endswith(chr(10)) else '-'}\n{body}"
    return f"{pad}{key}: {_yaml_scalar(value)}\n"


def _yaml_item(pad: str, value: "Any", depth: int) -> str:
    if isinstance(value, (dict, list)) and value:
        body = to_yaml(value, depth + 1)
        return f"{pad}- {body[len(pad) + 2:]}"
    return f"{pad}- {_yaml_scalar(value)}\n"


_YAML_PLAIN = re.compile(r"[A-Za-z0-9/_.<][\w ./<>@+%$()=,;~-]*(?::[\w/][\w./:@-]*)*")
_YAML_SPECIAL = re.compile(r"(?i)true|false|yes|no|on|off|null|~|[-+]?[\d_]+(?:\.\d*)?(?:e[-+]?\d+)?|0x[0-9a-f]+|\d+:\d[\d:]*")


def _yaml_scalar(value: "Any") -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    if _YAML_PLAIN.fullmatch(text) and not _YAML_SPECIAL.fullmatch(text) and text == text.strip():
        return text
    import json

    return json.dumps(text, ensure_ascii=False)
