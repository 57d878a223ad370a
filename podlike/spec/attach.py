"""How a terminal or a script is connected to a container: a pure value."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

DEFAULT_DETACH_KEYS: "Final" = "ctrl-p,ctrl-q"


class Attach:
    """Which streams are wanted and how.

    detach_keys: as typed, "" = none. tty: the container has a terminal. sig_proxy: pass our signals on.
    """

    __slots__ = ("detach_keys", "sig_proxy", "stderr", "stdin", "stdout", "tty")

    def __init__(self, *, stdin: bool = False, stdout: bool = True, stderr: bool = True, tty: bool = False,
                 sig_proxy: bool = True, detach_keys: str = DEFAULT_DETACH_KEYS) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.tty = tty
        self.sig_proxy = sig_proxy
        self.detach_keys = detach_keys


def parse_detach_keys(text: str) -> bytes:
    """The bytes that detach: "ctrl-p,ctrl-q" -> b"\\x10\\x11". Empty: never detach.

    Raises: ValueError naming the bad key.
    """
    out = bytearray()
    for key in text.split(",") if text else ():
        low = key.lower()
        if len(key) == 1 and key.isascii():
            out += key.encode()
        elif low.startswith("ctrl-") and len(low) == 6 and (low[5].isalpha() or low[5] in "@[\\]^_"):
            out.append(ord(low[5].upper()) & 0x1F)
        else:
            raise ValueError(f"invalid detach keys: unknown character: {key!r}")
    return bytes(out)
