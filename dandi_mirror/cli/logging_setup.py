"""The log that ``-l`` turns on: of this program only, on stderr.

Only the logger ``dandi_mirror`` is set up, because libraries may log signed URLs.
"""

from __future__ import annotations

import logging

from dandi_mirror.text import plain

LOG = logging.getLogger("dandi_mirror")


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(plain(line) for line in super().format(record).split("\n"))


class _Lines(logging.Handler):
    """Writes like everything else, so that no line is glued to a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        from dandi_mirror.workflows.terminal import write_out

        try:
            write_out(self.format(record), err=True)
        except Exception:
            self.handleError(record)


def log_to_stderr(level: str) -> None:
    """Log to stderr from this level on."""
    handler = _Lines()
    handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(message)s"))
    LOG.handlers = [handler]
    LOG.propagate = False
    LOG.setLevel(level.upper())
