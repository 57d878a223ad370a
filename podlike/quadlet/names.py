"""Names of the services that are made of Quadlets, and of what these services make."""

from podlike.quadlet.keys import Kind, kind_of
from podlike.quadlet.unitfile import UnitFile, stem, template_parts


def service_name(unit: UnitFile, kind: Kind) -> str:
    """The service's name without ".service": web, web-volume, web-volume@ ..."""
    given = unit.text(kind.group, "ServiceName")
    if given:
        return given
    base = stem(unit.name)
    return f"{base[:-1]}{kind.suffix}@" if base.endswith("@") else base + kind.suffix


def container_name(unit: UnitFile) -> str:
    """A container's name, with systemd's specifiers in it."""
    return unit.text("Container", "ContainerName") or ("systemd-%p_%i" if "@" in unit.name else "systemd-%N")


def resource_name(unit: UnitFile, kind: Kind) -> str:
    """The name of what a unit makes, as far as it is known before the unit is translated; "" if it is not.

    Source: podman's names; those of instances (web@blue.volume: systemd-web-blue) are what a template's %i gives.
    """
    if kind.extension == ".container":
        name = container_name(unit).replace("%N", service_name(unit, kind))
        return "" if "%" in name else name
    if kind.extension == ".build":
        tags = unit.lines(kind.group, "ImageTag")
        return tags[0].value if tags else ""
    if kind.extension == ".pod":
        return unit.text(kind.group, "PodName") or f"systemd-{stem(unit.name)}"
    if kind.extension not in (".volume", ".network"):
        return ""
    given = unit.text(kind.group, f"{kind.group}Name")
    if given:
        return given
    base, instance, template = template_parts(unit.name)
    return f"systemd-{base}-{instance or '%i'}" if template else f"systemd-{base}"


class Entry:
    """What other units may want to know of one. to_start: services of containers that a pod starts."""

    __slots__ = ("unit", "kind", "service", "resource", "to_start")

    def __init__(self, unit: UnitFile, kind: Kind) -> None:
        self.unit = unit
        self.kind = kind
        self.service = service_name(unit, kind) + ".service"
        self.resource = resource_name(unit, kind)
        self.to_start: list[str] = []


def entry_of(unit: UnitFile) -> Entry | None:
    """None: the file is no Quadlet."""
    kind = kind_of(unit.name)
    return None if kind is None else Entry(unit, kind)
