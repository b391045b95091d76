"""How to sync: the choices of the command line and the settings, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dandi_mirror.config import Settings

Progress = Callable[[str, str], None]
"""Called with a Dandiset and what the sync does with it now."""


def silent(dandiset: str, doing: str) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to sync each Dandiset."""

    versions: str = "all"
    """``all``, ``published``, ``latest`` or ``draft``."""
    mode: str = "auto"
    """``auto`` trusts what is remembered; ``force`` reads the draft again; ``verify`` every version too."""
    dry_run: bool = False
    allow_deletes: bool = False
    embargoed: bool = False
    """Mirror embargoed Dandisets, too, if the archive shows them."""
    hosts: frozenset[str] = frozenset()
    """Further hosts of content, from the setting ``content-hosts``."""
    accepted: frozenset[str] = frozenset()
    """Tagged versions that the archive has changed and that the user accepts as they are there now."""
    progress: Progress = silent
    zarr_repositories: str = "small"
    """Which Zarrs get a repository at once: ``none``, ``small`` or ``all``; others get one when somebody needs it."""
    small_entries: int = 1000
    """So many entries a small Zarr has at most."""
    work_tree: bool = True
    """Whether the files of a Dandiset that is new are checked out."""

    @classmethod
    def of(cls, settings: Settings) -> Options:
        """How the settings of a mirror want each Dandiset synced."""
        return cls(
            versions=settings.versions,
            embargoed=settings.embargoed,
            hosts=frozenset(settings.content_hosts),
            zarr_repositories=settings.zarr_repositories,
            small_entries=settings.zarr_small_entries,
            work_tree=settings.work_tree,
        )

    @property
    def branch(self) -> str:
        """The branch that the sync keeps: of the draft, or of the newest published version."""
        return "draft" if self.versions in {"all", "draft"} else "published"


@dataclass(frozen=True, slots=True)
class Pace:
    """How a run goes through many Dandisets."""

    jobs: int = 4
    """Dandisets at once, in threads."""
    scheduler: str = ""
    """Address of a Dask scheduler whose workers do the work; they must see the mirror at the same path."""
    recheck_days: int = 0
    """The run reads each Dandiset in full once in so many days; 0: never."""
    deadline: float | None = None
    """When the run ends, in the time of ``time.monotonic()``; None: when everything is done."""


def to_sync_embargoed(dandiset: str, settings: str = "dandi-mirror.toml") -> str:
    """What to type to sync an embargoed Dandiset: once, or in the file of ``settings`` for every sync."""
    return f"dandi-mirror sync {dandiset} --embargoed; for each sync: embargoed = true in {settings}"
