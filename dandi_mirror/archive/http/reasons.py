"""Why no response came, in plain words, for the errors of requests, urllib3, http.client and the system."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dandi_mirror.archive.http.environment import PAGE, Proxy
from dandi_mirror.archive.http.retry import RETRIED
from dandi_mirror.errors import SetupError

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}
_ONLINE = f"is this machine online, and does it need a proxy ({PAGE})?"


class ConnectTimeout(TimeoutError):
    """The host did not answer the attempt to connect; requests has a class of this name, too."""


class Stalled(TimeoutError):
    """So few bytes come that the host counts as silent."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why no response came."""

    what: str
    remedy: str = ""
    unreachable: bool = False
    """Whether no host was reached."""

    @property
    def words(self) -> str:
        """The reason and the remedy."""
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


def explain(error: BaseException, host: str, proxy: Proxy | None = None) -> Reason:
    """Why ``host`` did not answer, directly or through ``proxy``; repeats no URL, because URLs may be signed.

    Raises:
        SetupError: another attempt would not help.
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


def wants_password(proxy: Proxy | None) -> SetupError:
    """The error for a proxy that answers with 407."""
    what = "does not accept the name and password" if proxy and proxy.headers else "wants a name and a password"
    return SetupError(
        f"{proxy.name if proxy else 'a proxy'} {what} (407); "
        f"write them into https_proxy and http_proxy: http://NAME:PASSWORD@HOST:PORT ({PAGE})"
    )


def _setup(causes: list[BaseException], host: str, proxy: Proxy | None) -> SetupError | None:
    """What the user has to change in the network settings, if that is the reason."""
    for cause in causes:
        if isinstance(cause, SetupError):
            return cause
        if type(cause).__name__ == "SSLCertVerificationError":
            return _untrusted(host, getattr(cause, "verify_message", "") or "verification failed")
        if type(cause).__name__ in {"InvalidSchema", "InvalidProxyURL", "ProxySchemeUnknown"}:
            return SetupError(f"the proxy for {host} has a URL that does not work; see {PAGE}")
    status = _refused_tunnel(causes)
    if status == 407:
        return wants_password(proxy)
    if status and proxy and status not in RETRIED:
        return SetupError(
            f"{proxy.name} does not let dandi-mirror reach {host} ({status}); ask its administrator ({PAGE})"
        )
    return None


def _untrusted(host: str, said: str) -> SetupError:
    return SetupError(
        f"the certificate of {host} is not trusted ({said}); if a proxy of your network decrypts connections, "
        f"run: export REQUESTS_CA_BUNDLE=FILE, with a file of the certificates to trust ({PAGE})"
    )


def _refused_tunnel(causes: list[BaseException]) -> int:
    """The status with which a proxy refused a tunnel; 0 if none did."""
    return next((int(found[1]) for cause in causes if (found := _TUNNEL.search(str(cause)))), 0)


def _unreached(cause: BaseException) -> Reason | None:
    """The reason why no host was reached, if the error says so."""
    if isinstance(cause, socket.gaierror):
        return Reason("name not found", _ONLINE, unreachable=True)
    if isinstance(cause, ConnectionRefusedError):
        return Reason("connection refused", "is this the right address, and is the server up?", unreachable=True)
    if isinstance(cause, OSError) and cause.errno in _UNREACHABLE:
        return Reason(f"it cannot be reached ({cause.strerror})", _ONLINE, unreachable=True)
    if type(cause).__name__ in {"ConnectTimeout", "ConnectTimeoutError"}:
        return Reason("no answer to the attempt to connect", _ONLINE)
    return None


def _broken(causes: list[BaseException]) -> Reason:
    """Why a connection broke."""
    names = {type(cause).__name__ for cause in causes}
    if "Stalled" in names:
        return Reason("it sends almost nothing")
    if any(isinstance(cause, TimeoutError) for cause in causes) or "ReadTimeoutError" in names:
        return Reason("it sent nothing in time")
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror:
            return Reason(str(cause.strerror))
    said = {
        "RemoteDisconnected": "it closed the connection before it answered",
        "IncompleteRead": "the response ended early",
    }
    return Reason(next((words for name, words in said.items() if name in names), "the connection failed"))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes, outermost first."""
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        more = [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
        waiting += [inner for inner in more if isinstance(inner, BaseException)]
