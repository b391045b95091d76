"""Making assets of blobs: adding, replacing, renaming, removing; none twice, whatever answer is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dandi_mirror.archive.http import Session
from dandi_mirror.errors import MirrorError


@dataclass(frozen=True, slots=True)
class Change:
    """An asset to be made; with ``instead_of``, it takes the place of one (a replacement, or a rename)."""

    metadata: Mapping[str, object]
    """Its record; ``path`` is where it will be."""
    blob: str
    """The blob's id."""
    instead_of: str = ""
    """The id of the asset that goes; empty for a new path."""

    @property
    def path(self) -> str:
        """Where it will be."""
        return str(self.metadata["path"])


@dataclass(frozen=True, slots=True)
class Removal:
    """An asset to be taken out of the draft."""

    asset_id: str
    path: str


@dataclass(frozen=True, slots=True)
class Registered:
    """It is done."""

    change: Change | Removal
    asset_id: str
    """Of the asset that is there now; empty after a removal."""


@dataclass(frozen=True, slots=True)
class Unregistered:
    """It could not be done."""

    change: Change | Removal
    error: MirrorError


def register(
    session: Session, dandiset: str, changes: Iterable[Change | Removal], *, jobs: int = 6
) -> Iterator[Registered | Unregistered]:
    """Change a draft, several assets at a time, and tell of each what became of it.

    What is in the way of another change (a path that is yet to be renamed, a file where a folder is to be) is done
    first; removals come after all that nothing is in the way of.  Two assets that swap contents are two replacements.

    Raises:
        CredentialsError: the archive does not let who asks; nothing else is asked.
    """
    raise NotImplementedError
