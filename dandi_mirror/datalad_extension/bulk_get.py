"""``datalad get`` by the bulk engine, where that can do it: in datasets of ours, for content that has URLs.

DataLad calls ``AnnexRepo.get`` for the content of each dataset, and makes its result records of git-annex's JSON.  That
one method is replaced: files that the bulk engine brings are reported in git-annex's form, all others are left to the
method as it was.  So all around it (paths, recursion, subdatasets, filters, result records) is DataLad's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datalad.support.annexrepo import AnnexRepo

from dandi_mirror.archive.content import JOBS
from dandi_mirror.errors import MirrorError
from dandi_mirror.interface.getting import bulk_get
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.repo.annex.repository import AnnexRepository

Get = Callable[..., list[dict[str, Any]]]
NOTE = "from web..."
"""What git-annex reports about a file that came from a URL."""

_own: list[Get] = []
"""DataLad's own method, once it was replaced."""


def switch_on() -> None:
    """Replace the method; once, however often it is called."""
    if not _own:
        _own.append(AnnexRepo.get)
        AnnexRepo.get = _get


def _get(
    repo: Any,
    files: Sequence[str],
    remote: str | None = None,
    options: Sequence[str] | None = None,
    jobs: int | str | None = None,
    key: bool = False,
) -> list[dict[str, Any]]:
    """Get content, and report it as git-annex does; see ``AnnexRepo.get`` for the parameters."""
    (own,) = _own
    if remote or options or key or not _is_ours(Path(repo.path)):
        return own(repo, files, remote=remote, options=options, jobs=jobs, key=key)
    came, complete = _came(Path(repo.path), files, jobs if isinstance(jobs, int) else JOBS)
    # where all are here now, git-annex would find nothing left to do, and to start it takes longer than many files
    return came if complete else [*came, *own(repo, list(files), jobs=jobs)]


def _is_ours(path: Path) -> bool:
    """Whether a sync made the dataset; Zarrs are left to DataLad, as their arrays have an order of their own."""
    found = clone_at(str(path))
    return found is not None and found.folder == path and bool(AnnexRepository(path).api())


def _came(path: Path, files: Sequence[str], jobs: int) -> tuple[list[dict[str, Any]], bool]:
    """The files that the bulk engine brought, as git-annex would report them, and whether nothing is left to it."""
    paths = [os.path.relpath(file, path) for file in files]
    try:
        facts, complete = bulk_get(path, paths, jobs)
    except MirrorError:
        return [], False  # git-annex will say what is wrong, in its own words
    return [_json(one) for one in facts], complete


def _json(facts: Mapping[str, object]) -> dict[str, Any]:
    return {
        "command": "get",
        "error-messages": [],
        "file": facts["file"],
        "input": [facts["file"]],
        "key": facts["key"],
        "note": NOTE,
        "success": True,
    }
