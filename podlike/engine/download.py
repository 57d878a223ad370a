"""A file from the web, for `import URL` and `load -i URL`."""

import os

from podlike.errors import RegistryError, StoreError
from podlike.transports.sending import nameless, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podlike.engine.core import Engine

_CHUNK = 1 << 20


def is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def download(engine: "Engine", url: str, headers: "dict[str, str] | None" = None) -> int:
    """The content as a nameless file in the store's tmp/, at its beginning; the caller closes it.

    headers: takes those of the answer. Proxies, redirects and retries as for registries. Raises: RegistryError, StoreError.
    """
    from urllib.parse import urlsplit

    from podlike.registry.transport import Options, Transport

    host = urlsplit(url).netloc.rpartition("@")[2]
    if not host:
        raise StoreError(f"download {url[:200]}: it has no host", hint="Write http://HOST/PATH or https://HOST/PATH.")
    transport = Transport(host, Options(retries=engine.config.engine.retry))
    fd = nameless(engine.roots.tmp)
    try:
        response = transport.fetch(url, {})
        if response.status != 200:
            transport.finish(response)
            raise RegistryError(f"download {url[:200]}: the server answered {response.status} {response.reason or ''}".rstrip())
        if headers is not None:
            headers.update(response.headers)
        expected = response.headers.get("Content-Length", "")
        size = 0
        while piece := response.read(_CHUNK, decode_content=False):
            size += len(piece)
            write_all(fd, piece, engine.roots.tmp)
        if expected.isdigit() and size != int(expected):
            raise RegistryError(f"download {url[:200]}: it ended after {size} of {expected} bytes", hint="Try again.")
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException as e:
        os.close(fd)
        if type(e).__module__.startswith("urllib3."):
            raise RegistryError(f"download {url[:200]}: {e}", hint="Try again.") from e
        raise
    finally:
        transport.close()
    return fd
