"""TLS to registries: certs.d directories, and failures in words.

Source: containers-certs.d(5).
"""

import os

import urllib3

from podlike.errors import RegistryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Final

_CERT_DIRS: "Final" = ("/etc/containers/certs.d", "/usr/share/containers/certs.d", "/etc/docker/certs.d")
# OpenSSL's name of an alert -> how Go calls it.
_ALERTS: "Final" = {"CERTIFICATE_REQUIRED": "certificate required", "BAD_CERTIFICATE": "bad certificate",
                    "UNKNOWN_CA": "unknown certificate authority", "CERTIFICATE_EXPIRED": "expired certificate",
                    "CERTIFICATE_UNKNOWN": "unknown certificate", "CERTIFICATE_REVOKED": "revoked certificate"}


def make_context(host: str, *, cert_dir: str | None, strict: bool) -> "ssl.SSLContext":
    """host: as in the image's name; its certs.d directory is used unless cert_dir names another.

    strict: verify the server's certificate. Raises: RegistryError.
    """
    import ssl

    context = ssl.create_default_context()
    if not strict:
        urllib3.disable_warnings()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    directory = cert_dir or find_cert_dir(host)
    if directory:
        _load(context, directory)
    return context


def find_cert_dir(host: str) -> str | None:
    """certs.d/HOST[:PORT] of the user, the system or docker: the first that exists."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return next((f"{root}/{host}" for root in (f"{home}/containers/certs.d", *_CERT_DIRS)
                 if os.path.isdir(f"{root}/{host}")), None)


def _load(context: "ssl.SSLContext", directory: str) -> None:
    """*.crt: authorities; *.cert with *.key: ours."""
    import ssl

    name = ""
    try:
        names = set(os.listdir(directory))
        for name in sorted(names):
            path, stem = f"{directory}/{name}", name.rpartition(".")[0]
            if name.endswith(".crt"):
                context.load_verify_locations(cafile=path)
            elif name.endswith(".cert"):
                if f"{stem}.key" not in names:
                    raise RegistryError(f"read certificates {directory}: missing key {stem}.key for client certificate "
                                        f"{name}", hint="Put the key beside it; authorities need the ending .crt.")
                context.load_cert_chain(path, f"{directory}/{stem}.key", password=lambda: b"")
            elif name.endswith(".key") and f"{stem}.cert" not in names:
                raise RegistryError(f"read certificates {directory}: missing client certificate {stem}.cert for key "
                                    f"{name}", hint="Put the certificate beside it, or remove the key.")
    except (ssl.SSLError, OSError) as e:
        why = e.reason if isinstance(e, ssl.SSLError) and e.reason else e.strerror or str(e)
        raise RegistryError(f"read certificates {directory}/{name}: {why.lower().replace('_', ' ')}",
                            hint="Correct or remove the file: certificates and keys are in PEM form, without a "
                                 "pass phrase.") from e


def explain(text: str, host: str) -> tuple[str, str]:
    """(Go's words, hint) for the text of an SSLError. host: the registry as the user named it."""
    where = f"~/.config/containers/certs.d/{host}"
    insecure = "use --tls-verify=false or set insecure=true for it in registries.conf"
    if speaks_no_tls(text):
        return "http: server gave HTTP response to HTTPS client", f"If plain HTTP is meant, {insecure}."
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return _unverified(text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0], where, insecure)
    for name, words in _ALERTS.items():
        if f"ALERT_{name}" in text:
            return f"remote error: tls: {words}", \
                f"The registry wants another client certificate: put its .cert and .key in {where}."
    return f"tls: {text}", f"Check the registry's TLS set-up; if plain HTTP is meant, {insecure}."


def _unverified(why: str, where: str, insecure: str) -> tuple[str, str]:
    words = "tls: failed to verify certificate: x509: "
    if "expired" in why or "not yet valid" in why:
        return f"{words}certificate has expired or is not yet valid ({why})", \
            f"Check this machine's clock; if it is right, the registry needs a new certificate. To go on without, {insecure}."
    if "ostname" in why or "IP address mismatch" in why:
        return f"{words}{why[:1].lower()}{why[1:].rstrip('.')}", \
            f"Use the name that the certificate is for, or {insecure}."
    return f"{words}certificate signed by unknown authority ({why or 'unknown reason'})", \
        f"Put the registry's CA certificate in {where}/ca.crt, or {insecure}."


def speaks_no_tls(text: str) -> bool:
    """Whether the words of an SSLError mean that the other end answers in clear text."""
    return "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text or "wrong version" in text
