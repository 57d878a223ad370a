"""io limits of a group of containers, a pod: as files of cgroup v2, and as properties of a systemd slice."""

from podlike.spec.limits import IO_DEVICES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from podlike.spec.container import ContainerSpec

# The words of io.max, by field, and what systemd.resource-control(5) calls them.
_RATES = {"device_read_bps": "rbps", "device_write_bps": "wbps", "device_read_iops": "riops", "device_write_iops": "wiops"}
_PROPERTIES = {"rbps": "IOReadBandwidthMax", "wbps": "IOWriteBandwidthMax", "riops": "IOReadIOPSMax", "wiops": "IOWriteIOPSMax"}


def weight(blkio: int) -> int:
    """A weight of --blkio-weight, 10 to 1000, on io.weight's scale of 1 to 10000, as the runtime has it."""
    return 1 + (blkio - 10) * 9999 // 990


def io_files(spec: "ContainerSpec", devices: "Mapping[str, tuple[int, int]]") -> "dict[str, str]":
    """Texts by the file's name; each line is one write, because these files take one device at a time.

    devices: (major, minor) by path.
    """
    weights = [f"default {weight(spec.blkio_weight)}"] if spec.blkio_weight else []
    rates: "dict[str, list[str]]" = {}
    for field, _, _ in IO_DEVICES:
        for path, number in getattr(spec, field).items():
            device = "{}:{}".format(*devices[path])
            if field in _RATES:
                rates.setdefault(device, []).append(f"{_RATES[field]}={number or 'max'}")
            elif number:
                weights.append(f"{device} {weight(number)}")
    lines = {"io.weight": weights, "io.max": [f"{device} {' '.join(words)}" for device, words in rates.items()]}
    return {name: "\n".join(found) for name, found in lines.items() if found}


def io_properties(files: "Mapping[str, str]") -> list[str]:
    """What io_files() has made as PROPERTY=VALUE for `systemctl set-property`."""
    out = []
    for line in files.get("io.weight", "").splitlines():
        device, value = line.split()
        out.append(f"IOWeight={value}" if device == "default" else f"IODeviceWeight=/dev/block/{device} {value}")
    for line in files.get("io.max", "").splitlines():
        device, *words = line.split()
        for word, _, value in (text.partition("=") for text in words):
            out.append(f"{_PROPERTIES[word]}=/dev/block/{device} {'infinity' if value == 'max' else value}")
    return out
