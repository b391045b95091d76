"""How long one tries, of the API and of content alike; imports nothing heavy."""

from __future__ import annotations

import random
from dataclasses import dataclass

RETRIED = (429, 500, 502, 503, 504)
REDIRECTED = (301, 302, 303, 307, 308)
HOPS = 5
"""Requests for one content, redirects followed."""
LATER = "run the command again later"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try.  As it stands, an archive that refuses connections has about a minute to come back."""

    attempts: int = 7
    """Requests for one answer, the first one included."""
    backoff: float = 1.0
    """Seconds before the second request, give or take half of it; doubled each time."""
    longest: float = 300.0
    """Seconds that the archive may ask to be left alone (Retry-After); with more, the answer is given up."""
    connect: float = 20.0
    """Seconds."""
    stall: float = 60.0
    """Seconds without a byte."""
    whole: float = 600.0
    """Seconds for one whole answer."""

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the ``attempt``-th request; never the same twice, so that clients part."""
        return float(self.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))


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
