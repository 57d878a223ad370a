"""Output of containers that systemd's units run: which entries of the journal are theirs, and what is refused."""

from pathlib import Path

import pytest

from podlike.engine import logs
from podlike.engine.core import Engine
from podlike.engine.logjournal import matches
from podlike.errors import ConflictError
from podlike.paths import Roots
from podlike.spec.container import ContainerSpec
from podlike.spec.logopts import in_journal, passthrough_unit
from podlike.store.containers import Container, RunState

ID = "c0ffee" * 10 + "beef"


def container(driver: str, unit: str = "") -> Container:
    spec = ContainerSpec(log_driver=driver, labels={"PODMAN_SYSTEMD_UNIT": unit} if unit else {})
    return Container(id=ID, name="web", image=None, created=1000.5, spec=spec, state=RunState())


@pytest.mark.parametrize(("driver", "unit", "where"), [
    ("passthrough", "web.service", "web.service"), ("passthrough-tty", "web.service", "web.service"), ("passthrough", "", ""),
    ("journald", "web.service", ""), ("k8s-file", "web.service", ""), ("", "", ""),
])
def test_unit(driver: str, unit: str, where: str) -> None:
    spec = container(driver, unit).spec
    assert passthrough_unit(spec) == where
    assert in_journal(spec) == (driver == "journald" or bool(where))


def test_matches_of_a_users_unit() -> None:
    assert matches(container("passthrough", "web.service"), 1000) == [
        "_SYSTEMD_USER_UNIT=web.service", f"_SYSTEMD_USER_UNIT=libpod-{ID}.scope", "_SYSTEMD_OWNER_UID=1000", "_TRANSPORT=stdout",
        "+", "_SYSTEMD_UNIT=web.service", "_UID=1000", "_TRANSPORT=stdout"]


def test_matches_of_roots_unit() -> None:
    assert matches(container("passthrough", "web.service"), 0) == [
        "_SYSTEMD_UNIT=web.service", f"_SYSTEMD_UNIT=libpod-{ID}.scope", "_UID=0", "_TRANSPORT=stdout"]


def test_matches_of_the_journal_driver() -> None:
    assert matches(container("journald", "web.service"), 1000) == [f"CONTAINER_ID_FULL={ID}", "_UID=1000"]


def test_mark_comes_with_both() -> None:
    for driver in ("journald", "passthrough"):
        assert matches(container(driver, "web.service"), 1000, mark="m")[-3:] == ["+", "PODLIKE_LOGS_MARK=m", "_UID=1000"]


@pytest.mark.parametrize("driver", ["none", "passthrough", "passthrough-tty"])
def test_without_a_unit_there_is_nothing_to_read(driver: str, tmp_path: Path) -> None:
    engine = Engine(roots=Roots(data=f"{tmp_path}/data", run=f"{tmp_path}/run"))
    with pytest.raises(ConflictError, match=f"using the '{driver}' log driver"):
        list(logs.logs(engine, container(driver), logs.Request()))
