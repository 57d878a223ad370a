"""Tables of tests: @NAME in a row stands for what only the machine of the run knows."""

import os
import re
from pathlib import Path

NAMESPACES = ("pid", "ipc", "uts", "cgroup")


class Words:
    """TMP: a directory of the host. UID: the caller's. NS_PID and so on: its namespaces, as patterns. more: others."""

    def __init__(self, scratch: Path, **more: str) -> None:
        own = {f"NS_{kind.upper()}": re.escape(os.readlink(f"/proc/self/ns/{kind}")) for kind in NAMESPACES}
        self.known = {"TMP": str(scratch), "UID": str(os.getuid()), **own, **more}

    def fill(self, text: str) -> str:
        """A name that is not known stays as it is."""
        return re.sub(r"@([A-Z_]+)", lambda m: self.known.get(m.group(1), m.group()), text)
