""".quadlets files: several Quadlets in one, with lines of --- between them. Source: podman-quadlet-install(1)."""

from podlike.quadlet.keys import KINDS
from podlike.quadlet.problems import ERROR, Problem, RefusedUnit
from podlike.quadlet.unitfile import SPACE


def split(text: str, path: str) -> list[tuple[str, str]]:
    """(name of the file, its text) for each. path: for messages. Raises: RefusedUnit."""
    parts: list[tuple[int, list[str]]] = [(1, [])]
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip(SPACE) == "---":
            parts.append((number + 1, []))
        else:
            parts[-1][1].append(line)
    found: list[tuple[str, str]] = []
    for count, (begin, lines) in enumerate(parts, 1):
        body = "\n".join(lines).strip(SPACE)
        if not body:
            continue
        extension = _extension(lines)
        if not extension:
            raise RefusedUnit(Problem(ERROR, path, begin, f"unable to detect quadlet type in section {count}: no recognized "
                                      f"quadlet section found (expected [{'], ['.join(k.group for k in KINDS.values())}])"))
        name = _name(lines, path, begin, count) + extension
        if any(name == other for other, _ in found):
            raise RefusedUnit(Problem(ERROR, path, begin, f"section {count}: there is a {name} before it"))
        found.append((name, body + "\n"))
    if not found:
        raise RefusedUnit(Problem(ERROR, path, 1, f"no valid quadlet sections found in file {path}"))
    return found


def _extension(lines: list[str]) -> str:
    for line in lines:
        line = line.strip(SPACE)
        if line[:1] == "[" and line[-1:] == "]":
            extension = f".{line[1:-1].lower()}"
            if extension in KINDS:
                return extension
    return ""


def _name(lines: list[str], path: str, begin: int, count: int) -> str:
    for number, line in enumerate(lines, begin):
        comment = line.strip(SPACE)
        key, equals, value = comment.lstrip("#").strip(SPACE).partition("=")
        if comment[:1] != "#" or key != "FileName" or not equals:
            continue
        value = value.strip(SPACE)
        if not value:
            text = "FileName comment found but no filename specified"
        elif "/" in value or "\\" in value:
            text = f"FileName '{value}' cannot contain path separators"
        else:
            return value
        raise RefusedUnit(Problem(ERROR, path, number, f"section {count}: {text}"))
    raise RefusedUnit(Problem(ERROR, path, begin, f"section {count}: missing required '# FileName=<name>' comment at the "
                              "beginning of quadlet section"))
