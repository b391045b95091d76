"""What a workflow over many files tells its command while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from dandi_mirror.errors import MirrorError


class Results(Protocol):
    """Takes what becomes of each file; ``cli/file_results.py`` prints it."""

    @property
    def dry_run(self) -> bool:
        """Whether the call only asks what would be done."""

    def file(self, path: str, status: str, message: str, size: int, code: int, facts: Mapping[str, object]) -> None:
        """Take what became of one file, which people know by ``path``; ``facts`` are the rest of its record."""

    def say(self, line: str) -> None:
        """Take something for people that is not about a file."""

    def progress(self, names: Iterable[str], size: int, moved: Callable[[], int]) -> AbstractContextManager[None]:
        """Show that some files are coming; ``moved`` says how many of ``size`` bytes have come."""

    def waiting(self, count: int) -> None:
        """Show that so many files are waited for, which another process is downloading; none: it goes on."""

    def counting(self, total: int) -> AbstractContextManager[Callable[[str], None]]:
        """Show how many files are done; call what this gives with each of them."""

    def ended_by(self, error: MirrorError) -> None:
        """Take an error that ends the run."""
