"""How long one tries, and the one loop that tries again: of the API and of content alike; imports nothing heavy."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dandi_mirror.archive.http.notices import NOTICES
from dandi_mirror.errors import MirrorError, PartError, SetupError, TemporaryError

RETRIED = (429, 500, 502, 503, 504)
REDIRECTED = (301, 302, 303, 307, 308)
HOPS = 5
"""Requests for one content, redirects followed."""
LATER = "run the command again later"
MISSED = 8
"""After so many answers in a row that a host did not give, with all retries, it is not asked again in this run."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to try.  As it stands, an archive that refuses connections has about a minute to come back."""

    attempts: int = 7
    """Requests for one answer, the first one included."""
    backoff: float = 1.0
    """Seconds before the second request, give or take half of it; doubled each time."""
    max_retry_after: float = 300.0
    """Seconds that the archive may ask to be left alone (Retry-After); with more, the answer is given up."""
    connect_timeout: float = 20.0
    """Seconds."""
    read_timeout: float = 60.0
    """Seconds without a byte."""
    total_timeout: float = 600.0
    """Seconds for one whole answer."""

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the ``attempt``-th request; never the same twice, so that clients part."""
        return float(self.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))


class Missed(Exception):
    """An answer did not come, and may come if the host is asked again."""

    def __init__(
        self, message: str, pause: float = 0.0, *, why: str = "", host: str = "", again: bool = True,
        unheard: bool = False, away: bool = False,
    ) -> None:  # fmt: skip
        """``why`` is the reason alone, without what was asked for."""
        super().__init__(message)
        self.why = why or message
        self.host = host
        """Who did not give it, where the host's own name does not say it."""
        self.pause = pause
        """Seconds that the host asks to wait."""
        self.again = again
        """Whether to ask again."""
        self.unheard = unheard
        """Whether the request was certainly not acted upon."""
        self.away = away
        """Whether nobody was reached: the name is not found, or the connection is refused."""
        self.advanced = False
        """Whether so much came that counting begins anew."""


class Moved(PartError):
    """It is at another URL, which is what this says; ``status`` is the answer's."""

    def __init__(self, location: str, status: int) -> None:
        super().__init__(location)
        self.status = status


@dataclass(slots=True)
class Host:
    """How it went with one host; shared by the threads that ask it."""

    name: str = "the archive"
    missed: int = 0
    """Answers in a row that it did not give."""
    resume: float = 0.0
    """The moment, of :func:`time.monotonic`, before which it wants no request."""
    given_up: MirrorError | None = None
    """Why it is not asked again in this run."""

    def check(self, what: str) -> None:
        """Whether it may still be asked for ``what``.

        Raises:
            TemporaryError: it did not answer again and again.
            SetupError: it cannot be asked as things are set up.
        """
        if self.given_up is not None:
            raise type(self.given_up)(str(self.given_up))
        if self.missed >= MISSED:
            raise TemporaryError(
                f"{what} is not asked for: no answer to the {MISSED} requests of {self.name} before it; {LATER}"
            )

    def wait(self, what: str, policy: RetryPolicy, sleep: Callable[[float], None]) -> None:
        """Wait until it wants to be asked again, which it may have told another thread."""
        pause = self.resume - time.monotonic()
        if pause > policy.max_retry_after:
            raise TemporaryError(f"{what} is not asked for: no request is wanted for {pause:.0f} seconds; {LATER}")
        if pause > 0:
            sleep(pause + random.uniform(0, policy.backoff))


def ask_again(
    once: Callable[[], Answer], policy: RetryPolicy, host: Host, what: str,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:  # fmt: skip
    """What ``once`` returns, tried until it does or the policy ends; ``what`` it asks for stands in messages.

    Raises:
        Missed: no answer came; the last reason.
        TemporaryError, SetupError: the host is not asked any more.
        and what ``once`` raises besides Missed.
    """
    host.check(what)
    attempt = 1
    while True:
        host.wait(what, policy, sleep)
        began = time.monotonic()
        try:
            answer = once()
        except Missed as missed:
            attempt = 1 if missed.advanced else attempt
            pause = 0.0 if missed.pause else policy.pause(attempt)
            _note(missed, host, began, pause)
            if not missed.again or attempt >= policy.attempts or missed.pause > policy.max_retry_after or host.given_up:
                host.missed += 1
                raise
            attempt += 1
            NOTICES.again(missed.host or host.name, missed.why, attempt, policy.attempts, pause or missed.pause)
            sleep(pause)
        except SetupError as error:
            host.given_up = error
            raise
        except MirrorError as error:
            # to be sent elsewhere says nothing of what is there
            host.missed = host.missed if isinstance(error, Moved) else 0
            NOTICES.answered()
            raise
        else:
            host.missed = 0
            NOTICES.answered()
            return answer


def _note(missed: Missed, host: Host, began: float, pause: float) -> None:
    """What a miss says of the host: when to ask it again, and whether to."""
    host.resume = max(host.resume, time.monotonic() + missed.pause)
    if missed.away and NOTICES.is_enough(began, pause):
        # whoever waits at the terminal is not to wait for each request, and for each host
        host.given_up = TemporaryError(f"{missed.host or host.name}: {missed.why}; {LATER}")


def retry_after(header: str | None) -> float:
    """Seconds that a server asks to wait, in either of the header's two spellings; 0 if it asks for none."""
    if not header:
        return 0.0
    from urllib3.exceptions import InvalidHeader
    from urllib3.util.retry import Retry

    try:
        return Retry(retry_after_max=86400).parse_retry_after(header)
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0
