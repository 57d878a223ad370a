"""podlike.spec.record behaves like dataclasses.dataclass(slots=True, kw_only=True)."""

import copy
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

import pytest

import podlike.spec.record as records
from podlike.spec.container import ContainerSpec, Mount, PortMapping
from podlike.spec.record import record


class _Plain:
    name: str
    size: int = 3
    items: list[str] = field(default_factory=list)

    def double(self) -> int:
        return self.size * 2


Ours: type = record(slots=True, kw_only=True)(type("Plain", (), dict(_Plain.__dict__)))
Real: type = dataclass(slots=True, kw_only=True)(type("Plain", (), dict(_Plain.__dict__)))


@pytest.mark.parametrize("cls", [Ours, Real])
def test_same_behaviour(cls: type) -> None:
    one = cls(name="x")
    assert repr(one) == "Plain(name='x', size=3, items=[])"
    assert one == cls(name="x") and one != cls(name="y") and one != object()
    one.items.append("a")
    assert cls(name="x").items == []
    assert asdict(one) == {"name": "x", "size": 3, "items": ["a"]}
    assert [f.name for f in fields(one)] == ["name", "size", "items"]
    assert replace(one, size=5).size == 5 and one.size == 3
    assert copy.deepcopy(one) == one
    assert one.double() == 6
    for bad in ({}, {"name": "x", "nope": 1}):
        with pytest.raises(TypeError):
            cls(**bad)
    with pytest.raises(TypeError):
        cls("x")
    with pytest.raises(AttributeError):
        one.other = 1
    with pytest.raises(TypeError):
        hash(one)


def test_container_spec_round_trip() -> None:
    spec = ContainerSpec(name="x", mounts=[Mount(type="bind", source="/a", target="/b")],
                         ports=[PortMapping(container_port=80)], env={"A": "b"})
    doc = spec.to_dict()
    assert set(doc) == {"name", "mounts", "ports", "env"}
    assert ContainerSpec.from_dict({**doc, "later": 1}) == spec
    assert ContainerSpec().to_dict() == {}


class _Pair(NamedTuple):
    """Two."""

    left: int
    right: "list[int] | None" = None

    def sum(self) -> int:
        return self.left + sum(self.right or ())


cheap: Any = vars(records)["NamedTuple"]
_cheap: Any = type(cheap)("_Pair", (cheap,), {
    "__module__": __name__, "__doc__": _Pair.__doc__, "__annotations__": _Pair.__annotations__, "right": None, "sum": _Pair.sum})


@pytest.mark.parametrize("cls", [_Pair, _cheap])
def test_named_tuples(cls: Any) -> None:
    one = cls(3, right=[4])
    assert (one.left, one.right, one.sum()) == (3, [4], 7)
    assert one == (3, [4]) and cls(1) == (1, None) and cls(1)._replace(left=2) == (2, None)
    assert repr(one) == "_Pair(left=3, right=[4])"
    assert (cls.__doc__, cls._fields, cls.__module__, cls.__mro__[1:]) == ("Two.", ("left", "right"), __name__, (tuple, object))
    with pytest.raises(TypeError):
        cls()
