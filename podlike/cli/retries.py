"""--retry and --retry-delay, whose defaults are in containers.conf."""

from podlike.cli.command import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    import click


class RetryCommand(Command):
    """A command whose help shows what containers.conf makes of --retry and --retry-delay."""

    def get_help(self, ctx: "click.Context") -> str:
        from podlike.config import load_config

        settings = load_config().engine
        for flag in self.flags:
            if flag.name == "retry":
                flag.default = settings.retry
            elif flag.name == "retry-delay":
                flag.default_text = f'"{settings.retry_delay}"' if settings.retry_delay else ""
        return super().get_help(ctx)


def retry_flags(what: str) -> tuple[Flag, Flag]:
    return (Flag("retry", "", "uint", f"number of times to retry in case of failure when performing {what}", 3),
            Flag("retry-delay", "", "string", f"delay between retries in case of {what} failures"))
