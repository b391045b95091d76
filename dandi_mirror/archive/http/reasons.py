"""Why an answer did not come, in plain words: of requests, urllib3, http.client and the system alike."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from dandi_mirror.archive.http.environment import PAGE, Proxy
from dandi_mirror.archive.http.retry import RETRIED
from dandi_mirror.errors import SetupError

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}
_ONLINE = f"is this machine online, and does it need a proxy ({PAGE})?"


class ConnectTimeout(TimeoutError):
    """No answer to the attempt to connect; requests has one of this name, too."""


class Stalled(TimeoutError):
    """So few bytes come that it is as if none did."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an answer did not come."""

    what: str
    remedy: str = ""
    away: bool = False
    """Whether nobody was reached."""

    @property
    def words(self) -> str:
        """What happened, and what to do."""
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


def reason(error: BaseException, host: str, proxy: Proxy | None = None) -> Reason:
    """Why ``host`` did not answer, by a proxy if there is one; no URL is repeated, for it may be signed.

    Raises:
        SetupError: to ask again will not help.
    """
    causes = list(_causes(error))
    if setup := _setup(causes, host, proxy):
        raise setup from None
    # what could not be reached is the proxy, if there is one
    whom = f"{proxy.name}: " if proxy else ""
    if found := next(filter(None, map(_unreached, causes)), None):
        return replace(found, what=whom + found.what)
    if proxy and (status := _refused_tunnel(causes)):
        return Reason(f"{proxy.name} answers with {status}")
    return _broken(causes)


def place(url: str) -> str:
    """The host of a URL as it is told to people: with its port, without a user's name."""
    return urlsplit(url).netloc.rpartition("@")[2]


def wants_password(proxy: Proxy | None) -> SetupError:
    """That a proxy answers with 407."""
    what = "does not take the name and password" if proxy and proxy.headers else "wants a name and a password"
    return SetupError(
        f"{proxy.name if proxy else 'a proxy'} {what} (407); "
        f"write them into https_proxy and http_proxy: http://NAME:PASSWORD@HOST:PORT ({PAGE})"
    )


def _setup(causes: list[BaseException], host: str, proxy: Proxy | None) -> SetupError | None:
    """What is wrong with how the network is set up here, if that is it."""
    for cause in causes:
        if isinstance(cause, SetupError):
            return cause
        if type(cause).__name__ == "SSLCertVerificationError":
            return _untrusted(host, getattr(cause, "verify_message", "") or "it does not verify")
        if type(cause).__name__ in {"InvalidSchema", "InvalidProxyURL", "ProxySchemeUnknown"}:
            return SetupError(f"{host} is to be asked by a proxy whose URL cannot be used; see {PAGE}")
    status = _refused_tunnel(causes)
    if status == 407:
        return wants_password(proxy)
    if status and proxy and status not in RETRIED:
        return SetupError(f"{proxy.name} does not let us reach {host} ({status}); ask whoever runs it ({PAGE})")
    return None


def _untrusted(host: str, said: str) -> SetupError:
    return SetupError(
        f"the certificate of {host} is not trusted ({said}); if a proxy of your network opens what is encrypted, "
        f"export REQUESTS_CA_BUNDLE=FILE, with a file of the certificates to trust ({PAGE})"
    )


def _refused_tunnel(causes: list[BaseException]) -> int:
    """The status by which a proxy refuses a tunnel; 0 if none did."""
    return next((int(found[1]) for cause in causes if (found := _TUNNEL.search(str(cause)))), 0)


def _unreached(cause: BaseException) -> Reason | None:
    """That nobody was reached, if that is what an error says."""
    if isinstance(cause, socket.gaierror):
        return Reason("name not found", _ONLINE, away=True)
    if isinstance(cause, ConnectionRefusedError):
        return Reason("connection refused", "is this the right address, and is the server up?", away=True)
    if isinstance(cause, OSError) and cause.errno in _UNREACHABLE:
        return Reason(f"no way leads there ({cause.strerror})", _ONLINE, away=True)
    if type(cause).__name__ in {"ConnectTimeout", "ConnectTimeoutError"}:
        return Reason("no answer to the attempt to connect", _ONLINE)
    return None


def _broken(causes: list[BaseException]) -> Reason:
    """What became of a connection that there was."""
    names = {type(cause).__name__ for cause in causes}
    if "Stalled" in names:
        return Reason("it has all but stalled")
    if any(isinstance(cause, TimeoutError) for cause in causes) or "ReadTimeoutError" in names:
        return Reason("no byte came in time")
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror:
            return Reason(str(cause.strerror))
    said = {"RemoteDisconnected": "it ended before it answered", "IncompleteRead": "it ended early"}
    return Reason(next((words for name, words in said.items() if name in names), type(causes[-1]).__name__))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised for, outermost first."""
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        more = [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
        waiting += [inner for inner in more if isinstance(inner, BaseException)]
