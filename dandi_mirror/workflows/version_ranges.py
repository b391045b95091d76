"""Read the name of a dataset and of its versions, such as ``000004@0.210831.2033..0.220126.1852``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.workflows.naming import check_names, read_name

if TYPE_CHECKING:
    from dandi_mirror.repo.git.dataset import Dataset

# a range of versions, or a commit of the draft
_VERSIONS = re.compile(r"(.+)@([^@/]*\.\.[^@/]*|[0-9a-f]{7,40})")


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
    name = read_name(base, offline=True)
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
