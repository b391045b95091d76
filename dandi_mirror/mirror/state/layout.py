"""A mirror on disk: the paths of its parts, its locks, and what it remembers."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Container
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.errors import DiskError, UsageError
from dandi_mirror.files.abilities import lacks
from dandi_mirror.files.opening import read_file
from dandi_mirror.files.own import OwnPath, own_folder
from dandi_mirror.mirror.state import last_sync
from dandi_mirror.mirror.state.archive_note import check_note, read_note, write_note
from dandi_mirror.mirror.state.index import Index
from dandi_mirror.mirror.state.members import check_place
from dandi_mirror.mirror.state.remembered import Failure, Memory, RememberedDandiset
from dandi_mirror.model import Instance, is_dandiset_id
from dandi_mirror.repo.git import lock
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.disk import folder_permissions, make_shared_folder, share_as
from dandi_mirror.repo.git.files import git_dir_of, has_ref, is_repository, read_ref
from dandi_mirror.repo.git.lock import UnfinishedRun
from dandi_mirror.repo.git.placement import is_linked, left_behind, why_strange, why_strange_git
from dandi_mirror.repo.git.superdataset import Superdataset

if TYPE_CHECKING:
    # most commands need none of them, and to import them takes as long as all that such a command does
    from dandi_mirror.mirror.state.asset_cache import AssetCache
    from dandi_mirror.mirror.state.copies import CopiesFile
    from dandi_mirror.mirror.state.part_totals import PartTotalsFile
    from dandi_mirror.mirror.state.verified import Verifications
    from dandi_mirror.mirror.zarr.manifests import Manifests

_MEMBER = re.compile(r"^\s*path = ([0-9]{6})$", re.M)

SUPERDATASET_PATIENCE = 120.0  # seconds; others hold that lock only while they write one commit


@dataclass(frozen=True, slots=True)
class Mirror:
    """The folder of a mirror; ``.dandi-mirror`` has the files that are local and can be made again.

    Or a single clone of a dataset: then these files are in its git folder, and there is no superdataset.
    """

    path: Path
    alone: str = ""
    """The Dandiset of which ``path`` is a clone; empty for a mirror."""

    @property
    def own(self) -> OwnPath:
        """The folder of locks, index and temporary files."""
        return OwnPath(git_dir_of(self.path), ("dandi-mirror",)) if self.alone else own_folder(self.path)

    def make_own(self) -> None:
        """Make that folder; a group may write to it if git's settings make the repository so.

        From then on, everything that the process makes is for those to whom this folder is open.

        Raises:
            DiskError: the folder cannot be made, or something else is at its path.
        """
        try:
            if not self.own.is_folder():
                sharing = folder_permissions(self.path)
                if not self.path.exists():
                    make_shared_folder(self.path, sharing)
                self.own.make_folder(sharing)
            share_as(self.own.path.stat().st_mode)
        except OSError as error:
            raise DiskError.of(self.own, error) from error

    def check_disk(self) -> None:
        """Refuse a disk on which git-annex would not keep the branch checked out that a sync writes.

        Raises:
            DiskError: it has no symbolic links, or no file permissions.
        """
        if lacking := lacks(self.own.path if self.own.is_folder() else self.path):
            raise DiskError(
                f"{self.path}: this disk has no {lacking}, and a mirror needs them; name a folder on another disk: "
                "-d DIR; on this disk you can use clones of a mirror (datalad clone), and dandi-mirror download"
            )

    @property
    def verifications(self) -> Verifications:
        """What the mirror remembers of its verifications."""
        from dandi_mirror.mirror.state.verified import Verifications

        return Verifications(self.own / "verified.sqlite")

    @property
    def copies(self) -> CopiesFile:
        """What the mirror remembers of the copies that its siblings have."""
        from dandi_mirror.mirror.state.copies import CopiesFile

        return CopiesFile(self.own / "copies.sqlite")

    def folder(self, dandiset: str) -> str:
        """The path of a Dandiset's dataset."""
        return str(self.path) if self.alone else f"{self.path}/{dandiset}"

    @property
    def index(self) -> Index:
        """What the mirror remembers of all Dandisets."""
        return Index(self.own / "index.sqlite")

    def remember(self, dandiset: str, facts: RememberedDandiset) -> None:
        """Remember a Dandiset that a sync has completed, in its dataset and in the index.

        Raises:
            DiskError: one of the files cannot be written.
        """
        # the index last: while it exists it counts, so it must not be newer than the files from which it can be made
        git_dir = Path(self.folder(dandiset), ".git")
        if not self.is_strange(dandiset) and git_dir.is_dir():
            last_sync.write(git_dir, facts)
        self.index.put(dandiset, facts)

    def remember_failure(self, dandiset: str, failure: Failure) -> None:
        """Remember that a Dandiset could not be synced now; the index keeps everything else that it has of it."""
        if not self.is_strange(dandiset):
            last_sync.forget(Path(self.folder(dandiset), ".git"), dandiset)
        self.index.fail(dandiset, replace(failure, when=time.time()))

    def remembered(self) -> tuple[Memory, bool]:
        """Everything that is remembered; and whether the index was lost, so that this comes from the datasets."""
        memory = self.index.read()
        if memory.dandisets:
            return memory, False
        found = ((dandiset, self.last_sync(dandiset)) for dandiset in self.dandisets())
        said = {dandiset: facts for dandiset, facts in found if facts}
        return Memory(said, spoilt=memory.spoilt), bool(said)

    def last_sync(self, dandiset: str) -> RememberedDandiset | None:
        """What the dataset itself has kept of its last sync; None if nothing, or if something else is at its path."""
        return None if self.is_strange(dandiset) else last_sync.read(Path(self.folder(dandiset), ".git"), dandiset)

    @property
    def manifests(self) -> Manifests:
        """The manifests of Zarrs: in a mirror beside its datasets, of a clone in its git folder."""
        from dandi_mirror.mirror.zarr.manifests import Manifests

        return Manifests(self.own if self.alone else self.path)

    def asset_cache(self, dandiset: str) -> AssetCache:
        """The assets of a draft as the last sync admitted them."""
        from dandi_mirror.mirror.state.asset_cache import AssetCache

        return AssetCache(self.own / "known" / f"{dandiset}.sqlite")

    @property
    def part_totals(self) -> PartTotalsFile | None:
        """What is remembered of the files of records; a clone, and a mirror of another program's, remember nothing."""
        from dandi_mirror.mirror.state.part_totals import PartTotalsFile

        return None if self.alone or not self.own.is_folder() else PartTotalsFile(self.own / "totals.sqlite")

    @property
    def superdataset(self) -> Superdataset:
        """The repository at the top.

        Raises:
            UsageError: git would use another repository there.
        """
        if why := why_strange_git(str(self.path)):
            raise UsageError(f"{self.path} is no mirror of its own: {why}; name another folder: -d DIR")
        return Superdataset(self.path)

    def archive(self) -> str:
        """The API of the archive that this mirrors; empty if that is not known.

        Starts no git, unless no run has come to its end here.
        """
        if why_strange_git(str(self.path)):
            return ""
        return Superdataset(self.path).archive() or (note.api_url if (note := read_note(self._note)) else "")

    def note_archive(self, instance: Instance) -> None:
        """Note which archive this mirrors, before anything of it is written here.

        Raises:
            UsageError: it mirrors another one.
            DiskError: the note cannot be written.
        """
        if self.alone or Superdataset(self.path).archive():
            return
        with self.hold("archive", "the note of its archive", wait=SUPERDATASET_PATIENCE):
            write_note(self._note, instance)

    def check_archive(self, dataset_id: str) -> None:
        """Refuse the mirror of another archive; ``dataset_id`` is the id of this archive's superdataset.

        Raises:
            UsageError: it is one, or the folder is something else.
        """
        self.superdataset.check_is_ours(dataset_id)
        if not self.superdataset.head():
            check_note(self._note, read_note(self._note), dataset_id)

    @property
    def _note(self) -> OwnPath:
        return self.own / "archive"

    def dataset(self, dandiset: str) -> Dataset:
        """The repository of one Dandiset.

        Raises:
            NotAMember: a sync would write to another repository.
        """
        folder = Path(self.folder(dandiset))
        if not self.alone:
            check_place(folder)
        return Dataset(folder)

    def is_strange(self, dandiset: str) -> bool:
        """Whether something else is at the dataset's path; :meth:`dataset` says what."""
        return not self.alone and bool(why_strange(self.folder(dandiset)))

    def lock(self, dandiset: str) -> AbstractContextManager[UnfinishedRun | None]:
        """Hold the lock of one Dandiset's dataset; yields the run before, if that was killed."""
        return self.hold(dandiset, dandiset)

    def superdataset_lock(self) -> AbstractContextManager[UnfinishedRun | None]:
        """Hold the lock of the superdataset; waits for the run that holds it."""
        return self.hold("superdataset", "the superdataset", wait=SUPERDATASET_PATIENCE)

    def hold(self, name: str, what: str, *, wait: float = 0.0) -> AbstractContextManager[UnfinishedRun | None]:
        """Hold one of the mirror's locks; see :func:`dandi_mirror.repo.git.lock.hold`."""
        self.make_own()
        return lock.hold(self.own / "locks" / f"{name}.lock", what, wait=wait)

    def look(self, dandiset: str) -> AbstractContextManager[bool]:
        """Read a Dandiset's dataset while no run may change it; see :func:`dandi_mirror.repo.git.lock.look`."""
        return lock.look(self.own / "locks" / f"{dandiset}.lock", dandiset)

    def dandisets(self, besides: Container[str] = ()) -> list[str]:
        """The Dandisets whose folders are repositories, without those in ``besides``."""
        return self.folders(besides)[0]

    def folders(self, besides: Container[str] = ()) -> tuple[list[str], list[str]]:
        """The Dandisets that have folders, without those in ``besides``: the repositories, and the others."""
        found: dict[bool, list[str]] = {True: [], False: []}
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name not in besides and is_dandiset_id(entry.name):
                    found[is_repository(f"{self.path}/{entry.name}/.git")].append(entry.name)
        return sorted(found[True]), sorted(found[False])

    def registered(self) -> list[str]:
        """The Dandisets that the superdataset names, installed or not; starts no git."""
        # of a clone from anywhere: a link in its place could lead to a device
        modules = read_file(self.path / ".gitmodules") or b""
        return sorted(_MEMBER.findall(modules.decode(errors="replace")))

    def ref(self, dandiset: str, name: str) -> str | None:
        """The commit of a ref of a Dandiset's dataset; starts no git."""
        if not self.alone and is_linked(self.folder(dandiset)):
            return None
        return read_ref(f"{self.folder(dandiset)}/.git", name)

    def has_ref(self, dandiset: str, name: str) -> bool:
        """Whether a Dandiset's dataset has a ref; starts no git."""
        return (self.alone or not is_linked(self.folder(dandiset))) and has_ref(f"{self.folder(dandiset)}/.git", name)

    def has_new_settings(self, dandiset: str) -> bool:
        """Whether the git settings of a Dandiset's dataset are younger than its last sync; starts no git."""
        git_dir = f"{self.folder(dandiset)}/.git"
        try:
            # without Path: a run does this for thousands of datasets
            return os.stat(f"{git_dir}/config").st_mtime_ns > os.stat(f"{git_dir}/{last_sync.NAME}").st_mtime_ns  # noqa: PTH116
        except OSError:
            return False


def mirror_at(text: str) -> Mirror | None:
    """The mirror, or clone of a mirror, whose top is the path ``text``; else None."""
    path = Path(text).absolute()
    if not os.path.exists(path / ".git") or left_behind(path):  # noqa: PTH110 (a text may be longer than a name can be)
        return None
    found = Mirror(path.resolve())
    return found if found.registered() or (found.own.is_folder() and found.dandisets()) else None


def mirror_of(folder: Path, dandiset: str) -> Mirror:
    """The mirror that has a folder as a dataset; or the folder by itself, as a clone."""
    inside = folder.name == dandiset and own_folder(folder.parent).is_folder()
    return Mirror(folder.parent) if inside else Mirror(folder, alone=dandiset)
