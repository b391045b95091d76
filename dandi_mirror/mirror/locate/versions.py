"""Find the dataset of a Dandiset, and the commit of a version or range of versions in it."""

from __future__ import annotations

from pathlib import Path

from dandi_mirror.archive.name_parts import no_version
from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import DRAFT
from dandi_mirror.repo.git import history
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.history import Revision
from dandi_mirror.repo.git.superdataset import new_mirror


def dataset_of(path: Path, dandiset: str) -> Dataset:
    """The dataset of a Dandiset in the mirror at ``path``, or the clone of it that ``path`` is in.

    Raises:
        UsageError: the mirror does not have the Dandiset, and the path is in no clone of it.
    """
    dataset = Mirror(path).dataset(dandiset)
    if dataset.exists():
        return dataset
    clone = clone_at(str(path))
    if clone and clone.name.dandiset == dandiset:
        return Dataset(clone.folder)
    if clone:
        raise UsageError(
            f"{dandiset} is not in {path}, which is in a clone of {clone.name.dandiset}; name a mirror that has it: "
            f"-d DIR; or make one: dandi-mirror sync {dandiset} -d DIR"
        )
    there = new_mirror(path)
    raise UsageError(
        f"{dandiset} is not in {path}; mirror it first: dandi-mirror sync {dandiset} -d {there}"
        + ("; or name a mirror that has it: -d DIR" if there == "DIR" else "")
    )


def commit_of_version(dataset: Dataset, dandiset: str, name: str) -> Revision:
    """The commit of a version, of ``draft``, or of a commit's id.

    Raises:
        UsageError: the dataset does not have it; the message names those that it has.
    """
    if found := history.find(dataset, name):
        return found
    raise UsageError(no_version(dandiset, name, dataset.path, [state.name for state in states(dataset)]))


def states(dataset: Dataset, commits: int = 1) -> list[Revision]:
    """The published versions and the last ``commits`` of the draft, if the dataset has it, oldest first."""
    tip = history.branch(dataset)
    found = history.versions(dataset)
    if tip and tip.name == DRAFT:
        found += history.commits(dataset, tip, commits, found) if commits > 1 else [tip]
    # the draft after the version that was made of it
    return sorted(found, key=lambda state: (state.seconds, state == tip))


def range_of(dataset: Dataset, dandiset: str, typed: str) -> tuple[Revision | None, Revision]:
    """The two ends of ``A..B``; in ``A..`` the other end is the draft, in ``..B`` the version before ``B``.

    ``B`` alone means ``..B``; an empty range goes from the newest version to the draft.  The first is None if there is
    no version before.

    Raises:
        UsageError: the dataset does not have one of them.
    """
    old, dots, new = typed.partition("..")
    if not dots:
        old, new = "", typed
    there = states(dataset)
    if not there:
        raise UsageError(f"{dandiset} has no version in {dataset.path}; run dandi-mirror sync {dandiset}")
    by_name = {state.name: state for state in there}
    end = (by_name.get(new) or commit_of_version(dataset, dandiset, new)) if new else there[-1]
    if old:
        return by_name.get(old) or commit_of_version(dataset, dandiset, old), end
    before = [state for state in there if state.seconds <= end.seconds and state != end and state.name != DRAFT]
    return (before[-1] if before else None), end
