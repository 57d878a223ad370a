"""podlike.spec.record behaves like dataclasses.dataclass(slots=True, kw_only=True)."""

import copy
from dataclasses import asdict, dataclass, field, fields, replace

import pytest

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
