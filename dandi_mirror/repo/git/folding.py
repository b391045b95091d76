"""Paths that a work tree cannot hold side by side, because its disk takes them for one file."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dandi_mirror.files.opening import read_file
from dandi_mirror.paths import same_names
from dandi_mirror.repo.git.dataset import Dataset

_FOLDS = re.compile(rb"^\s*ignorecase\s*=\s*true\s*$", re.MULTILINE | re.IGNORECASE)


def one_file_here(dataset: Dataset, paths: Iterable[str]) -> dict[str, str]:
    """The paths that are one file in this work tree, as ``a.nwb`` and ``A.nwb`` may be; each with the reason.

    git finds out what the disk does when it makes a repository, and notes that in the repository's settings.
    """
    groups = same_names(paths) if folds_names(dataset) else []
    return {path: _reason([other for other in group if other != path]) for group in groups for path in group}


def folds_names(dataset: Dataset) -> bool:
    """Whether git found that the work tree's disk folds case; starts no git."""
    return bool(_FOLDS.search(read_file(dataset.git_dir / "config") or b""))


def _reason(others: list[str]) -> str:
    return (
        f"the disk of this work tree takes it and {', '.join(others)} for one file, so what is there may be the "
        "content of either; git has both"
    )
