"""io limits of a group of containers, a pod: as files of cgroup v2, and as properties of a systemd slice."""

from podlike.spec.limits import IO_DEVICES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from podlike.spec.container import ContainerSpec

# field -> (word of io.max, property of systemd.resource-control(5))
_RATES = {"device_read_bps": ("rbps", "IOReadBandwidthMax"), "device_write_bps": ("wbps", "IOWriteBandwidthMax"),
          "device_read_iops": ("riops", "IOReadIOPSMax"), "device_write_iops": ("wiops", "IOWriteIOPSMax")}


def weight(blkio: int) -> int:
    """A weight of --blkio-weight, 10 to 1000, on io.weight's scale of 1 to 10000, as the runtime has it."""
    return 1 + (blkio - 10) * 9999 // 990


def io_lines(spec: "ContainerSpec", devices: "Mapping[str, tuple[int, int]]") -> "list[tuple[str, str]]":
    """(file, text): each is one write, because these files take one device at a time. devices: (major, minor) by path."""
    out = [("io.weight", f"default {weight(spec.blkio_weight)}")] if spec.blkio_weight else []
    rates: "dict[str, list[str]]" = {}
    for field, _, _ in IO_DEVICES:
        for path, number in getattr(spec, field).items():
            device = "{}:{}".format(*devices[path])
            if field in _RATES:
                rates.setdefault(device, []).append(f"{_RATES[field][0]}={number or 'max'}")
            elif number:
                out.append(("io.weight", f"{device} {weight(number)}"))
    return [*out, *(("io.max", f"{device} {' '.join(words)}") for device, words in rates.items())]


def io_properties(spec: "ContainerSpec") -> list[str]:
    """PROPERTY=VALUE for `systemctl set-property`."""
    out = [f"IOWeight={weight(spec.blkio_weight)}"] if spec.blkio_weight else []
    out += [f"IODeviceWeight={path} {weight(number)}" for path, number in spec.blkio_weight_device.items() if number]
    return out + [f"{name}={path} {number or 'infinity'}" for field, (_, name) in _RATES.items()
                  for path, number in getattr(spec, field).items()]
