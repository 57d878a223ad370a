"""podlike logout."""

from podlike.cli.command import Call, Command, Flag, at_most
from podlike.errors import NotFoundError, UsageError


def logout(call: Call) -> None:
    from podlike.engine.access import Access
    from podlike.engine.login import forget_all, logout, open_wallet, parse_target

    o = call.opts
    wallet = open_wallet(authfile=o.authfile, compat=o.compat_auth_file, docker=call.docker)
    if o.all:
        if call.args:
            raise UsageError("--all takes no arguments", hint="Leave --all or the registry out.")
        forget_all(wallet)
        call.out("Removed login credentials for all registries")
        return
    target = parse_target(call.args[0] if call.args else None, wallet)
    if call.docker:  # which says so before it looks, and is content when there is nothing
        call.out(f"Removing login credentials for {wallet.key(target)}")
        try:
            logout(wallet, target, Access())
        except NotFoundError:
            return
    else:
        call.out(logout(wallet, target, Access()))


command = Command(
    "logout", logout, usage="[REGISTRY]", args=at_most(1), summary="Log out of a container registry",
    description="Remove the cached username and password for the registry.",
    flags=(Flag("all", "a", "bool", "Remove the cached credentials for all registries in the auth file"),
           Flag("authfile", "", "string", "path of the authentication file. Use REGISTRY_AUTH_FILE environment variable "
                "to override"),
           Flag("compat-auth-file", "", "string", "path of a Docker-compatible config file to update instead")),
    examples=("logout quay.io", "logout --authfile dir/auth.json quay.io", "logout --all"))
