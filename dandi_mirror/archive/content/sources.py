"""What all threads of a transfer know: how it may ask, how it went with each host, and a content's URLs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from dandi_mirror.addresses import Allowed
from dandi_mirror.archive.http.reasons import place
from dandi_mirror.archive.http.retry import LATER, Host, RetryPolicy
from dandi_mirror.errors import CredentialsError, MirrorError, PartError, TemporaryError

API_AT_ONCE = 6
"""Requests to the API at a time, however many connections there are to where content is."""


@dataclass(frozen=True, slots=True)
class Access:
    """How content may be asked for."""

    api_url: str = ""
    """The archive's API; the token goes there, and nowhere else."""
    token: str | None = None
    allowed: Allowed = field(default_factory=Allowed)
    """What may be asked on this machine or network; the public network may be."""
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    key: Callable[[], str | None] | None = None
    """Looks for a token, once, if the API refuses something and there was none."""


class Stopped(Exception):
    """The run is over; what has come is kept."""


@dataclass(slots=True)
class Source:
    """One content: its URLs that are left, and where redirects have led."""

    urls: list[str]
    size: int
    """Bytes."""
    led: dict[str, str] = field(default_factory=dict)
    """URL → where its redirects ended; presigned URLs are good for hours, so parts share them."""
    gone: set[str] = field(default_factory=set)
    """URLs whose redirects led to nothing once."""
    errors: list[MirrorError] = field(default_factory=list)
    """Why URLs are not asked any more."""

    def drop(self, url: str, error: MirrorError) -> None:
        """Ask this URL no more."""
        if url in self.urls:
            self.urls = [other for other in self.urls if other != url]
            self.errors.append(error)

    def failure(self) -> MirrorError:
        """One error for all of them; of the kind that leaves most hope."""
        if not self.errors:
            return PartError("no URL is known to fetch it from")
        hopeful = [
            error for kind in (TemporaryError, CredentialsError) for error in self.errors if isinstance(error, kind)
        ]
        kind = type([*hopeful, self.errors[-1]][0])
        said = [str(error) for error in self.errors]
        later = f"; {LATER}" if any(words.endswith(LATER) for words in said) else ""
        return kind("; ".join(dict.fromkeys(words.removesuffix(f"; {LATER}") for words in said)) + later)


class Hosts:
    """What all threads know of the hosts."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.stopped = threading.Event()
        self.api = urlsplit(access.api_url)
        self.token = access.token
        self._looked = access.key is None
        self._looking = threading.Lock()
        self._few = threading.BoundedSemaphore(API_AT_ONCE)
        self._hosts: dict[str, Host] = {}

    def host(self, origin: str) -> Host:
        """Of one origin."""
        return self._hosts.get(origin) or self._hosts.setdefault(origin, Host(place(origin)))

    def is_api(self, parts: SplitResult) -> bool:
        """Whether a URL is the API's own: same origin, and below its path."""
        same = (parts.scheme, parts.netloc) == (self.api.scheme, self.api.netloc)
        return bool(self.api.netloc) and same and parts.path.startswith(self.api.path + "/")

    def headers(self, parts: SplitResult) -> dict[str, str]:
        """What is sent with a request for a content's own URL."""
        return {"Authorization": f"token {self.token}"} if self.token and self.is_api(parts) else {}

    def found_token(self) -> bool:
        """Whether there is a token, after it has been looked for."""
        with self._looking:
            if not self._looked and not self.token and self.access.key:
                self.token = self.access.key()
            self._looked = True
        return bool(self.token)

    def turn(self, parts: SplitResult) -> AbstractContextManager[object]:
        """Wait for one's turn, where not all may ask at once."""
        return self._few if self.is_api(parts) else nullcontext()

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run is over."""
        if self.stopped.wait(seconds):
            raise Stopped


def origin(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def shown(url: str) -> str:
    """A URL without what may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{place(url)}{parts.path}"
