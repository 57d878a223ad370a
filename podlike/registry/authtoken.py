"""What goes into Authorization: the answers to a registry's challenges, by scope.

A registry says with a 401 how it wants to be asked: Basic, or Bearer with the address of a token server. Tokens are
kept until shortly before their end and then renewed without asking the registry again.
Source: docker's token authentication specification, its OAuth2 part; RFC 9110 11; RFC 6750.
"""

import json
import re
import threading
import time
from urllib.parse import urlencode, urlsplit

from podlike.errors import RegistryError
from podlike.registry.credentials import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final, NamedTuple

    from urllib3 import BaseHTTPResponse

    from podlike.registry.transport import Transport
else:
    from podlike.spec.record import NamedTuple

# A word that no "=" follows is a scheme; the others are parameters of the scheme before them.
_CHALLENGE = re.compile(r'([\w!#$%&\'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?', re.ASCII)
# Longer ones are not read: it is no challenge, and what is read must not cost quadratic time.
_CHALLENGE_MAX: "Final" = 16 * 1024
# Answers of token servers: containers/image reads as much. A token must also fit into a header.
_ANSWER_MAX: "Final" = 1024 * 1024
_TOKEN_MAX: "Final" = 64 * 1024
# What the specification says where the server says nothing.
_LIFETIME_S: "Final" = 60.0
_LIFETIME_MAX_S: "Final" = 24 * 3600.0
_CLIENT_ID: "Final" = "podlike"
LOGIN_HINT: "Final" = "Log in first: podlike login {0}."
_ADMINISTRATOR: "Final" = "Report this to the registry's administrator."


class UnauthorizedError(RegistryError):
    """The registry or its token server does not take these credentials."""


class _Answer(NamedTuple):
    """header: for Authorization. until: time.monotonic() from which it is not used, 0: for ever."""

    header: str
    until: float
    challenge: "dict[str, str]"


class Authorizer:
    """Answers the challenges of one registry. Threads may share it."""

    def __init__(self, http: "Transport", credentials: Credentials | None) -> None:
        self._http = http
        self._credentials = credentials
        self._lock = threading.Lock()
        self._answers: dict[str, _Answer] = {}

    @property
    def anonymous(self) -> bool:
        return self._credentials is None

    def header(self, scope: str) -> str | None:
        """The value of Authorization for a scope ("repository:PATH:pull"), None before the first challenge.

        A token that is about to end is renewed. Raises: RegistryError.
        """
        answer = self._answers.get(scope)
        if answer is None or not answer.until or time.monotonic() < answer.until:
            return answer.header if answer else None
        with self._lock:
            if self._answers.get(scope) is answer:
                self._answers[scope] = self._bearer(answer.challenge, scope, "renewing the token")
            return self._answers[scope].header

    def challenged(self, challenges: "Sequence[str]", scope: str, used: str | None, what: str) -> None:
        """Prepare a better header() after a 401.

        challenges: its WWW-Authenticate headers. used: what the request was sent with. what: for messages.
        Raises: RegistryError, UnauthorizedError.
        """
        with self._lock:
            answer = self._answers.get(scope)
            if answer is not None and answer.header != used:
                return  # another thread has a fresh token already
            schemes = parse_challenges(challenges)
            if "bearer" in schemes:
                self._answers[scope] = self._bearer(schemes["bearer"], scope, what)
            elif "basic" in schemes:
                if self._credentials is None or used:
                    raise UnauthorizedError(
                        f"{what}: authentication required", hint=(
                            "The registry does not take these credentials: podlike login {0}." if used
                            else LOGIN_HINT).format(self._http.host))
                self._answers[scope] = _Answer(self._credentials.basic(), 0.0, {})
            else:
                raise RegistryError(f"{what}: unauthorized, and the registry does not say how to authenticate",
                                    hint="Check that the address is a registry's.")

    def _bearer(self, challenge: "dict[str, str]", scope: str, what: str) -> _Answer:
        realm = challenge.get("realm", "")
        server = self._check_realm(realm, what)
        asked = time.monotonic()
        response = self._ask(realm, challenge, _scopes(challenge.get("scope", ""), scope))
        if response.status != 200:
            raise self._refused(response, server, what)
        doc = _object(self._http.read(response, _ANSWER_MAX), server, what)
        token = doc.get("token") or doc.get("access_token")
        # It goes into a header: nothing but visible ASCII.
        if not isinstance(token, str) or len(token) > _TOKEN_MAX or not re.fullmatch(r"[!-~]+", token):
            raise RegistryError(f"{what}: the token server {server} answers without a token", hint=_ADMINISTRATOR)
        rotated = doc.get("refresh_token")
        if self._credentials and self._credentials.identity_token and isinstance(rotated, str) and rotated:
            self._credentials = self._credentials._replace(identity_token=rotated)
        return _Answer(f"Bearer {token}", asked + _lifetime(doc), challenge)

    def _check_realm(self, realm: str, what: str) -> str:
        """host[:port] of the token server. Raises: RegistryError unless it can be asked without risk."""
        try:
            parts = urlsplit(realm)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username \
                and parts.port != 0 and re.fullmatch(r"[!-~]+", realm)
        except ValueError:
            usable = False
        if not usable:
            raise RegistryError(f"{what}: the registry names no usable token server ({clean(realm)!r})",
                                hint=_ADMINISTRATOR)
        insecure = self._http.options.verify is False
        if parts.scheme == "http" and self._http.base.startswith("https") and self._credentials and not insecure:
            raise RegistryError(f"{what}: the token server {parts.netloc} has no TLS",
                                hint="Refusing to send your password in clear: use a registry with an https realm.")
        return parts.netloc

    def _ask(self, realm: str, challenge: "dict[str, str]", scopes: list[str]) -> "BaseHTTPResponse":
        creds = self._credentials
        query = [("service", challenge["service"])] if challenge.get("service") else []
        if creds and creds.identity_token:
            form = [*query, *([("scope", " ".join(scopes))] if scopes else []), ("grant_type", "refresh_token"),
                    ("refresh_token", creds.identity_token), ("client_id", _CLIENT_ID)]
            return self._http.fetch(realm, {"Content-Type": "application/x-www-form-urlencoded"}, method="POST",
                                    body=urlencode(form).encode())
        query += [("scope", scope) for scope in scopes]
        if creds:
            query.append(("account", creds.username))
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}" if query else realm
        return self._http.fetch(url, {"Authorization": creds.basic()} if creds else {})

    def _refused(self, response: "BaseHTTPResponse", server: str, what: str) -> RegistryError:
        from podlike.registry.transport import ERROR_BODY_MAX

        code, words = error_words(self._http.read(response, ERROR_BODY_MAX))
        if response.status in (400, 401, 403):
            who = "invalid username/password" if self._credentials else "unauthorized"
            kind = UnauthorizedError if response.status == 401 or code == "invalid grant" else RegistryError
            return kind(f"{what}: unable to retrieve auth token: {who}: {words or code or 'denied'}",
                        hint=LOGIN_HINT.format(self._http.host))
        return RegistryError(f"{what}: unable to retrieve auth token: status {response.status} from {server}"
                             + (f": {words}" if words else ""), hint="Try again later.")


