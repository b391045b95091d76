"""What the environment says about reaching a host: which proxy to use, and which certificates to trust.

API requests and downloads follow the same rules, those of requests.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from dandi_mirror.addresses import Allowed, refuse_url
from dandi_mirror.errors import SetupError

if TYPE_CHECKING:
    import ssl

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name the certificates to trust; the first one that is set counts."""
PAGE = "docs/proxies.md"


_PLACE = re.compile(r"[^/?#]*//[^/?#]*")
"""The scheme and the host of a URL, as they are written."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy through which to reach a host."""

    scheme: str
    host: str
    port: int
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """Name and password, if the variable has them."""

    @property
    def name(self) -> str:
        """What messages call it; nothing secret."""
        return f"the proxy {self.host}:{self.port}"


def proxy_for(url: str) -> Proxy | None:
    """The proxy for a URL, by ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``; None without one.

    Raises:
        SetupError: the variable does not hold the URL of a proxy that works here.
    """
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

    value = select_proxy(url, get_environ_proxies(url))
    # types-requests declares no types for this one
    with_scheme: str = prepend_scheme_if_needed(value, "http") if value else ""  # type: ignore[no-untyped-call]
    return _parsed(with_scheme, url) if value else None


def refuse_request(url: str, allowed: Allowed) -> str | None:
    """Why the program must not request a URL, whether directly or through a proxy; None if it may.

    Raises:
        SetupError: as :func:`proxy_for`.
    """
    return refuse_url(url, allowed) or (refuse_url(url, allowed, proxied=True) if proxy_for(url) else None)


class RequestRule:
    """As :func:`refuse_request`, for many URLs of few hosts: each host is looked at once."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._known: dict[str, str | None] = {}

    def refuses(self, url: str) -> str | None:
        """Why the program must not request a URL; None if it may."""
        found = _PLACE.match(url)
        place = found[0] if found else url
        if place not in self._known:
            self._known[place] = refuse_request(url, self._allowed)
        return self._known[place]


def _parsed(value: str, url: str) -> Proxy:
    from requests.utils import get_auth_from_url
    from urllib3.exceptions import LocationParseError
    from urllib3.util import make_headers, parse_url

    try:
        parts = parse_url(value)
    except LocationParseError:
        parts = parse_url("")
    scheme = parts.scheme or ""
    if not parts.host or scheme not in {"http", "https"}:
        # the value may hold a password, so the message does not repeat it
        what = f"a {scheme} proxy, which dandi-mirror cannot use" if scheme.startswith("socks") else "no URL of a proxy"
        raise SetupError(
            f"{url.partition(':')[0]}_proxy or all_proxy names {what}; write it as http://HOST:PORT ({PAGE})"
        )
    name, password = get_auth_from_url(value)
    headers = make_headers(proxy_basic_auth=f"{name}:{password}") if name else {}
    port = parts.port or (443 if scheme == "https" else 80)
    return Proxy(scheme, parts.host.strip("[]"), port, {key.title(): value for key, value in headers.items()})


def certificates() -> str | None:
    """The file or folder of trusted certificates that a variable names; None if no variable is set.

    Raises:
        SetupError: the program cannot read that file or folder.
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
def tls_context() -> ssl.SSLContext:
    """The certificates to trust, ready for a TLS connection.

    Raises:
        SetupError: the program cannot read the certificates that a variable names.
    """
    import ssl

    import certifi

    bundle = certificates() or certifi.where()
    folder = os.path.isdir(bundle)  # noqa: PTH112
    try:
        return ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)
    except OSError:  # ssl.SSLError is one, too
        raise SetupError(f"{bundle} holds no certificates in PEM format; see {PAGE}") from None
