"""A user and password for a registry, or an identity token."""

import base64
from typing import NamedTuple

from podlike.errors import UsageError


class Credentials(NamedTuple):
    """A user and password, or an identity token (an OAuth2 refresh token) with an empty password."""

    username: str
    password: str = ""
    identity_token: str = ""

    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def __repr__(self) -> str:
        # A traceback or a debug line must not carry the password.
        return f"Credentials({self.username!r})"


def parse_creds(text: str) -> Credentials:
    """--creds USER[:PASSWORD]. Raises: UsageError."""
    user, _, password = text.partition(":")
    if not user:
        raise UsageError("read --creds: credentials can't be empty", hint="Write it as USER:PASSWORD.")
    return Credentials(user, password)
