"""The differences that a verification finds, as values: what differs, where, and what to type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dandi_mirror.errors import IntegrityError, PartError


class DifferenceKind(StrEnum):
    """What a difference is about."""

    OBJECTS = "objects"
    """An object of git is missing, empty or corrupt; or the file that holds it is."""
    REFS = "refs"
    """A branch or a tag of git cannot be read, is lost, or points to something else than an object that is there."""
    TAG = "tag"
    """A published version and its tag disagree, or one of the two is missing."""
    DRAFT = "draft"
    """The branch does not have the files that the archive lists."""
    RECORD = "record"
    """A file and its record in ``.dandi`` disagree, or one of the two is missing."""
    LOG = "log"
    """A location or URL log of the git-annex branch is missing, cannot be read, or names another host."""
    WORKTREE = "worktree"
    """git's index is damaged."""
    SUPERDATASET = "superdataset"
    """The superdataset does not name a dataset, or names another commit of it."""
    MEMORY = "memory"
    """What the mirror remembers of a Dandiset is lost or is not what the dataset has."""
    LOCK = "lock"
    """A run was killed, or a lock file of git was left behind."""
    PERMISSIONS = "permissions"
    """Other users may read the content of an embargoed Dandiset."""
    SECRET = "secret"
    """A file contains an API key or a signed URL."""
    URL = "url"
    """A URL of git-annex does not give the content."""
    CONTENT = "content"
    """Content that is here is damaged, or the location log is wrong about it."""
    MANIFEST = "manifest"
    """The manifest of a Zarr's state is missing or damaged, or no dataset names the state."""
    ZARR = "zarr"
    """The repository of a Zarr is missing or damaged, or is not what the manifests give."""
    MIRROR = "mirror"
    """Another mirror has something else."""


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One difference."""

    kind: DifferenceKind
    path: str
    """A file of the dataset, a ref, or a file of the mirror; print it with ``printable()``."""
    what: str
    remedy: str = ""
    """What to type; empty if that is :attr:`.Verified.repair`."""
    sync_fixes: bool = False
    """Whether a sync fixes it; else the integrity of the mirror is in question."""

    @property
    def exit_code(self) -> int:
        """3 if a sync fixes it, else 7."""
        return PartError.exit_code if self.sync_fixes else IntegrityError.exit_code


def repair_command(dandiset: str = "", *, content: bool = False) -> str:
    """What to type to repair a Dandiset's dataset; without one, everything.  ``content`` is only hashed on request."""
    return " ".join(filter(None, ("dandi-mirror verify", dandiset, "--content 1" if content else "", "--repair")))


def fixed_by_sync(kind: DifferenceKind, path: str, what: str, remedy: str) -> Difference:
    """A difference that a sync fixes, or that needs nothing: the integrity of the mirror is not in question."""
    return Difference(kind, path, what, remedy, sync_fixes=True)


def exit_code_of(differences: Iterable[Difference]) -> int:
    """7 if integrity is in question, 3 if a sync fixes all, 0 if there are none."""
    return max((found.exit_code for found in differences), default=0)
