"""Which URLs the program may request: the public network, and private addresses only if the user has allowed them.

What a repository, a record or a response says never counts as the user's permission.  The user allows an address by
naming the archive (``-i``, the environment, the settings), by the setting ``content-hosts``, or by git's setting
``annex.security.allowed-ip-addresses``, which git-annex reads as well.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

ALL = frozenset({"all"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_LOCAL_ENDINGS = (".localhost", ".localdomain", ".local", ".internal")
_PLAIN_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class BadRedirect(ValueError):
    """The program must not follow this redirect; the message is the reason."""


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine, by one of the two names for which an archive may use plain http."""
    return host in _LOOPBACK


def is_at_loopback(url: str) -> bool:
    """The same of a URL."""
    return is_loopback(urlsplit(url).hostname)


def same_address(url: str, other: str) -> bool:
    """Whether two URLs are the same, by whichever of its names they call this machine."""
    one, two = urlsplit(url), urlsplit(other)
    if not (is_loopback(one.hostname) and is_loopback(two.hostname)):
        return url == other
    return (one.scheme, one.port, one.path) == (two.scheme, two.port, two.path)


def origin(url: str) -> str:
    """Scheme, host and port of a URL; the default port is left out."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != _DEFAULT_PORTS.get(parts.scheme) else "")


def host_of(url: str) -> str:
    """The host of a URL with its port, for a message: without a user name or password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def without_secrets(url: str) -> str:
    """A URL for a message: without user name, password and query, which may be signed."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{host_of(url)}{parts.path}"


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public network."""
    bare = _embedded_ipv4(ipaddress.ip_address(address))
    return bare.is_global and not bare.is_multicast


def is_allowed(address: str, allowed: frozenset[str]) -> bool:
    """Whether the program may connect to an IP address: a public one, or one of ``allowed`` (or ``all``)."""
    bare = ipaddress.ip_address(address.partition("%")[0])
    return bool({"all", address, str(bare), str(_embedded_ipv4(bare))} & allowed) or is_public(address)


def private_host(host: str) -> str:
    """The message for a host that the program must not connect to."""
    return (
        f"{host} is on this machine or network, and you have not allowed the program to connect to it: name the "
        "archive itself with -i, or the host of its content in the setting content-hosts, or run: "
        "git config --global annex.security.allowed-ip-addresses ADDRESS"
    )


@dataclass(frozen=True, slots=True)
class Allowed:
    """The hosts on this machine or network that the user lets the program connect to."""

    origins: frozenset[str] = frozenset()
    """Archives that the user named, in the form of :func:`origin`."""
    hosts: frozenset[str] = frozenset()
    """Other hosts, as ``host`` or ``host:port``, from the setting ``content-hosts``."""
    addresses: frozenset[str] = frozenset()
    """IP addresses, ``[IP]:port`` or ``all``, from ``annex.security.allowed-ip-addresses``."""

    @classmethod
    def named(cls, url: str, hosts: frozenset[str] = frozenset(), addresses: frozenset[str] = frozenset()) -> Allowed:
        """The archive at this URL, which the user named."""
        return cls(frozenset({origin(url)}), hosts, addresses)

    def at(self, url: str) -> frozenset[str]:
        """The private IP addresses at which the program may reach this URL's host, for :func:`is_allowed`."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
        if origin(url) in self.origins or {host, f"{host}:{port}"} & self.hosts:
            return ALL
        ending = f"]:{port}"
        return frozenset(text.removeprefix("[").removesuffix(ending) for text in self.addresses if _is_at(text, ending))

    def refuses(self, url: str, *, proxied: bool = False) -> bool:
        """Whether the spelling of a URL's host is enough to refuse it; no name is looked up.

        ``proxied``: a proxy will look the name up, so that nobody can check the address here.  Then names that are
        usual for private networks are refused, unless the user has named the host.
        """
        host = (urlsplit(url).hostname or "").rstrip(".")
        if host in {"localhost", "localhost.localdomain"} or host.endswith(".localhost"):
            return not is_allowed("127.0.0.1", self.at(url))
        found = _literal(host)
        if found is not None:
            return not is_allowed(str(found), self.at(url))
        return proxied and "all" not in self.at(url) and _may_be_local(host)


def refuse_url(url: str, allowed: Allowed, *, proxied: bool = False) -> str | None:
    """Why the program must not request a URL; None if it may, as far as the spelling tells.

    ``proxied``: see :meth:`Allowed.refuses`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "a URL that is malformed"
    if parts.scheme not in _DEFAULT_PORTS:
        # a URL without a scheme may hold anything, so the message does not repeat it
        kind = f"{parts.scheme}://" if parts.scheme else "a URL without a scheme"
        return f"only https:// and http:// URLs are downloaded, not {kind}"
    if not host or port == 0:
        return "a URL without a host or with port 0"
    return private_host(host) if allowed.refuses(url, proxied=proxied) else None


def is_inside(url: str, allowed: Allowed) -> bool:
    """Whether a URL's host is on this machine or network and not allowed; looks the name up.

    A name that cannot be looked up here counts as inside if it is usual for private networks: a proxy may know it.
    """
    if allowed.refuses(url):
        return True
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return allowed.refuses(url, proxied=True)
    return not any(is_allowed(str(at[0]), allowed.at(url)) for *_, at in found)


def redirect_target(here: str, location: str) -> str:
    """The URL that a redirect leads to: https, or plain http from this machine to this machine.

    Raises:
        BadRedirect: the program must not follow it.
    """
    try:
        there = urljoin(here, location)
        parts = urlsplit(there)
        plain = is_loopback(parts.hostname) and is_at_loopback(here)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise BadRedirect("the server redirects to a URL that is malformed") from None
    if not usable or parts.scheme not in ({"https", "http"} if plain else {"https"}):
        raise BadRedirect("the server redirects to a URL that is not https")
    return there


def _is_at(text: str, ending: str) -> bool:
    """Whether an entry of git-annex's setting counts for a port; an entry without a port counts for all ports."""
    return text.endswith(ending) or not text.startswith("[")


def _may_be_local(host: str) -> bool:
    """Whether a name may belong to a private network: one word, a local ending, or letters that can be disguised."""
    return not _PLAIN_NAME.fullmatch(host) or host.endswith(_LOCAL_ENDINGS)


def _literal(host: str) -> Address | None:
    """The IP address that a host is, in any spelling that the system accepts: 127.1, 0x7f000001, 0177.0.0.1."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeEncodeError):
        return None


def _embedded_ipv4(address: Address) -> Address:
    """The IPv4 address inside an IPv6 address, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
