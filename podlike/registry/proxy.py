"""Proxies: which one the environment names for a URL, and the connection pools that go through it.

Source: golang.org/x/net/http/httpproxy, whose rules users of podman and docker know.
"""

import ipaddress
import os
import re
from urllib.parse import unquote, urlsplit

import urllib3

from podlike.errors import RegistryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Final

# What Go and curl call socks5 gets the name to look it up itself: local DNS need not know it, and does not learn it.
_SOCKS: "Final" = {"socks5": "socks5h", "socks5h": "socks5h", "socks4": "socks4", "socks4a": "socks4a"}


def is_loopback(host: str) -> bool:
    """Whether host[:port] is localhost, in 127.0.0.0/8 or ::1. Names are not resolved."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def proxy_for(scheme: str, host: str, port: int | None) -> str | None:
    """The proxy that the environment names for a URL, or None. Loopback is never proxied, as in Go."""
    env = os.environ
    # HTTP_PROXY in capitals can be set by a web client of a CGI program.
    names = ("https_proxy", "HTTPS_PROXY") if scheme == "https" else ("http_proxy",) if "REQUEST_METHOD" in env \
        else ("http_proxy", "HTTP_PROXY")
    proxy = next((env[n] for n in (*names, "all_proxy", "ALL_PROXY") if env.get(n)), None)
    if not proxy or is_loopback(f"[{host}]" if ":" in host else host):
        return None
    port = port or (443 if scheme == "https" else 80)
    if any(_excluded(entry.strip().lower(), host.lower(), port)
           for entry in (env.get("no_proxy") or env.get("NO_PROXY") or "").split(",")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _excluded(entry: str, host: str, port: int) -> bool:
    """Whether one entry of NO_PROXY covers the host: *, name, .suffix, *.suffix, address, network, any with :port."""
    if not entry:
        return False
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit():
        if int(number) != port:
            return False
        entry = name
    entry = entry.removeprefix("*").strip("[]")
    return host == entry.lstrip(".") and not entry.startswith(".") or host.endswith("." + entry.lstrip("."))


def make_pool(proxy: str, context: "ssl.SSLContext | None", host: str) -> urllib3.PoolManager:
    """Connections by way of a proxy, or direct ones if it is "".

    host: the registry, for messages. Raises: RegistryError.
    """
    if not proxy:
        return urllib3.PoolManager(maxsize=16, ssl_context=context)
    try:
        parts = urlsplit(proxy)
        usable = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.scheme not in ("http", "https", *_SOCKS):
        raise RegistryError(f"reach registry {host}: the proxy {no_password(proxy)} is of no known kind",
                            hint="Set HTTPS_PROXY to an http, https, socks5 or socks4a URL, or add the host to NO_PROXY.")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme in _SOCKS:
        return _socks_pool(f"{_SOCKS[parts.scheme]}://{parts.netloc.rpartition('@')[2]}", user, password, context, host)
    auth = urllib3.make_headers(proxy_basic_auth=f"{user}:{password}") if user else None
    return urllib3.ProxyManager(proxy, maxsize=16, ssl_context=context, proxy_headers=auth)


def _socks_pool(url: str, user: str, password: str, context: "ssl.SSLContext | None", host: str) -> urllib3.PoolManager:
    try:
        from urllib3.contrib.socks import SOCKSProxyManager
    except ImportError as e:
        raise RegistryError(f"reach registry {host}: the proxy {url} needs the Python package PySocks",
                            hint="Install it: pip install PySocks.") from e
    return SOCKSProxyManager(url, username=user or None, password=password or None, maxsize=16, ssl_context=context)


def no_password(text: str) -> str:
    """The text without the user and password of a URL in it."""
    return re.sub(r"//[^/@]*@", "//", text)
