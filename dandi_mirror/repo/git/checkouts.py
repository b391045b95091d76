"""Make further checkouts of a dataset: a second work tree that shares its content, or a clone."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.disk import share_as
from dandi_mirror.repo.git.process import NO_FILTER, GitError, git
from dandi_mirror.text import quoted

_WHOLE = ("-c", "core.sparseCheckout=false")
"""Checks out all files, also where those of the repository's own work tree are left out."""
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
"""What a system answers if a folder is renamed to a name that is taken."""


def is_worktree(dataset: Dataset, folder: Path, commit: str) -> bool:
    """Whether ``folder`` is already a work tree of this repository, with this commit checked out."""
    listing = git(dataset.path, "worktree", "list", "--porcelain", "-z").decode(errors="surrogateescape")
    trees = (part.split("\0") for part in listing.split("\0\0"))
    return any(lines[:2] == [f"worktree {folder.resolve()}", f"HEAD {commit}"] for lines in trees)


def add_worktree(dataset: Dataset, folder: Path, commit: str) -> None:
    """Check out a commit in ``folder``; git-annex's links there lead to the content of this repository.

    If ``folder`` was a work tree before and somebody deleted it by hand, it is made again.

    Raises:
        DiskError, GitError: git or git-annex failed.
    """
    share_as(dataset.git_dir.stat().st_mode)
    git(dataset.path, *NO_FILTER, *_WHOLE, "worktree", "add", "--quiet", "--force", "--detach", str(folder), commit)
    # links lead to .git/annex, but git makes .git a file here: git-annex replaces that by a link when it first runs
    git(folder, "annex", "find", "--in=here", "dandiset.yaml")
    if not (folder / ".git" / "annex").exists():
        git(dataset.path, "worktree", "remove", "--force", str(folder))
        raise GitError(
            f"{folder}: git-annex did not connect it to {dataset.path}; perhaps this disk has no symbolic links;"
            f" name a folder on another disk, or make a clone: datalad clone {quoted(dataset.path)} {quoted(folder)}"
        )


def make_clone(source: str, folder: Path, branch: str) -> bool:
    """Clone a dataset and check out a branch or tag; ``folder`` appears only when the clone is complete.

    False if something else has appeared there meanwhile, as when several runs clone at once; that is left alone.

    Raises:
        DiskError, GitError: git failed.
    """
    making = folder.with_name(f".{folder.name}.cloning-{os.getpid()}")
    try:
        git(folder.parent, "-c", "advice.detachedHead=false", "clone", "--quiet", "--branch", branch, "--", source,
            str(making), remotes=True)  # fmt: skip
        making.rename(folder)
        return True
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise DiskError.of(folder, error) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
