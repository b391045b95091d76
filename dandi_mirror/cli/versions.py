"""Which dataset, and which of its versions, somebody means who types ``000004@0.210831.2033..0.220126.1852``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.workflows.naming import check_names, read_name

if TYPE_CHECKING:
    from dandi_mirror.repo.git.dataset import Dataset

# what no name has for a version: two of them, or a commit of the draft
_VERSIONS = re.compile(r"(.+)@([^@/]*\.\.[^@/]*|[0-9a-f]{7,40})")


def read_versions(text: str, mirror_path: Path) -> tuple[Dataset, str, str]:
    """The dataset in the mirror, or the clone, that a name means; the Dandiset's id; and what is said of versions.

    The latter is empty, a version, a commit's id, or ``A..B`` of which either may be empty.

    Raises:
        UsageError: it is no name of a Dandiset, or it is not here.
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
        raise UsageError(f"{text}: this takes a Dandiset or a version of it; write {wanted} or {wanted}@VERSION")
    if clone and clone.name == name:
        # the version of its record is that of what is checked out, and nothing that was typed
        return Dataset(clone.folder), name.dandiset, versions
    check_names(mirror_path, [name])
    if versions and name.version:
        raise UsageError(f"{text} says versions twice; write {name.dandiset}@{versions}")
    return dataset_of(mirror_path.absolute(), name.dandiset), name.dandiset, versions or name.version or ""
