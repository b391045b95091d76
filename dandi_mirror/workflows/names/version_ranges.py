"""Read the name of a dataset and of its versions, such as ``000004@0.210831.2033..0.220126.1852``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.workflows.access.mirror_archive import check_names
from dandi_mirror.workflows.names.naming import read_name

if TYPE_CHECKING:
    from dandi_mirror.mirror.history.diff import Changes
    from dandi_mirror.repo.git.dataset import Dataset
    from dandi_mirror.repo.git.history import Revision

_ENDS = re.compile(r"(?:(?:0\.[0-9]{6}\.[0-9]{4}|draft)?(?:\.\.)?)(?:0\.[0-9]{6}\.[0-9]{4}|draft)?", re.I)
# a range of versions, or a commit of the draft
_VERSIONS = re.compile(r"(.+)@([^@/]*\.\.[^@/]*|[0-9a-f]{7,40})")


def check_one(command: str, versions: str, more: list[str]) -> None:
    """See that somebody typed both versions in one word, behind an id.

    Raises:
        UsageError: there are more words, or the id is missing; the message has what to type.
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.clones import clone_at

    first, at, old = versions.rpartition("@")
    if not more and (at or not _ENDS.fullmatch(versions)):
        return
    is_id = not at and not _ENDS.fullmatch(old)
    clone = clone_at(".")
    around = clone.name.dandiset if clone else "ID"
    base = versions if is_id else first or around
    ends = [one.rpartition("@")[2] for one in (more if is_id else [old, *more])]
    if len(ends) == 2 and not any(".." in one for one in ends):
        ends = ["..".join(ends)]
    why = "both versions stand in one word, as A..B" if more else "a version stands behind the id of its Dandiset"
    raise UsageError(f"{' '.join([versions, *more])}: {why}: dandi-mirror {command} {base}@{ends[0] if ends else ''}")


def read_versions(text: str, mirror_path: Path) -> tuple[Dataset, str, str]:
    """Find the dataset in the mirror, or the clone, that somebody means.

    Returns the dataset, the id of its Dandiset, and its versions: empty, a version, a commit id, or ``A..B``, where
    A or B may be empty.

    Raises:
        UsageError: it is not the name of a Dandiset, or the Dandiset is not here.
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.clones import clone_at
    from dandi_mirror.mirror.locate.versions import dataset_of
    from dandi_mirror.repo.git.dataset import Dataset

    found = _VERSIONS.fullmatch(text)
    base, versions = (found[1], found[2]) if found else (text, "")
    name = read_name(base, offline=True, mirror_path=mirror_path)
    clone = clone_at(base)
    if not name.dandiset or not (name.whole or clone):
        wanted = name.dandiset or "000004"
        raise UsageError(f"{text}: name a Dandiset or a version of it; write {wanted} or {wanted}@VERSION")
    if clone and clone.name == name:
        # the version in the clone's record is what is checked out, not what somebody typed
        return Dataset(clone.folder), name.dandiset, versions
    check_names(mirror_path, [name])
    if versions and name.version:
        raise UsageError(f"{text} names versions twice; write {name.dandiset}@{versions}")
    return dataset_of(mirror_path.absolute(), name.dandiset), name.dandiset, versions or name.version or ""


def compared(dataset: Dataset, dandiset: str, typed: str) -> tuple[Revision | None, Revision, Changes]:
    """The two versions that ``typed`` means, as :func:`read_versions` returns it, and what changed between them.

    Raises:
        UsageError: the dataset does not have one of them.
    """
    from dandi_mirror.mirror.history.diff_reader import NOTHING, Comparer
    from dandi_mirror.mirror.locate.versions import range_of
    from dandi_mirror.mirror.state.layout import mirror_of

    old, new = range_of(dataset, dandiset, typed)
    with Comparer(dataset, mirror_of(dataset.path, dandiset).part_totals) as comparer:
        changes, state = comparer.changes(comparer.read(old) if old else NOTHING, new)
        comparer.remember(state)
    return old, new, changes
