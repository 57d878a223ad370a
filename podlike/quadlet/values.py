"""Whether the keys and values of a Quadlet are what they can be. Nothing here changes what is made of them."""

from podlike.quadlet import keys
from podlike.quadlet.problems import ERROR, NOTE, WARNING, Problem, nearest
from podlike.quadlet.unitfile import Line, UnitFile, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_BOOLEANS: "Final" = ("1", "yes", "true", "on", "0", "no", "false", "off")


def check_keys(unit: UnitFile, group: str) -> list[Problem]:
    """Unknown keys of the Quadlet's own groups (errors) and values that do not fit (warnings)."""
    problems = []
    for name in (group, "Quadlet"):
        kinds = keys.KEYS[name]
        for line in unit.keys(name):
            if line.key not in kinds:
                problems.append(Problem(ERROR, line.path, line.number, f"unsupported key '{line.key}' in group '{name}'",
                                        near=keys.suggest(name, line.key), about_text=True))
        for line in unit.groups[name].lines if name in unit.groups else ():
            kind = kinds.get(line.key, keys.TEXT)
            if kind != keys.TEXT:
                problems += _check_value(line, kind, name)
    return problems


def _check_value(line: Line, kind: str, group: str) -> list[Problem]:
    value = plain(line.value)
    if not value or "%" in value:  # systemd replaces specifiers later
        return []
    what, near = "", ""
    if kind == keys.FLAG:
        if value.lower() not in _BOOLEANS:
            what, near = "no boolean, and counts as false", nearest(value, _BOOLEANS)
    elif kind == keys.NUMBER:
        what = "" if is_number(value) else "no number"
    elif kind == keys.WHOLE:
        what = "" if value.isascii() and value.isdigit() else "no whole number"
    elif kind == keys.CHOICE:
        choices = keys.CHOICES[group, line.key]
        if value.lower() not in choices:
            what, near = f"none of {', '.join(choices)}", nearest(value, choices)
    else:
        what = _measure(value, kind)
    if not what:
        return []
    return [Problem(WARNING, line.path, line.number, f"{line.key}={value}: {value} is {what}", near=near, about_text=True)]


def is_number(value: str) -> bool:
    digits = value[1:] if value[:1] in "+-" else value
    return digits.isascii() and (digits.isdigit() or digits[:2].lower() == "0x" and _is_hex(digits[2:]))


def _is_hex(text: str) -> bool:
    return bool(text) and all(c in "0123456789abcdefABCDEF" for c in text)


def _measure(value: str, kind: str) -> str:
    """What is wrong with a duration or a size."""
    if kind == keys.DURATION:
        return "" if _is_duration(value) else "no duration: write 30s, 5m or 1h30m"
    number = value.lower().removesuffix("b").removesuffix("i")
    number = number[:-1] if number[-1:] in tuple("kmgtp") else number
    whole, _, part = number.strip().partition(".")
    return "" if whole.isdigit() and (part or "0").isdigit() else "no size: write a number with a unit, such as 512m"


def _is_duration(value: str) -> bool:
    """Numbers with units ns, us, ms, s, m, h one behind the other, or 0 (Go's time.ParseDuration)."""
    rest = value[1:] if value[:1] in "+-" else value
    if rest == "0":
        return True
    units = ("ns", "us", "µs", "μs", "ms", "s", "m", "h")
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        letters = len(rest[digits:]) - len(rest[digits:].lstrip("nuµμsmh"))
        if not digits or rest[:digits].count(".") > 1 or rest[digits:digits + letters] not in units:
            return False
        rest = rest[digits + letters:]
    return value not in ("", "+", "-")


def check_groups(unit: UnitFile, group: str) -> list[Problem]:
    """Groups that nobody reads, keys of [Install] that only `systemctl enable` knows, and what cannot work in [Service]."""
    problems = []
    known = (group, "Quadlet", *keys.SYSTEMD_GROUPS)
    for found in unit.groups.values():
        name = found.name
        if name and name not in known and not name.startswith("X-"):
            near = nearest(name, known)
            problems.append(Problem(WARNING, found.path or unit.path, found.number, f"nothing reads the group [{name}]",
                                    near=f"[{near}]" if near else "", about_text=True))
    for line in unit.keys("Install"):
        if line.key not in keys.INSTALL_KEYS:
            problems.append(Problem(WARNING, line.path, line.number, f"{line.key} in the group Install has no effect here",
                                    near=nearest(line.key, keys.INSTALL_KEYS), about_text=True))
    for key in keys.UNSUPPORTED_SERVICE_KEYS:
        used = unit.last("Service", key)
        if used is not None:
            problems.append(Problem(WARNING, used.path, used.number,
                                    f"using key {key} in the Service group is not supported - use at your own risk"))
    return problems


def check_image_name(unit: UnitFile, group: str) -> list[Problem]:
    """A note when a registry is left to be guessed."""
    line = unit.last(group, "Image")
    name = plain(line.value) if line is not None else ""
    if line is None or not name or name.endswith((".build", ".image")) or is_unambiguous(name):
        return []
    return [Problem(NOTE, line.path, line.number,
                    f'{unit.name} specifies the image "{name}" which not a fully qualified image name. This is not ideal for '
                    "performance and security reasons. See the podman-pull manpage discussion of short-name-aliases.conf "
                    "for details.")]


def is_unambiguous(name: str) -> bool:
    """Whether the name of an image begins with its registry, or is an id."""
    if name.startswith("sha256:") or (len(name) == 64 and _is_hex(name)):
        return True
    host, slash, _ = name.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")
