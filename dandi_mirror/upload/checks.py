"""Find the errors of files before they are sent: each file's own, and those that its BIDS dataset has about it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dandi_mirror.upload.read.findings import NOT_RUN, TOO_MANY
from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.upload.validate import bids_dataset

Finding = Mapping[str, Any]
GRAVE = frozenset({"ERROR", "CRITICAL"})
NOT_CHECKED = frozenset({NOT_RUN, TOO_MANY})
"""Findings about a whole dataset that leave open which of its files are valid."""


@dataclass(slots=True)
class UploadChecks:
    """The checks of one upload; each BIDS dataset is read once.  Thread-safe."""

    worker: Callable[[], Worker]
    root: Path
    """The top of the work tree."""
    _datasets: dict[str, list[Finding]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def errors(self, path: str) -> list[Finding]:
        """The findings that keep a file from being sent.

        Raises:
            FileError: the file or its dataset cannot be read.
        """
        description = bids_dataset(self.root, path)
        own = [] if path == description else self._findings(path)
        found = [*own, *filter(partial(_is_of, path), self._of_dataset(description))] if description else own
        return [one for one in found if one["severity"] in GRAVE]

    def _of_dataset(self, description: str) -> list[Finding]:
        with self._lock:
            if description not in self._datasets:
                self._datasets[description] = self._findings(description)
            return self._datasets[description]

    def _findings(self, path: str) -> list[Finding]:
        return list(self.worker().findings(self.root / path, path, self.root))


def _is_of(path: str, one: Finding) -> bool:
    return one["path"] == path or one["id"] in NOT_CHECKED
