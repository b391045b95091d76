"""What ``-l`` turns on: this program's own log, on stderr.

Only the logger ``dandi_mirror`` is set up: what libraries log can hold signed URLs.
"""

from __future__ import annotations

import logging

from dandi_mirror.text import plain

LOG = logging.getLogger("dandi_mirror")


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(plain(line) for line in super().format(record).split("\n"))


def set_up(level: str) -> None:
    """Log to stderr from this level on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(message)s"))
    LOG.handlers = [handler]
    LOG.propagate = False
    LOG.setLevel(level.upper())
