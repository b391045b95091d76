"""Which addresses may be asked: those of the public network, and others only where a person has said so.

What a repository, a record or an answer says never counts as a person's word.  The word of a person is: the archive
that they name (``-i``, the environment, the settings), the setting ``content-hosts``, and git's setting
``annex.security.allowed-ip-addresses``, which git-annex reads as well.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

ALL = frozenset({"all"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_USUAL = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotFollowed(ValueError):
    """A redirect that must not be followed; the message is the reason."""


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine, as an archive may be named here: then plain http will do."""
    return host in _LOOPBACK


def origin(url: str) -> str:
    """Scheme, host and port of a URL; the usual port is left out."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != _USUAL.get(parts.scheme) else "")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public network."""
    bare = _inner(ipaddress.ip_address(address.partition("%")[0]))
    return bare.is_global and not bare.is_multicast


def is_allowed(address: str, allowed: frozenset[str]) -> bool:
    """Whether an IP address may be asked: one of the public network, or one of ``allowed`` (or ``all``)."""
    bare = ipaddress.ip_address(address.partition("%")[0])
    return bool({"all", address, str(bare), str(_inner(bare))} & allowed) or is_public(address)


def refusal(host: str) -> str:
    """What is said of a host that must not be asked."""
    return (
        f"{host} is on this machine or network, where only what you allow is asked: name the archive itself by -i, the "
        "host of its content in the setting content-hosts, or run: "
        "git config --global annex.security.allowed-ip-addresses ADDRESS"
    )


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a person lets us ask on this machine or network."""

    origins: frozenset[str] = frozenset()
    """Archives that they named, as :func:`origin` has it."""
    hosts: frozenset[str] = frozenset()
    """Further ``host`` or ``host:port``, from the setting ``content-hosts``."""
    addresses: frozenset[str] = frozenset()
    """IP addresses, ``[IP]:port`` or ``all``, from ``annex.security.allowed-ip-addresses``."""

    @classmethod
    def named(cls, url: str, hosts: frozenset[str] = frozenset(), addresses: frozenset[str] = frozenset()) -> Allowed:
        """The archive at this URL, which a person named."""
        return cls(frozenset({origin(url)}), hosts, addresses)

    def at(self, url: str) -> frozenset[str]:
        """The IP addresses beside the public ones at which the host of this URL may be asked; for `is_allowed`."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _USUAL.get(parts.scheme, 0)
        if origin(url) in self.origins or {host, f"{host}:{port}"} & self.hosts:
            return ALL
        ends = f"]:{port}"
        return frozenset(text.removeprefix("[").removesuffix(ends) for text in self.addresses if _is_at(text, ends))

    def refuses(self, url: str) -> bool:
        """Whether the very spelling of a URL's host says that it must not be asked; no name is looked up."""
        host = urlsplit(url).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return not is_allowed("127.0.0.1", self.at(url))
        found = _literal(host)
        return found is not None and not is_allowed(str(found), self.at(url))


def inside(url: str, allowed: Allowed) -> bool:
    """Whether a URL's host is on this machine or network and must not be asked; its name is looked up."""
    if allowed.refuses(url):
        return True
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return not any(is_allowed(str(at[0]), allowed.at(url)) for *_, at in found)


def followed(here: str, location: str) -> str:
    """Where a redirect leads; to plain http only from this machine to this machine.

    Raises:
        NotFollowed: it must not be followed.
    """
    try:
        there = urljoin(here, location)
        parts = urlsplit(there)
        plain = is_loopback(parts.hostname) and is_loopback(urlsplit(here).hostname)
        may_be = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise NotFollowed("a redirect that leads nowhere") from None
    if not may_be or parts.scheme not in ({"https", "http"} if plain else {"https"}):
        raise NotFollowed("a redirect to what is not https")
    return there


def _is_at(text: str, ends: str) -> bool:
    """Whether an entry of git-annex's setting counts for a port: one without a port counts for all."""
    return text.endswith(ends) or not text.startswith("[")


def _literal(host: str) -> Address | None:
    """The IP address that a host is, in any spelling that the system takes: 127.1, 0x7f000001, 0177.0.0.1."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeEncodeError):
        return None


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
