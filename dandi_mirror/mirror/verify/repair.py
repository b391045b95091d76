"""Repair what a verification has found: first say what is going to be done, then do what is safe, in a fixed order.

Nothing here moves a tag that a sync made and that the branch contains.  What is damaged is set aside, not deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.config import Sibling
from dandi_mirror.errors import CredentialsError, NotFoundError, PartError
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync.dandiset import Task, sync_one
from dandi_mirror.mirror.sync.superdataset import register_in_superdataset
from dandi_mirror.mirror.verify.aside import check_aside, finish_replacement, made_folder_aside
from dandi_mirror.mirror.verify.content import uuid_of
from dandi_mirror.mirror.verify.dataset import DatasetToVerify
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind
from dandi_mirror.mirror.verify.memories import spoilt_caches
from dandi_mirror.mirror.verify.permissions import restrict
from dandi_mirror.mirror.verify.repair_anew import AnewRepair, check_report
from dandi_mirror.mirror.verify.repair_zarrs import ZarrRepair
from dandi_mirror.mirror.verify.restore_annex import restore_content, restore_logs
from dandi_mirror.mirror.verify.restore_repository import kept_refs, move_into
from dandi_mirror.mirror.verify.restore_zarrs import set_aside
from dandi_mirror.mirror.verify.sibling_sources import SiblingSources
from dandi_mirror.repo.git import trust
from dandi_mirror.repo.git.dataset import TEMPORARY, Dataset
from dandi_mirror.repo.git.files import locks_in
from dandi_mirror.repo.git.git_folder import Repository
from dandi_mirror.repo.git.process import git
from dandi_mirror.text import counted, quoted

LOCK_AGE = 600.0
"""Seconds after which a lock file of git that nobody holds counts as left behind; a younger one may be a person's."""
_NAMED = 3
"""Keys that a message names."""
_FROM_ANEW = {DifferenceKind.OBJECTS, DifferenceKind.REFS, DifferenceKind.RECORD, DifferenceKind.TAG}
"""Kinds for which the dataset is made anew, to take from it what is missing."""
_OF_GIT = {DifferenceKind.OBJECTS, DifferenceKind.REFS, DifferenceKind.WORKTREE}
_OF_ZARRS = {DifferenceKind.MANIFEST, DifferenceKind.ZARR}
_NOT_OF_A_SYNC = {DifferenceKind.SECRET, DifferenceKind.MIRROR, DifferenceKind.CONTENT}
"""Kinds that no sync can fix, not even after a repair."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a repair."""

    title: str
    """What it does, to be printed before."""
    do: Callable[[], object]
    """If it returns a text, that is printed after it."""


