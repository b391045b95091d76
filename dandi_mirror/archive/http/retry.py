"""The retry policy, and the one loop that retries requests to the API and downloads alike; imports nothing heavy."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dandi_mirror.archive.http.wait_messages import WAIT_MESSAGES
from dandi_mirror.errors import MirrorError, PartError, SetupError, TemporaryError

RETRIED = (429, 500, 502, 503, 504)
REDIRECTED = (301, 302, 303, 307, 308)
HOPS = 5
"""Requests for one URL, with those that follow redirects."""
LATER = "run the command again later"
MOST_FAILURES = 8
"""After so many failed requests in a row, each with all its retries, a host gets no more requests in this run."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to try.  With the defaults, an archive that refuses connections has about a minute to come back."""

    attempts: int = 7
    """Requests for one response, including the first."""
    backoff: float = 1.0
    """Seconds before the second request, plus or minus half; doubled each time."""
    max_retry_after: float = 300.0
    """The longest pause, in seconds, that the archive may ask for (Retry-After); a longer one ends the attempts."""
    connect_timeout: float = 20.0
    """Seconds."""
    read_timeout: float = 60.0
    """Seconds without a byte."""
    total_timeout: float = 600.0
    """Seconds for one complete response."""

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the ``attempt``-th request; random, so that clients do not retry at the same moment."""
        return float(self.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))


class NoResponse(Exception):
    """No response came, and one may come if the request is made again."""

    def __init__(
        self, message: str, pause: float = 0.0, *, why: str = "", host: str = "", again: bool = True,
        not_sent: bool = False, unreachable: bool = False,
    ) -> None:  # fmt: skip
        """``why``: the reason alone, without the request."""
        super().__init__(message)
        self.why = why or message
        self.host = host
        """The host that did not respond, if it differs from the one in the :class:`HostState`."""
        self.pause = pause
        """Seconds that the host asks the program to wait."""
        self.again = again
        """Whether to make the request again."""
        self.not_sent = not_sent
        """Whether the host certainly did not act on the request."""
        self.unreachable = unreachable
        """Whether no host was reached: the name was not found, or the connection was refused."""
        self.progressed = False
        """Whether so much came that the attempts are counted from one again."""


class Redirected(PartError):
    """The response is a redirect; the message is its target, ``status`` its status."""

    def __init__(self, location: str, status: int) -> None:
        super().__init__(location)
        self.status = status


@dataclass(slots=True)
class HostState:
    """The state of one host; shared by the threads that send it requests."""

    name: str = "the archive"
    failures: int = 0
    """Requests in a row that failed, with all their retries."""
    not_before: float = 0.0
    """The time (:func:`time.monotonic`) before which it accepts no request."""
    given_up: MirrorError | None = None
    """Why it gets no more requests in this run."""

    def check(self, what: str) -> None:
        """Refuse to request ``what`` if the host has been given up.

        Raises:
            TemporaryError: it did not respond again and again.
            SetupError: the user has to change the network settings first.
        """
        if self.given_up is not None:
            raise type(self.given_up)(str(self.given_up))
        if self.failures >= MOST_FAILURES:
            raise TemporaryError(
                f"{what} was not requested: {self.name} did not answer {MOST_FAILURES} requests before it; {LATER}"
            )

    def wait(self, what: str, policy: RetryPolicy, sleep: Callable[[float], None]) -> None:
        """Wait until the host accepts requests again; it may have told another thread when."""
        pause = self.not_before - time.monotonic()
        if pause > policy.max_retry_after:
            raise TemporaryError(
                f"{what} was not requested: {self.name} accepts no request for {pause:.0f} seconds; {LATER}"
            )
        if pause > 0:
            sleep(pause + random.uniform(0, policy.backoff))


def with_retries(
    once: Callable[[], _T], policy: RetryPolicy, host: HostState, what: str,
    sleep: Callable[[float], None] = time.sleep,
) -> _T:  # fmt: skip
    """Call ``once`` until it returns or the policy gives up; its result.  ``what`` names the request in messages.

    Raises:
        NoResponse: no response came; the last reason.
        TemporaryError, SetupError: the host has been given up.
        and whatever else ``once`` raises.
    """
    host.check(what)
    attempt = 1
    while True:
        host.wait(what, policy, sleep)
        began = time.monotonic()
        try:
            answer = once()
        except NoResponse as missed:
            attempt = 1 if missed.progressed else attempt
            pause = 0.0 if missed.pause else policy.pause(attempt)
            _note(missed, host, began, pause)
            if not missed.again or attempt >= policy.attempts or missed.pause > policy.max_retry_after or host.given_up:
                host.failures += 1
                raise
            attempt += 1
            WAIT_MESSAGES.again(missed.host or host.name, missed.why, attempt, policy.attempts, pause or missed.pause)
            sleep(pause)
        except SetupError as error:
            host.given_up = error
            raise
        except MirrorError as error:
            # a redirect does not tell whether its target responds
            host.failures = host.failures if isinstance(error, Redirected) else 0
            WAIT_MESSAGES.answered()
            raise
        else:
            host.failures = 0
            WAIT_MESSAGES.answered()
            return answer


def _note(missed: NoResponse, host: HostState, began: float, pause: float) -> None:
    """Learn from a failed attempt when to send the host the next request, and whether to."""
    host.not_before = max(host.not_before, time.monotonic() + missed.pause)
    if missed.unreachable and WAIT_MESSAGES.is_enough(began, pause):
        # a person at the terminal should not have to wait for each request to each host
        host.given_up = TemporaryError(f"{missed.host or host.name}: {missed.why}; {LATER}")


def retry_after(header: str | None) -> float:
    """Seconds that a server asks clients to wait, in either form of the header; 0 without one."""
    if not header:
        return 0.0
    from urllib3.exceptions import InvalidHeader
    from urllib3.util.retry import Retry

    try:
        return Retry(retry_after_max=86400).parse_retry_after(header)
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0
