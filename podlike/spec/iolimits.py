"""The texts of --blkio-weight and of the flags that limit the io of single devices. Podman's words, as its users know them."""

from podlike.errors import UsageError
from podlike.spec.sizes import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_BYTES = ("The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be "
          "kb, mb, or gb")
_COUNT = "The correct format is <device-path>:<number>. Number must be a positive integer"


def parse_weight(text: str) -> int:
    """10 to 1000, or 0: not set. Raises: UsageError."""
    if not text.isdecimal() or not text.isascii():
        raise UsageError(f'invalid value for blkio-weight: strconv.ParseUint: parsing "{text}": invalid syntax',
                         hint="Give a number between 10 and 1000.")
    weight = int(text)
    if weight and not 10 <= weight <= 1000:
        raise UsageError("range of blkio weight is from 10 to 1000")
    return weight


def parse_devices(field: str, texts: "Iterable[str]") -> "dict[str, int]":
    """{path: number} of DEVICE:NUMBER, for a field of ContainerSpec: blkio_weight_device, device_read_bps ...

    Raises: UsageError.
    """
    out = {}
    for text in texts:
        path, colon, value = text.partition(":")
        if not colon:
            raise UsageError(f"bad format: {text}", hint="Write DEVICE:NUMBER, for example /dev/sda:100.")
        if not path.startswith("/dev/"):
            raise UsageError(f"bad format for device path: {text}", hint="The path begins with /dev/.")
        out[path] = _number(field, text, value)
    return out


def _number(field: str, text: str, value: str) -> int:
    digits = value.isascii() and value.isdecimal() and len(value) < 20
    if field == "blkio_weight_device":
        if not digits or not (int(value) == 0 or 10 <= int(value) <= 1000):
            raise UsageError(f"invalid weight for device: {text}", hint="A weight is between 10 and 1000.")
        return int(value)
    if field.endswith("iops"):
        if not digits:
            raise UsageError(f"invalid rate for device: {text}. {_COUNT}")
        return int(value)
    try:
        return parse_size(value)
    except UsageError:
        raise UsageError(f"invalid rate for device: {text}. {_BYTES}") from None
