"""What became of the files that were organized."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Organized:
    """What became of one file."""

    source: Path
    target: str = ""
    """Its path in the Dandiset; empty if it gets none."""
    status: str = "ok"
    """DataLad's words: ``ok``; ``notneeded``: it is in its place; ``impossible``: it stays where it is; ``error``."""
    message: str = ""
    size: int = 0
    key: str = ""

    @property
    def exit_code(self) -> int:
        """The exit code for this file."""
        return 0 if self.status in {"ok", "notneeded"} else 3


def occupied(place: Path) -> str:
    """Why a file cannot get a name that another one has."""
    return f"{place} exists and is another file; nothing is overwritten"
