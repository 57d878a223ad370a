"""A cheaper @dataclass(slots=True, kw_only=True) for the classes that every command loads.

The standard decorator writes source code for __init__, __repr__ and __eq__ and compiles it: 4 ms for the ninety
fields of ContainerSpec, at every start; its module imports inspect, 10 ms. Here these methods are loops over a table,
and field(), asdict() and replace() are the few lines that these classes need. fields() and the other functions of the
dataclasses module work on the result too. A type checker is shown the real ones:

    TYPE_CHECKING = False
    if TYPE_CHECKING:
        from dataclasses import asdict, field
        from dataclasses import dataclass as record
    else:
        from podlike.spec.record import asdict, field, record

    @record(slots=True, kw_only=True)
    class Mount: ...

NamedTuple stands in for typing.NamedTuple in the same way: that module takes 3 ms, which is all that it does here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MISSING: "Any" = object()


class Field:
    """Where a field's first value comes from."""

    __slots__ = ("default", "default_factory")

    def __init__(self, default: "Any", default_factory: "Any") -> None:
        self.default = default
        self.default_factory = default_factory


def field(*, default: "Any" = _MISSING, default_factory: "Any" = _MISSING) -> "Any":
    """As dataclasses.field: a value that all share, or a function that makes one for each."""
    return Field(default, default_factory)


def record(*, slots: bool, kw_only: bool) -> "Callable[[type], type]":
    """Class decorator; slots and kw_only must be True and are there to read like the real one."""
    assert slots and kw_only
    return _make


def names(cls: "Any") -> "tuple[str, ...]":
    """The names of a record's fields, in their order; of the class or of one object."""
    found: "tuple[str, ...]" = cls.__slots__
    return found


def replace(one: "Any", **changes: "Any") -> "Any":
    """As dataclasses.replace: another object that differs in the given fields."""
    return type(one)(**{name: getattr(one, name) for name in one.__slots__} | changes)


def asdict(one: "Any") -> "Any":
    """As dataclasses.asdict: a dict of copies, of records, lists, tuples and dicts within too."""
    return {name: _copied(getattr(one, name)) for name in one.__slots__}


def _copied(value: "Any") -> "Any":
    if isinstance(value, list):
        return [_copied(v) for v in value]
    if isinstance(value, tuple):
        return tuple(_copied(v) for v in value)
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    return asdict(value) if getattr(type(value), "__record__", False) else value


class _StandardFields:
    """__dataclass_fields__, made when the dataclasses module asks for it."""

    __slots__ = ("_plan",)

    def __init__(self, plan: "list[tuple[str, Any, Any]]") -> None:
        self._plan = plan

    def __get__(self, one: "Any", cls: type) -> "dict[str, Any]":
        import dataclasses

        out = {}
        for name, default, factory in self._plan:
            made: "Any" = (dataclasses.field(default_factory=factory) if factory is not _MISSING
                           else dataclasses.field() if default is _MISSING else dataclasses.field(default=default))
            made.name, made.kw_only = name, True
            made._field_type = dataclasses._FIELD  # type: ignore[attr-defined]  # what fields() looks for
            out[name] = made
        return out


def _plan_of(cls: type, body: "dict[str, Any]") -> "list[tuple[str, Any, Any]]":
    """(name, default, factory) of each annotated name; takes the defaults out of body."""
    plan = []
    for name in cls.__annotations__:
        value = body.pop(name, _MISSING)
        if type(value).__name__ == "Field":  # ours, or the standard one
            factory = value.default_factory if callable(value.default_factory) else _MISSING
            value = value.default if factory is _MISSING else _MISSING
            if type(value).__name__ == "_MISSING_TYPE":
                value = _MISSING
        else:
            factory = _MISSING
        plan.append((name, value, factory))
    return plan


def _make(cls: type) -> type:
    body = dict(cls.__dict__)
    plan = _plan_of(cls, body)
    fields = tuple(name for name, _, _ in plan)

    def __init__(self: "Any", **given: "Any") -> None:
        for name, default, factory in plan:
            if name in given:
                value = given.pop(name)
            elif factory is not _MISSING:
                value = factory()
            elif default is not _MISSING:
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
    body.update(__slots__=fields, __init__=__init__, __eq__=__eq__, __repr__=__repr__, __hash__=None,
                __record__=True, __dataclass_fields__=_StandardFields(plan), __match_args__=())
    return type(cls)(cls.__name__, cls.__bases__, body)


class _NamedTupleMeta(type):
    def __new__(meta, name: str, bases: "tuple[type, ...]", body: "dict[str, Any]") -> "Any":
        if not bases:
            return super().__new__(meta, name, bases, body)
        from collections import namedtuple

        fields = type(name, (), dict(body)).__annotations__
        defaults = [body[field] for field in fields if field in body]
        made = namedtuple(name, fields, module=body["__module__"], defaults=defaults)  # type: ignore[misc]
        for key, value in body.items():
            if key not in fields and key not in ("__module__", "__qualname__"):
                setattr(made, key, value)
        return made


class NamedTuple(metaclass=_NamedTupleMeta):
    """As typing.NamedTuple: what is derived from it is a tuple with named fields, and has no base but tuple."""
