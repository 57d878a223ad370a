"""podlike login."""

import sys

from podlike.cli.command import Call, Command, Flag, at_most
from podlike.errors import ConflictError, NotFoundError, RegistryError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.access import Access
    from podlike.engine.login import Target, Wallet
    from podlike.registry.credentials import Credentials


def login(call: Call) -> None:
    from podlike.engine.access import Access
    from podlike.engine.login import open_wallet, parse_target

    o = call.opts
    _check(call)
    wallet = open_wallet(authfile=o.authfile, compat=o.compat_auth_file, docker=call.docker)
    target = parse_target(call.args[0] if call.args else None, wallet)
    found = wallet.find(target)
    if o.get_login:
        if found is None or not found.username:
            raise NotFoundError(f"not logged into {target.key}", hint=f"Log in first: podlike login {target.key}.")
        call.out(found.username)
        return
    if found is not None and found.identity_token and not call.docker:
        raise ConflictError("currently logged in, auth file contains an Identity token",
                            hint=f"Log out first: podlike logout {target.key}.")
    access = Access(tls_verify=o.tls_verify if call.changed("tls-verify") else None, cert_dir=o.cert_dir or None)
    password = _password(call)
    if not o.username and not password and found is not None and found.username and found.password \
            and _still_valid(call, wallet, target, found, access):
        return
    _new(call, wallet, target, access, user=found.username if found else "", password=password)


def _check(call: Call) -> None:
    o = call.opts
    if o.password_stdin and call.changed("password"):
        raise UsageError("can't specify both --password-stdin and --password", hint="Leave one of them out.")
    if o.password_stdin and not o.username:
        raise UsageError("must provide --username with --password-stdin", hint="Add --username USER.")
    if o.secret:
        if o.password:
            raise UsageError("--secret can not be used with --password options", hint="Leave one of them out.")
        raise UsageError("use --secret: this version of podlike keeps no secrets",
                         hint="Pass the password on standard input: --password-stdin < FILE.")


def _password(call: Call) -> str:
    if call.opts.password_stdin:
        return "".join(line.rstrip("\r\n") for line in sys.stdin)
    if call.docker and call.opts.password:
        sys.stderr.write("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
    return str(call.opts.password)


def _still_valid(call: Call, wallet: "Wallet", target: "Target", found: "Credentials", access: "Access") -> bool:
    """Try what is in the auth file already."""
    from podlike.engine.login import check_login

    call.out(f"Authenticating with existing credentials for {target.key}")
    sys.stdout.flush()
    try:
        check_login(wallet, target, found, access)
    except (ConflictError, RegistryError):
        call.out("Existing credentials are invalid, please enter valid username and password")
        return False
    call.out(f"Existing credentials are valid. Already logged in to {target.host}")
    return True


def _new(call: Call, wallet: "Wallet", target: "Target", access: "Access", *, user: str, password: str) -> None:
    from podlike.engine.login import check_login, credentials, save

    name = call.opts.username or _ask_user(user)
    new = credentials(name, password or _ask_password())
    check_login(wallet, target, new, access)
    place = save(wallet, target, new)
    if call.opts.verbose:
        call.out(f"Used:  {place}")
    if call.docker and place == wallet.path:
        sys.stderr.write(f"\nWARNING! Your credentials are stored unencrypted in '{place}'.\n"
                         "Configure a credential helper to remove this warning.\n\n")
    call.out("Login Succeeded" if call.docker else "Login Succeeded!")


def _ask_user(known: str) -> str:
    sys.stdout.write(f"Username ({known}): " if known else "Username: ")
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        raise UsageError("getting username and password: reading username: EOF",
                         hint="Give --username and --password-stdin where nobody can type.")
    return line.strip() or known


def _ask_password() -> str:
    if not sys.stdin.isatty():
        raise UsageError("getting username and password: reading password: standard input is not a terminal",
                         hint="Give --password-stdin where nobody can type.")
    import getpass

    return getpass.getpass("Password: ")


command = Command(
    "login", login, usage="[REGISTRY]", args=at_most(1), summary="Log in to a container registry",
    description="Log in to a container registry on a specified server.",
    flags=(Flag("authfile", "", "string", "path of the authentication file. Use REGISTRY_AUTH_FILE environment variable "
                "to override"),
           Flag("cert-dir", "", "string", "use certificates at the specified path to access the registry"),
           Flag("compat-auth-file", "", "string", "path of a Docker-compatible config file to update instead"),
           Flag("get-login", "", "bool", "Return the current login user for the registry"),
           Flag("password", "p", "string", "Password for registry"),
           Flag("password-stdin", "", "bool", "Take the password from stdin"),
           Flag("secret", "", "string", "Retrieve password from a podlike secret"),
           Flag("tls-verify", "", "bool", "Require HTTPS and verify certificates when contacting registries"),
           Flag("username", "u", "string", "Username for registry"),
           Flag("verbose", "v", "bool", "Write more detailed information to stdout")),
    examples=("login quay.io", "login --username ... --password ... quay.io", "login --authfile dir/auth.json quay.io"))
