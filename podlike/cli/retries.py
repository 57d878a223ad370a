"""--retry and --retry-delay, whose defaults are in containers.conf."""

from podlike.cli.command import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def retry_flags(what: str) -> tuple[Flag, Flag]:
    """What push and pull take; run and create have theirs in options.py."""
    return (Flag("retry", "", "uint", f"number of times to retry in case of failure when performing {what}", 3),
            Flag("retry-delay", "", "string", f"delay between retries in case of {what} failures"))


def show_defaults(flags: "Iterable[Flag]") -> None:
    """Make help tell what containers.conf says."""
    from podlike.config import load_config

    settings = load_config().engine
    for flag in flags:
        if flag.name == "retry":
            flag.default_text = str(settings.retry)
        elif flag.name == "retry-delay" and settings.retry_delay:
            flag.default_text = f'"{settings.retry_delay}"'
