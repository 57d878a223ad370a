"""login, logout: try a password at its registry and keep it."""

from podlike.engine.access import Access, open_registry
from podlike.errors import ConfigError, ConflictError, NotFoundError, PodlikeError, RegistryError, UsageError
from podlike.registries_conf import RegistriesConf, load_registries_conf
from podlike.spec.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from podlike.registry.credentials import Credentials
else:
    from podlike.spec.record import NamedTuple


class Target(NamedTuple):
    """key: what is written into the auth file, HOST[:PORT][/PATH]; host: who is asked."""

    key: str
    host: str


class Wallet(NamedTuple):
    """Where credentials are kept: the auth file (that the user named, or None) and registries.conf's helpers.

    docker: as docker keeps them, in its own file with its own key for its hub.
    """

    conf: RegistriesConf
    authfile: str | None = None
    docker: bool = False

    @property
    def path(self) -> str:
        from podlike.registry import authfile

        return authfile.docker_file() if self.docker and not self.authfile else authfile.file_to_write(self.authfile)

    def key(self, target: Target) -> str:
        from podlike.registry.authfile import HUB_KEY

        return HUB_KEY if self.docker and target.key == "docker.io" else target.key

    def find(self, target: Target) -> "Credentials | None":
        """Raises: RegistryError."""
        from podlike.registry import authfile
        from podlike.registry.auth import AUTH_FILES, find_credentials

        if self.docker or self.authfile:  # that file alone, whether it is there or not
            found = authfile.find(self.path, target.key)
            if found or self.conf.credential_helpers in ((), (AUTH_FILES,)):
                return found
        return find_credentials(target.key, helpers=self.conf.credential_helpers)


def open_wallet(*, authfile: str | None, compat: str | None, docker: bool) -> Wallet:
    """authfile: --authfile, compat: --compat-auth-file. Raises: UsageError, ConfigError."""
    if authfile and compat:
        raise UsageError("options for paths to the credential file and to the Docker-compatible credential file can not "
                         "be set simultaneously", hint="Leave one of them out.")
    return Wallet(load_registries_conf(), authfile or compat or None, docker)


def parse_target(text: str | None, wallet: Wallet) -> Target:
    """What the argument of login names; without one the first search registry. Raises: UsageError, ConfigError."""
    if not text:
        registries = ("docker.io",) if wallet.docker else wallet.conf.search_registries
        if not registries:
            raise ConfigError("no registries found in registries.conf, a registry must be provided",
                              hint="Name it: podlike login REGISTRY.")
        return Target(registries[0], registries[0])
    for scheme in ("https://", "http://"):
        if text.startswith(scheme):
            text = text.removeprefix(scheme).partition("/")[0]
    text = text.rstrip("/")
    host, slash, _ = text.partition("/")
    if wallet.docker and host in ("index.docker.io", "registry-1.docker.io"):
        host = text = "docker.io"
    if not slash:
        # A host alone is no image name; with a path behind it the same grammar applies.
        _check(f"{host}/x", text)
        return Target(text, host)
    if "@" in text or ":" in text.partition("/")[2]:
        raise UsageError(f'reference "{text}" contains tag or digest', hint="Leave out what follows the repository.")
    _check(text, text)
    return Target(text, host)


def _check(name: str, text: str) -> None:
    try:
        if parse_reference(name).domain != name.partition("/")[0].replace("index.docker.io", "docker.io"):
            raise UsageError("it names no registry")
    except UsageError as e:
        raise UsageError(f'parse reference from "{text}": {e.message}',
                         hint="Name a registry as HOST[:PORT], or HOST[:PORT]/REPOSITORY.") from None


def credentials(user: str, password: str) -> "Credentials":
    from podlike.registry.credentials import Credentials

    return Credentials(user.strip(), password)


def check_login(wallet: Wallet, target: Target, credentials: "Credentials", access: Access) -> None:
    """Ask the registry whether it takes the credentials.

    Raises: ConflictError when it does not, RegistryError when it cannot be asked.
    """
    from podlike.registry.authtoken import UnauthorizedError

    client = open_registry(wallet.conf, target.host, access=access, credentials=credentials)
    try:
        client.read("/v2/", f"pinging container registry {target.host}")
    except UnauthorizedError as e:
        # Without a hint: scripts compare these words whole.
        raise ConflictError(f'logging into "{target.key}": invalid username/password') from e
    except RegistryError as e:
        raise RegistryError(f'authenticating creds for "{target.key}": {e.message}', hint=e.hint) from e
    finally:
        client.close()


def save(wallet: Wallet, target: Target, credentials: "Credentials") -> str:
    """Keep the credentials; returns where. Raises: ConfigError, RegistryError."""
    from podlike.registry.auth import save_credentials

    return save_credentials(wallet.key(target), credentials, path=wallet.path, helpers=wallet.conf.credential_helpers)


def forget_all(wallet: Wallet) -> None:
    """Forget what the auth file and the helpers have. Raises: ConfigError, RegistryError, UsageError."""
    from podlike.registry.auth import check_authfile, remove_all_credentials

    check_authfile(wallet.authfile)
    remove_all_credentials(path=wallet.path, helpers=wallet.conf.credential_helpers)


def logout(wallet: Wallet, target: Target, access: Access) -> str:
    """Forget the credentials; returns the sentence for the user.

    Raises: NotFoundError when there are none, ConfigError, RegistryError.
    """
    from podlike.registry.auth import check_authfile, remove_credentials

    check_authfile(wallet.authfile)
    try:
        remove_credentials(wallet.key(target), path=wallet.path, helpers=wallet.conf.credential_helpers)
    except NotFoundError:
        if _elsewhere(wallet, target, access):
            return (f"Not logged into {target.key} with current tool. Existing credentials were established via docker "
                    "login. Please use docker logout instead.")
        raise
    return f"Removed login credentials for {target.key}"


def _elsewhere(wallet: Wallet, target: Target, access: Access) -> bool:
    """Whether another file has credentials that work."""
    found = wallet.find(target)
    if found is None or not found.password:
        return False
    try:
        check_login(wallet, target, found, access)
    except PodlikeError:
        return False
    return True
