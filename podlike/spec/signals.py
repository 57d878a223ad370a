"""Signal names and numbers as command lines and images write them.

Numbers are those of Linux on x86, Arm, RISC-V, POWER and s390 (signal(7)); MIPS and Alpha differ and are not
supported. Real-time signals: glibc keeps 32 and 33 for itself, so SIGRTMIN is 34.
"""

from podlike.errors import UsageError

_NAMES = (
    "",
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "TRAP",
    "ABRT",
    "BUS",
    "FPE",
    "KILL",
    "USR1",
    "SEGV",
    "USR2",
    "PIPE",
    "ALRM",
    "TERM",
    "STKFLT",
    "CHLD",
    "CONT",
    "STOP",
    "TSTP",
    "TTIN",
    "TTOU",
    "URG",
    "XCPU",
    "XFSZ",
    "VTALRM",
    "PROF",
    "WINCH",
    "IO",
    "PWR",
    "SYS",
)
_ALIASES = {"IOT": 6, "CLD": 17, "POLL": 29, "UNUSED": 31}
_RTMIN, _RTMAX = 34, 64


def parse(text: str) -> int:
    """The number of a signal: "TERM", "SIGTERM", "term", "15", "RTMIN+3", "-9".

    Raises: UsageError.
    """
    name = text.removeprefix("-").upper().removeprefix("SIG")
    if name.isascii() and name.isdigit() and len(name) < 4:
        number = int(name)
        if 0 < number <= _RTMAX:
            return number
    elif name and name in _NAMES:
        return _NAMES.index(name)
    elif name in _ALIASES:
        return _ALIASES[name]
    elif name.startswith("RTM"):
        found = _realtime(name)
        if found:
            return found
    if name.isascii() and name.isdigit() and int(name):
        raise UsageError(f"valid signals are 1 through {_RTMAX}")
    raise UsageError(f"invalid signal: {text.removeprefix('-')}")


def name_of(number: int) -> str:
    """ "SIGTERM" for 15; real-time signals as "SIGRTMIN+n"."""
    if 0 < number < len(_NAMES):
        return f"SIG{_NAMES[number]}"
    if _RTMIN <= number <= _RTMAX:
        return f"SIGRTMIN+{number - _RTMIN}" if number > _RTMIN else "SIGRTMIN"
    return str(number)


def _realtime(name: str) -> int:
    base, sign, offset = name[:5], name[5:6], name[6:]
    if base not in ("RTMIN", "RTMAX"):
        return 0
    start = _RTMIN if base == "RTMIN" else _RTMAX
    if not sign:
        return start
    if sign != ("+" if base == "RTMIN" else "-") or not (
        offset.isascii() and offset.isdigit() and len(offset) < 3
    ):
        return 0
    number = start + int(offset) if sign == "+" else start - int(offset)
    return number if _RTMIN <= number <= _RTMAX else 0
