"""The working dataset: the clone of a Dandiset, or the mirror's own dataset, in which somebody is at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.mirror.state.layout import mirror_of
from dandi_mirror.mirror.sync.dandiset import repair_after_crash
from dandi_mirror.model import DRAFT
from dandi_mirror.repo.annex.clone import Clone


@dataclass(frozen=True, slots=True)
class Working:
    """A working dataset."""

    dandiset: str
    clone: Clone

    @property
    def folder(self) -> Path:
        """The top of its work tree."""
        return self.clone.path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the dataset's lock; what a killed run left half-done is made good.

        Raises:
            LockedError: another run holds it.
        """
        with mirror_of(self.folder, self.dandiset).lock(self.dandiset) as killed:
            if killed:
                repair_after_crash(self.clone.dataset, DRAFT, killed)
            yield


def working(path: Path) -> Working:
    """The working dataset that a folder or a file is in.

    Raises:
        UsageError: it is in none.
    """
    found = clone_at(str(path))
    if found is None:
        where = "you are" if path == Path() else f"{path} is"
        raise UsageError(f"{where} in no clone of a Dandiset; make one (datalad clone MIRROR/000123) and go there")
    clone = Clone(found.folder)
    clone.read_config()
    return Working(str(found.name.dandiset), clone)
