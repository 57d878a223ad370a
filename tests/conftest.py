"""All tests: a skip is a failure where everything must work, so that a gate cannot turn green by not testing."""

from collections.abc import Generator
from typing import Any

import pytest

from tests.support.need import MUST_WORK, OPTIONAL


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not (MUST_WORK and report.outcome == "skipped") or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if reason.removeprefix("Skipped: ").startswith(OPTIONAL):
        return
    report.outcome = "failed"
    report.longrepr = f"PODLIKE_MUST_WORK=1, but this was skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: Any) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report
