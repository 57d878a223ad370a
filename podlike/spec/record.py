"""A cheaper @dataclass(slots=True, kw_only=True) for the classes that every command loads.

The standard decorator writes source code for __init__, __repr__ and __eq__ and compiles it: 4 ms for the ninety
fields of ContainerSpec, at every start. Here these methods are loops over a table. fields(), replace() and asdict()
of the dataclasses module work on the result. A type checker is shown the real decorator:

    TYPE_CHECKING = False
    if TYPE_CHECKING:
        from dataclasses import dataclass as record
    else:
        from podlike.spec.record import record

    @record(slots=True, kw_only=True)
    class Mount: ...
"""

import dataclasses
from dataclasses import MISSING, Field, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def record(*, slots: bool, kw_only: bool) -> "Callable[[type], type]":
    """Class decorator; slots and kw_only must be True and are there to read like the real one."""
    assert slots and kw_only
    return _make


def _make(cls: type) -> type:
    body = dict(cls.__dict__)
    fields: "dict[str, Field[Any]]" = {}
    for name, kind in body.get("__annotations__", {}).items():
        value = body.pop(name, MISSING)
        one: "Field[Any]" = value if isinstance(value, Field) else field(default=value)
        one.name, one.type, one.kw_only = name, kind, True
        one._field_type = dataclasses._FIELD  # type: ignore[attr-defined]  # what fields() looks for
        fields[name] = one
    plan = [(n, f.default, f.default_factory) for n, f in fields.items()]

    def __init__(self: "Any", **given: "Any") -> None:
        for name, default, factory in plan:
            if name in given:
                value = given.pop(name)
            elif factory is not MISSING:
                value = factory()
            elif default is not MISSING:
                value = default
            else:
                raise TypeError(f"{cls.__name__}() missing required keyword argument: {name!r}")
            setattr(self, name, value)
        if given:
            raise TypeError(f"{cls.__name__}() got an unexpected keyword argument {next(iter(given))!r}")

    def __eq__(self: "Any", other: object) -> "Any":
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, n) == getattr(other, n) for n in fields)

    def __repr__(self: "Any") -> str:
        return f"{cls.__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in fields)})"

    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    body.update(__slots__=tuple(fields), __init__=__init__, __eq__=__eq__, __repr__=__repr__, __hash__=None,
                __dataclass_fields__=fields, __match_args__=())
    return type(cls)(cls.__name__, cls.__bases__, body)
