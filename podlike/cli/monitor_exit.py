"""The monitor's exit command, recognised before click is loaded: it runs at the end of every detached container.

    --root DIR --runroot DIR container cleanup [--rm] ID

Any other spelling goes the usual way through cli/cleanup.py and means the same.
"""


def run_exit_command(args: list[str]) -> bool:
    """Do it, if that is what args say; False: they say something else. Raises: as the engine's cleanup."""
    words = args[6:]
    remove = words[:1] == ["--rm"]
    rest = words[1:] if remove else words
    if args[0:5:2] != ["--root", "--runroot", "container"] or len(rest) != 1 or rest[0].startswith("-"):
        return False
    from podlike.engine.cleanup import find_and_cleanup
    from podlike.engine.core import as_made
    from podlike.paths import Roots

    find_and_cleanup(as_made(Roots(data=args[1], run=args[3])), rest[0], remove=remove)
    return True
