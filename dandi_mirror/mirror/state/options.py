"""How to sync: what the command line and the settings say, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str, str], None]
"""Called with a Dandiset and what is being done to it."""


def silent(dandiset: str, doing: str) -> None:
    """A progress that nobody sees."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to sync."""

    versions: str = "all"
    """``all``, ``published``, ``latest`` or ``draft``."""
    mode: str = "auto"
    """``auto`` trusts what is remembered; ``force`` reads the draft again; ``verify`` every version too."""
    dry_run: bool = False
    allow_deletes: bool = False
    embargoed: bool = False
    """Mirror what is under embargo, too, as far as the archive shows it."""
    hosts: frozenset[str] = frozenset()
    """Further hosts of content, from the settings."""
    accepted: frozenset[str] = frozenset()
    """Versions of which the archive's new answer is to be taken, though they are tagged otherwise."""
    progress: Progress = silent

    @property
    def branch(self) -> str:
        """The branch that is kept: of the draft, or of the newest published version."""
        return "draft" if self.versions in {"all", "draft"} else "published"


@dataclass(frozen=True, slots=True)
class Pace:
    """How a run over many Dandisets goes about it."""

    jobs: int = 4
    """Dandisets at once, in threads."""
    scheduler: str = ""
    """Address of a Dask scheduler whose workers do it instead; they must see the mirror at the same path."""
    recheck_days: int = 0
    """Each Dandiset is read in full once in so many days; 0: never."""
    deadline: float | None = None
    """When to end, by ``time.monotonic()``; None: when all is done."""
