"""What the environment says of the way to a host: which proxy to ask, and whose certificates to trust.

The rules are those of requests, so that content comes the same way as what the API says.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from dandi_mirror.errors import SetupError

if TYPE_CHECKING:
    import ssl

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name the certificates to trust; the first that is set counts."""
PAGE = "docs/proxies.md"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Asked in place of a host."""

    scheme: str
    host: str
    port: int
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """Name and password, if the variable has them."""

    @property
    def name(self) -> str:
        """What is said of it: nothing that is secret."""
        return f"the proxy {self.host}:{self.port}"


def proxy_for(url: str) -> Proxy | None:
    """The proxy that is to be asked for a URL, by ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``.

    Raises:
        SetupError: a variable holds no URL of a proxy that can be used.
    """
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

    said = select_proxy(url, get_environ_proxies(url))
    return _parsed(prepend_scheme_if_needed(said, "http"), url) if said else None


def _parsed(said: str, url: str) -> Proxy:
    from requests.utils import get_auth_from_url
    from urllib3.exceptions import LocationParseError
    from urllib3.util import make_headers, parse_url

    try:
        parts = parse_url(said)
    except LocationParseError:
        parts = parse_url("")
    scheme = parts.scheme or ""
    if not parts.host or scheme not in {"http", "https"}:
        # not repeated: it may hold a password
        what = f"a {scheme} proxy, which cannot be used" if scheme.startswith("socks") else "no URL of a proxy"
        raise SetupError(
            f"{url.partition(':')[0]}_proxy or all_proxy names {what}; write it as http://HOST:PORT ({PAGE})"
        )
    name, password = get_auth_from_url(said)
    headers = make_headers(proxy_basic_auth=f"{name}:{password}") if name else {}
    port = parts.port or (443 if scheme == "https" else 80)
    return Proxy(scheme, parts.host.strip("[]"), port, {key.title(): value for key, value in headers.items()})


def certificates() -> str | None:
    """The file or folder of the certificates that a variable says to trust; None if none does.

    Raises:
        SetupError: there is no such file or folder.
    """
    name = next((name for name in BUNDLES if os.environ.get(name)), None)
    if name is None:
        return None
    path = os.environ[name]
    if not os.access(path, os.R_OK):
        raise SetupError(
            f"{name} names {path}, which cannot be read; name a file of certificates, or unset it ({PAGE})"
        )
    return path


@cache
def trust() -> ssl.SSLContext:
    """Whose certificates to trust.

    Raises:
        SetupError: the certificates that a variable names cannot be read.
    """
    import ssl

    import certifi

    bundle = certificates() or certifi.where()
    folder = os.path.isdir(bundle)  # noqa: PTH112
    try:
        return ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)
    except OSError:  # of ssl, too
        raise SetupError(f"{bundle} holds no certificates in PEM format; see {PAGE}") from None
