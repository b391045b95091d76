"""A mirror on disk: where its parts are."""

from __future__ import annotations

import os
import re
from collections.abc import Container
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import DiskError, UsageError
from dandi_mirror.mirror.state import last_sync
from dandi_mirror.mirror.state.asset_cache import Known
from dandi_mirror.mirror.state.index import Failure, Index, Memory, Remembered
from dandi_mirror.mirror.state.members import check_place
from dandi_mirror.model import is_dandiset_id
from dandi_mirror.own import OwnPath, own_folder
from dandi_mirror.repo.git import lock
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.files import git_dir_of, has_ref, is_repository, read_ref
from dandi_mirror.repo.git.lock import Unfinished
from dandi_mirror.repo.git.placement import is_linked, why_strange, why_strange_git
from dandi_mirror.repo.git.sharing import sharing
from dandi_mirror.repo.git.superdataset import Superdataset

_MEMBER = re.compile(r"^\s*path = ([0-9]{6})$", re.M)

SUPERDATASET_PATIENCE = 120.0  # seconds; others hold that lock only while they write one commit


@dataclass(frozen=True, slots=True)
class Mirror:
    """The directory of a mirror; what is local and derived stands in ``.dandi-mirror``.

    Or a clone of one of its datasets, by itself: then that is in its git folder, and there is no superdataset.
    """

    path: Path
    alone: str = ""
    """The Dandiset of which ``path`` is a clone; empty for a mirror."""

    @property
    def own(self) -> OwnPath:
        """The folder of locks, index and temporary files."""
        return OwnPath(git_dir_of(self.path), ("dandi-mirror",)) if self.alone else own_folder(self.path)

    def make_own(self) -> None:
        """Make that folder, for a group to write if git is to make the repository so.

        Raises:
            DiskError: it cannot be made, or what stands there is not ours.
        """
        try:
            if not self.own.is_folder():
                self.own.make_folder(sharing(self.path))
        except OSError as error:
            raise DiskError.of(self.own, error) from error

    def folder(self, dandiset: str) -> str:
        """Where the dataset of a Dandiset is."""
        return str(self.path) if self.alone else f"{self.path}/{dandiset}"

    @property
    def index(self) -> Index:
        """The memory between runs."""
        return Index(self.own / "index.sqlite")

    def remember(self, dandiset: str, facts: Remembered) -> None:
        """Remember a Dandiset that a sync has completed, in its dataset and in the index.

        Raises:
            DiskError: one of the files cannot be written.
        """
        # the index last: as long as it is there, it counts, and must not be newer than what it may be made of
        git_dir = Path(self.folder(dandiset), ".git")
        if not self.is_strange(dandiset) and git_dir.is_dir():
            last_sync.write(git_dir, facts)
        self.index.put(dandiset, facts)

    def remember_failure(self, dandiset: str, failure: Failure) -> None:
        """Remember that a Dandiset could not be synced; what is known of it stays, in the index."""
        if not self.is_strange(dandiset):
            last_sync.forget(Path(self.folder(dandiset), ".git"), dandiset)
        self.index.fail(dandiset, failure)

    def remembered(self) -> tuple[Memory, bool]:
        """All that is remembered; and whether the index was lost, and the datasets have said it."""
        memory = self.index.read()
        if memory.dandisets:
            return memory, False
        found = ((dandiset, last_sync.read(self.path / dandiset / ".git", dandiset)) for dandiset in self.dandisets())
        said = {dandiset: facts for dandiset, facts in found if facts}
        return Memory(said), bool(said)

    def known(self, dandiset: str) -> Known:
        """What the last sync admitted of a draft."""
        return Known(self.own / "known" / f"{dandiset}.sqlite")

    @property
    def superdataset(self) -> Superdataset:
        """The repository at the top.

        Raises:
            UsageError: it would be another one.
        """
        if why := why_strange_git(str(self.path)):
            raise UsageError(f"{self.path} is no mirror of its own: {why}; name another folder: -d DIR")
        return Superdataset(self.path)

    def archive(self) -> str:
        """The API of the archive that this is a mirror of; empty where that is not known.  Starts no git."""
        return "" if why_strange_git(str(self.path)) else Superdataset(self.path).archive()

    def dataset(self, dandiset: str) -> Dataset:
        """The repository of one Dandiset.

        Raises:
            NotAMember: another one would be written to.
        """
        folder = Path(self.folder(dandiset))
        if not self.alone:
            check_place(folder)
        return Dataset(folder)

    def is_strange(self, dandiset: str) -> bool:
        """Whether something else stands where the dataset would be; :meth:`dataset` says what."""
        return not self.alone and bool(why_strange(self.folder(dandiset)))

    def lock(self, dandiset: str) -> AbstractContextManager[Unfinished | None]:
        """The lock of one Dandiset's dataset; yields the run before, if it did not come through."""
        return self.hold(dandiset, dandiset)

    def superdataset_lock(self) -> AbstractContextManager[Unfinished | None]:
        """The lock of the superdataset; waits for whoever holds it."""
        return self.hold("superdataset", "the superdataset", patience=SUPERDATASET_PATIENCE)

    def hold(self, name: str, what: str, *, patience: float = 0.0) -> AbstractContextManager[Unfinished | None]:
        """One of the mirror's locks; see :func:`dandi_mirror.repo.git.lock.hold`."""
        self.make_own()
        return lock.hold(self.own / "locks" / f"{name}.lock", what, patience=patience)

    def dandisets(self, besides: Container[str] = ()) -> list[str]:
        """The Dandisets that are in the mirror, by their folders, ``besides`` some."""
        if not self.path.is_dir():
            return []
        with os.scandir(self.path) as entries:
            found = [entry.name for entry in entries if entry.name not in besides and is_dandiset_id(entry.name)]
        return sorted(name for name in found if is_repository(f"{self.path}/{name}/.git"))

    def registered(self) -> list[str]:
        """The Dandisets that the superdataset names, whether they are installed here or not; starts no git."""
        try:
            return sorted(_MEMBER.findall((self.path / ".gitmodules").read_text(errors="replace")))
        except OSError:
            return []

    def ref(self, dandiset: str, name: str) -> str | None:
        """What a ref of a Dandiset's dataset holds; starts no git."""
        if not self.alone and is_linked(self.folder(dandiset)):
            return None
        return read_ref(f"{self.folder(dandiset)}/.git", name)

    def has_ref(self, dandiset: str, name: str) -> bool:
        """Whether a Dandiset's dataset has a ref; starts no git."""
        return has_ref(f"{self.folder(dandiset)}/.git", name)


def mirror_at(text: str) -> Mirror | None:
    """The mirror, or clone of one, of which the path ``text`` is the top."""
    path = Path(text).absolute()
    if not os.path.exists(path / ".git"):  # noqa: PTH110 (a text may be longer than a name can be)
        return None
    found = Mirror(path.resolve())
    return found if found.registered() or (found.own.is_folder() and found.dandisets()) else None


def mirror_of(folder: Path, dandiset: str) -> Mirror:
    """The mirror whose dataset a folder is; or the folder alone, as a clone."""
    inside = folder.name == dandiset and own_folder(folder.parent).is_folder()
    return Mirror(folder.parent) if inside else Mirror(folder, alone=dandiset)
