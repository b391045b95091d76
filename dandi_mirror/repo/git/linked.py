"""Further work trees of a repository: another version beside the one that is checked out, sharing all content."""

from __future__ import annotations

from pathlib import Path

from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import NO_FILTER, GitError, git


def holds(dataset: Dataset, folder: Path, commit: str) -> bool:
    """Whether ``folder`` is a work tree of this repository already, at this commit."""
    listing = git(dataset.path, "worktree", "list", "--porcelain", "-z").decode(errors="surrogateescape")
    trees = (part.split("\0") for part in listing.split("\0\0"))
    return any(lines[:2] == [f"worktree {folder.resolve()}", f"HEAD {commit}"] for lines in trees)


def add(dataset: Dataset, folder: Path, commit: str) -> None:
    """Check a commit out in ``folder``, with git-annex's links leading into this repository's own content.

    A folder that was one and has been deleted by hand may be one again.

    Raises:
        DiskError, GitError: git or git-annex could not.
    """
    git(dataset.path, *NO_FILTER, "worktree", "add", "--quiet", "--force", "--detach", str(folder), commit)
    # the links say .git/annex, and git makes a file of .git: git-annex puts a link there when it first looks
    git(folder, "annex", "find", "--in=here", "dandiset.yaml")
    if not (folder / ".git" / "annex").exists():
        git(dataset.path, "worktree", "remove", "--force", str(folder))
        raise GitError(
            f"{folder}: git-annex does not connect it to {dataset.path} (no links on this disk?); take a folder on"
            f" another disk, or a clone: datalad clone {dataset.path} {folder}"
        )
