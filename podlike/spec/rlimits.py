"""`--ulimit` and process.rlimits."""

from podlike.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAMES = (
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
)
UNLIMITED = 2**64 - 1  # RLIM_INFINITY
DEFAULT = 1048576  # soft and hard limit of open files and processes, where the caller may have so many


def parse(text: str) -> "tuple[str, int, int]":
    """(name, soft, hard) of NAME=SOFT[:HARD]; -1 means unlimited.

    Raises: UsageError.
    """
    name, equals, limits = text.lower().removeprefix("rlimit_").partition("=")
    soft, colon, hard = limits.partition(":")
    values = [_value(part) for part in ((soft, hard) if colon else (soft, soft))]
    if not equals or None in values:
        raise UsageError(
            f'ulimit option "{text}" requires name=SOFT:HARD, failed to be parsed: invalid ulimit argument',
            hint="Write for example nofile=1024:2048; -1 means unlimited.",
        )
    if name not in NAMES:
        raise UsageError(f'ulimit option "{text}" requires name=SOFT:HARD, failed to be parsed: '
                         f"invalid ulimit type: {name}", hint=f"Use one of {', '.join(NAMES)}.")
    low, high = (UNLIMITED if v in (None, -1) else v for v in values)
    if low > high:
        words = f"soft: -1 (unlimited), hard: {hard}" if low == UNLIMITED else f"{soft} > {hard}"
        raise UsageError(f'ulimit option "{text}" requires name=SOFT:HARD, failed to be parsed: '
                         f"ulimit soft limit must be less than or equal to hard limit: {words}")
    return name, low, high


def to_oci(
    ulimits: "Iterable[str]", *, own: "Mapping[str, tuple[int, int]]", rootless: bool
) -> "list[dict[str, object]]":
    """process.rlimits for --ulimit values; "host" among them: only the defaults.

    own: this process's limits by name, (soft, hard), at least nofile and nproc. A rootless container cannot
        have more, so its defaults stop there and "unlimited" means the own hard limit.
    Raises: UsageError.
    """
    asked = list(ulimits)
    limits: "dict[str, tuple[int, int]]" = {}
    for text in () if "host" in asked else asked:
        name, soft, hard = parse(text)
        if rootless and UNLIMITED in (soft, hard) and name in own:
            most = own[name][1]
            soft, hard = (most if soft == UNLIMITED else soft), (most if hard == UNLIMITED else hard)
        if rootless and name in own and hard > own[name][1]:
            raise UsageError(
                f"set ulimit {text}: the hard limit of your user is {own[name][1]}, only root can raise it",
                hint="Ask for less, or have the limit raised in limits.conf(5) or the systemd user manager.",
            )
        limits[name] = (soft, hard)
    for name in ("nofile", "nproc"):
        if name not in limits:
            soft, hard = own.get(name, (DEFAULT, DEFAULT)) if rootless else (DEFAULT, DEFAULT)
            limits[name] = (min(soft, DEFAULT), min(hard, DEFAULT))
    return [
        {"type": f"RLIMIT_{name.upper()}", "hard": hard, "soft": soft}
        for name, (soft, hard) in limits.items()
    ]


def _value(text: str) -> int | None:
    if text == "-1" or text == "unlimited":
        return -1
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
