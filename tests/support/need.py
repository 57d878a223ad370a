"""Skip a test for a stated reason, or fail it where everything must work (PODLIKE_MUST_WORK=1)."""

import os

MUST_WORK = os.environ.get("PODLIKE_MUST_WORK", "0") not in ("", "0")

# Skips whose reason starts so stay skips under PODLIKE_MUST_WORK: what is missing is no part of a complete machine.
OPTIONAL = "optional: "


def need(condition: object, reason: str, *, optional: bool = False) -> None:
    """Go on only if condition holds.

    reason: what is missing, and how to get it.
    optional: even a complete test machine may lack it (systemd --user, a newer kernel).
    """
    if condition:
        return
    import pytest  # here, so that programs without pytest can use this package

    if optional:
        pytest.skip(OPTIONAL + reason)
    if MUST_WORK:
        pytest.fail(f"PODLIKE_MUST_WORK=1, but this test cannot run: {reason}", pytrace=False)
    pytest.skip(reason)