@dataclass(frozen=True, slots=True)
class DatasetRepair:
    """The repair of one dataset."""

    archive: ArchiveClient
    chosen: DatasetToVerify
    options: Options
    found: tuple[Difference, ...]
    siblings: tuple[Sibling, ...] = ()
    """Where to look for what the archive does not have any more."""

    @property
    def dataset(self) -> Dataset:
        """Its repository, as it is now."""
        return self.chosen.dataset

    @property
    def _zarrs(self) -> ZarrRepair:
        return ZarrRepair(self.archive, self.chosen, self.options, self.found, self._sources)

    @property
    def _sources(self) -> SiblingSources:
        return SiblingSources(self.siblings, self.chosen.dandiset)

    @property
    def _anew(self) -> AnewRepair:
        return AnewRepair(self.archive, self.chosen, self.options, self._sources, self._zarrs)

    def has(self, *kinds: DifferenceKind) -> bool:
        """Whether there is a difference of one of these kinds that no sync fixes."""
        return any(found.kind in kinds and not found.sync_fixes for found in self.found)

    def steps(self) -> Iterator[Step]:
        """What is going to be done, in this order.

        Raises:
            NotAMember, UntrustedRepository: it would be done in another repository; nothing is done.
        """
        dandiset = self.chosen.dandiset
        trust.check(Repository(self.dataset.path, self.dataset.git_dir))
        if self.has(DifferenceKind.PERMISSIONS):
            title = f"withdraw the permissions of other users on {self.dataset.path}"
            yield Step(title, self._locked(lambda: restrict(self.dataset, self._zarrs.folders())))
        mirror = self.chosen.mirror
        if any(check_aside(mirror, dandiset)):
            title = "move back into the dataset what a repair that was cut off has left in .dandi-mirror/damaged"
            yield Step(title, self._locked(lambda: finish_replacement(mirror, dandiset)))
        zarrs = self._zarrs
        if self.has(DifferenceKind.MANIFEST):
            title = "set damaged manifests of Zarrs aside, and build those again that the archive cannot list any more"
            yield Step(title, self._locked(zarrs.restore_manifests))
        if self.has(DifferenceKind.ZARR):
            yield Step("set the damaged repositories of Zarrs aside", self._locked(zarrs.set_repositories_aside))
        if self._stale():
            yield Step("remove lock files that git left behind", self._locked(self._unlock))
        if self.has(*_FROM_ANEW):
            yield Step(
                f"build {dandiset} again beside it, and take the damaged parts from there",
                self._locked(self._build_again),
            )
        if self.has(DifferenceKind.WORKTREE, *_FROM_ANEW):
            yield Step("rebuild git's index", self._locked(self._index))
        if self.has(DifferenceKind.LOG):
            yield Step(
                "remove unreadable lines and the URLs of other hosts from git-annex's logs", self._locked(self._logs)
            )
        if any(found.kind not in _NOT_OF_A_SYNC for found in self.found):
            yield Step(f"sync {dandiset}, and compare every version", self._sync)
        if self.has(DifferenceKind.ZARR):
            title = "build the repositories of Zarrs again from the manifests"
            yield Step(title, self._locked(zarrs.write_repositories))
        if self.has(DifferenceKind.CONTENT, *_FROM_ANEW):
            yield Step(
                "hash all content that is here, and get again what is damaged or lost", self._locked(self._content)
            )

    def _locked(self, do: Callable[[], object]) -> Callable[[], object]:
        """The same, while the dataset is locked."""

        def locked() -> object:
            with self.chosen.mirror.lock(self.chosen.dandiset):
                return do()

        return locked

    # --- the steps ---------------------------------------------------------------------------------------------------

    def _stale(self) -> list[Path]:
        now = time.time()
        return [lock for lock in locks_in(self.dataset.git_dir) if now - lock.stat().st_mtime > LOCK_AGE]

    def _unlock(self) -> None:
        for lock in self._stale():
            lock.unlink(missing_ok=True)

    def _build_again(self) -> str:
        """Returns where the commits are at which branches and tags were before."""
        before = kept_refs(self.dataset)
        self._anew.repair()
        git_here = f"git -C {quoted(self.dataset.path)}"
        new = sorted(kept_refs(self.dataset).items() - before.items())
        return "; ".join(
            f"a branch or tag was moved, and its old commit is kept; to see that: {git_here} log {ref}; "
            f"to have it on a branch of your own: {git_here} branch mine {oid[:10]}"
            for ref, oid in new
        )

    def _index(self) -> None:
        (self.dataset.git_dir / "index").unlink(missing_ok=True)
        git(self.dataset.path, "read-tree", "HEAD")

    def _logs(self) -> None:
        hosts = ContentHosts(self.chosen.instance, self.options.hosts)
        paths = [found.path for found in self.found if found.kind is DifferenceKind.LOG]
        restore_logs(self.dataset, paths, hosts, datetime.now(UTC))

    def _sync(self) -> None:
        mirror, dandiset = self.chosen.mirror, self.chosen.dandiset
        self.dataset.drop_refs([ref for ref in self.dataset.refs() if ref.startswith(TEMPORARY)])
        with suppress(NotFoundError, CredentialsError):  # the verification afterwards says so
            self.archive.dandiset(dandiset)
            check_report(sync_one(self.archive, mirror, Task(dandiset, replace(self.options, mode="verify"))))

    def _content(self) -> None:
        """Raises PartError if content did not come; what is damaged stays in ``.git/annex/bad``."""
        missing: set[str] = set()
        for dataset, place in ((self.dataset, ""), *self._zarrs.with_content()):
            if uuid := uuid_of(dataset):
                lost = restore_content(dataset, uuid)
                missing.update(set(lost) - set(self._sources.give_content(dataset, lost, place)))
        if missing:
            raise PartError(
                f"neither the archive nor a sibling gave the content of {counted(len(missing), 'key')}: "
                f"{', '.join(sorted(missing)[:_NAMED])}; what was damaged is in .git/annex/bad"
            )


@dataclass(frozen=True, slots=True)
class MirrorRepair:
    """The repair of the superdataset, and of what the mirror remembers."""

    archive: ArchiveClient
    chosen: DatasetToVerify
    options: Options
    found: tuple[Difference, ...]
    siblings: tuple[Sibling, ...] = ()

    def steps(self) -> Iterator[Step]:
        """What is going to be done, in this order."""
        mirror = self.chosen.mirror
        if any(found.kind in _OF_GIT for found in self.found):
            yield Step("set the damaged repository of the superdataset aside, in .dandi-mirror/damaged", self._aside)
        for file, _ in spoilt_caches(mirror):
            yield Step(f"remove {file}, which can be made again", file.unlink)
        if mirror.index.read().spoilt:
            yield Step(f"set the damaged {mirror.index} aside", mirror.index.set_aside)
        if any(found.kind is DifferenceKind.MEMORY for found in self.found):
            yield Step("read all Dandisets of the mirror again, so that it remembers them", self._sync_all)
        if orphans := [found.path for found in self.found if found.kind in _OF_ZARRS]:
            yield Step(
                "set aside what no dataset names of Zarrs", lambda: [set_aside(mirror, name) for name in orphans]
            )
        yield Step("register all datasets in the superdataset", self._register)

    def _aside(self) -> None:
        mirror = self.chosen.mirror
        move_into(made_folder_aside(mirror), mirror.path / ".git", "superdataset.git")

    def _sync_all(self) -> None:
        for dandiset in self.chosen.mirror.dandisets():
            task = Task(dandiset, replace(self.options, mode="force"))
            check_report(sync_one(self.archive, self.chosen.mirror, task))

    def _register(self) -> None:
        if trouble := register_in_superdataset(self.archive.instance, self.chosen.mirror, anew=True):
            check_report(trouble)
