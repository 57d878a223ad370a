"""How a unit calls podlike."""

import os
import sys


def podlike_words() -> tuple[str, ...]:
    """PODMAN or PODLIKE_BIN of the environment, else the program that was installed with this package.

    Source: podman's generator takes PODMAN too, for tests.
    """
    for name in ("PODMAN", "PODLIKE_BIN"):
        given = os.environ.get(name)
        if given:
            return (given,)
    beside = f"{os.path.dirname(sys.executable)}/podlike"
    if os.access(beside, os.X_OK):
        return (beside,)
    return (sys.executable, "-m", "podlike")
