"""What the threads of a transfer share: its settings, the state of each host, and the URLs of each file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from dandi_mirror.addresses import Allowed, host_of
from dandi_mirror.archive.http.retry import LATER, HostState, RetryPolicy
from dandi_mirror.errors import CredentialsError, MirrorError, PartError, TemporaryError

API_AT_ONCE = 6
"""Requests to the API at a time, however many connections there are to the hosts of content."""


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """What a transfer needs to know to download files."""

    api_url: str = ""
    """The archive's API; the token is sent there, and nowhere else."""
    token: str | None = None
    allowed: Allowed = field(default_factory=Allowed)
    """The private hosts that the user has allowed; public hosts need no permission."""
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    key: Callable[[], str | None] | None = None
    """Looks for a token, once, if the API refuses a request that was made without one."""


class TransferStopped(Exception):
    """The run is over; partial files are kept."""


@dataclass(slots=True)
class ContentUrls:
    """The URLs of one file that may still work, and the targets of their redirects."""

    urls: list[str]
    size: int
    """Bytes."""
    led: dict[str, str] = field(default_factory=dict)
    """URL → the last target of its redirects; presigned URLs are valid for hours, so parts share them."""
    gone: set[str] = field(default_factory=set)
    """URLs whose redirects led to a 404 once."""
    errors: list[MirrorError] = field(default_factory=list)
    """Why URLs were dropped."""

    def drop(self, url: str, error: MirrorError) -> None:
        """Do not request this URL again."""
        if url in self.urls:
            self.urls = [other for other in self.urls if other != url]
            self.errors.append(error)

    def failure(self) -> MirrorError:
        """One error for all URLs, of the kind that is most likely to go away."""
        if not self.errors:
            return PartError("no URL is known for this file")
        hopeful = [
            error for kind in (TemporaryError, CredentialsError) for error in self.errors if isinstance(error, kind)
        ]
        kind = type([*hopeful, self.errors[-1]][0])
        said = [str(error) for error in self.errors]
        later = f"; {LATER}" if any(words.endswith(LATER) for words in said) else ""
        return kind("; ".join(dict.fromkeys(words.removesuffix(f"; {LATER}") for words in said)) + later)


class TransferState:
    """What the threads of a transfer know about the hosts and the token."""

    def __init__(self, settings: TransferSettings) -> None:
        self.settings = settings
        self.stopped = threading.Event()
        self.api = urlsplit(settings.api_url)
        self.token = settings.token
        self._looked = settings.key is None
        self._looking = threading.Lock()
        self._few = threading.BoundedSemaphore(API_AT_ONCE)
        self._hosts: dict[str, HostState] = {}

    def host(self, parts: SplitResult) -> HostState:
        """The state of a URL's host."""
        place = f"{parts.scheme}://{parts.netloc}"
        return self._hosts.get(place) or self._hosts.setdefault(place, HostState(host_of(place)))

    def is_api(self, parts: SplitResult) -> bool:
        """Whether a URL is the API's own: the same origin, and below the API's path."""
        same = (parts.scheme, parts.netloc) == (self.api.scheme, self.api.netloc)
        return bool(self.api.netloc) and same and parts.path.startswith(self.api.path + "/")

    def headers(self, parts: SplitResult) -> dict[str, str]:
        """The headers for a URL that is no target of a redirect: the token, for the API only."""
        return {"Authorization": f"token {self.token}"} if self.token and self.is_api(parts) else {}

    def found_token(self) -> bool:
        """Look for a token, if that has not been done; whether there is one."""
        with self._looking:
            if not self._looked and not self.token and self.settings.key:
                self.token = self.settings.key()
            self._looked = True
        return bool(self.token)

    def api_slot(self, parts: SplitResult) -> AbstractContextManager[object]:
        """Wait until there are few enough requests to the API; other hosts have no limit."""
        return self._few if self.is_api(parts) else nullcontext()

    def sleep(self, seconds: float) -> None:
        """Wait; raises TransferStopped when the run is over."""
        if self.stopped.wait(seconds):
            raise TransferStopped
