"""Flags whose defaults are in containers.conf: --retry, --retry-delay and others, as help shows them."""

from podlike.cli.command import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def retry_flags(what: str) -> tuple[Flag, Flag]:
    """What push and pull take; run and create have theirs in options.py."""
    return (Flag("retry", "", "uint", f"number of times to retry in case of failure when performing {what}", 3),
            Flag("retry-delay", "", "string", f"delay between retries in case of {what} failures"))


def show_defaults(flags: "Iterable[Flag]", modules: "Sequence[str]") -> None:
    """Make help tell what containers.conf says. modules: of --module."""
    from podlike.config import load_config

    settings = load_config(modules).engine
    says = {"retry": settings.retry, "retry-delay": settings.retry_delay, "pull": settings.pull_policy,
            "detach-keys": settings.detach_keys, "compression-format": settings.compression_format,
            "compression-level": settings.compression_level, "add-compression": ",".join(settings.add_compression)}
    for flag in flags:
        value = says.get(flag.name)
        if value not in (None, ""):
            flag.default_text = f'"{value}"' if isinstance(value, str) else str(value)
