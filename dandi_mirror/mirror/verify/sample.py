"""Which keys a verification takes, so that shares of several runs together cover all of them.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

_WHOLE = 1 << 32


@dataclass(frozen=True, slots=True)
class Window:
    """A part of all keys, which are spread evenly over the numbers from 0 to 1 by the digest of their names."""

    begin: float
    """From 0 to 1."""
    share: float
    """From 0 to 1."""

    def has(self, key: str) -> bool:
        """Whether a key is in this part."""
        place = int.from_bytes(sha256(key.encode()).digest()[:4], "big") / _WHOLE
        return (place - self.begin) % 1.0 < self.share or self.share >= 1

    @property
    def end(self) -> float:
        """Where the next run begins."""
        return round((self.begin + self.share) % 1.0, 9)


NONE = Window(0.0, 0.0)
ALL = Window(0.0, 1.0)