def parse_challenges(headers: "Sequence[str]") -> "dict[str, dict[str, str]]":
    """WWW-Authenticate headers as {"bearer": {"realm": ...}}; only Bearer and Basic. Source: RFC 9110 11.6.1."""
    found: dict[str, dict[str, str]] = {}
    for header in headers:
        current: dict[str, str] = {}
        for match in _CHALLENGE.finditer(header[:_CHALLENGE_MAX]):
            name, quoted, plain = match.groups()
            if quoted is None and plain is None:
                current = found.setdefault(name.lower(), {})
            else:
                current[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    return {scheme: found[scheme] for scheme in ("bearer", "basic") if scheme in found}


def _scopes(asked: str, ours: str) -> list[str]:
    """The scopes of the challenge and our own, none twice; a scope that another one contains is left out."""
    every = list(dict.fromkeys([*ours.split(), *asked.split()]))
    parts = [scope.rsplit(":", 1) for scope in every]
    return [scope for scope, part in zip(every, parts, strict=True) if not any(
        scope != other and part[0] == of[0] and len(part) == len(of) == 2 and set(part[1].split(",")) < set(of[1].split(","))
        for other, of in zip(every, parts, strict=True))]


def _lifetime(doc: "dict[str, Any]") -> float:
    """Seconds that the token may be used from when it was asked for; a little less than the server says."""
    seconds = doc.get("expires_in")
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 < seconds < float("inf"):
        seconds = _LIFETIME_S
    lifetime = float(min(seconds, _LIFETIME_MAX_S))
    age = _age(doc.get("issued_at"))
    # A token that is older than its lifetime, or not issued yet, tells that one of the clocks is wrong.
    if 0 < age < lifetime:
        lifetime -= age
    return lifetime - min(5.0, lifetime / 10)


def _age(issued: object) -> float:
    from datetime import UTC, datetime

    if not isinstance(issued, str):
        return 0.0
    try:
        then = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", issued[:64]))
        return time.time() - then.replace(tzinfo=then.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _object(data: bytes, server: str, what: str) -> "dict[str, Any]":
    try:
        doc = json.loads(data)
    except (ValueError, RecursionError):
        doc = None
    if not isinstance(doc, dict):
        raise RegistryError(f"{what}: the token server {server} answers with something that is not a JSON object",
                            hint="Check that no login page or proxy answers for it.")
    return doc


def error_words(body: bytes) -> tuple[str, str]:
    """(code in lower-case words, message) of an error answer; token servers have "details" or OAuth2's "error"."""
    try:
        doc = json.loads(body)
        errors = doc.get("errors")
        first = errors[0] if errors else {"code": doc.get("error") or "", "message": doc.get("details") or doc.get(
            "error_description") or doc.get("message") or ""}
        code = str(first.get("code", "")).lower().replace("_", " ")
        return clean(code), clean(str(first.get("message") or ""))
    except (ValueError, RecursionError, AttributeError, KeyError, IndexError, TypeError):
        return "", ""


def clean(text: str) -> str:
    """Text from outside for a terminal: printable, one line, short."""
    return "".join(c if c.isprintable() else "?" for c in text)[:300]
