"""--device values as nodes of the host."""

import os

from podlike.errors import UsageError
from podlike.runtime import hostfacts
from podlike.spec import devices


def look_up_devices(asked: list[str]) -> list[devices.DeviceNode]:
    """A directory stands for all devices below it. Raises: UsageError."""
    found: list[devices.DeviceNode] = []
    for text in asked:
        source, target, access = devices.parse(text)
        try:
            if os.path.isdir(source):
                found += [d._replace(target=target + d.source[len(source):], access=access)
                          for d in hostfacts.all_devices(source)]
            else:
                found.append(hostfacts.device_node(source, target, access))
        except (OSError, ValueError) as e:
            words = e.strerror.lower() if isinstance(e, OSError) and e.strerror else str(e)
            raise UsageError(f"stat {source}: {words}",
                             hint="Give --device the path of a device that exists on this host.") from e
    return found
