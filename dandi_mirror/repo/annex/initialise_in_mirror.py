"""Initialise git-annex in a dataset of a mirror, in a way that an interrupted run can repeat."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress

from dandi_mirror.files.opening import read_text
from dandi_mirror.repo.annex import initialise_alike
from dandi_mirror.repo.git.dataset import ANNEX, Dataset, RefChange
from dandi_mirror.repo.git.disk import sync_to_disk
from dandi_mirror.repo.git.process import GitError, git

_ATTEMPTS = 2


def initialise_in_mirror(dataset: Dataset, description: str, like: Hashable = None) -> None:
    """Initialise git-annex without writing anything about this repository to the git-annex branch.

    A new dataset gets what git-annex has written in another one of the same folder, if both are ``like`` the same.

    Raises:
        DiskError, GitError: git-annex failed.
    """
    if like and initialise_alike.repeat(dataset, description, like):
        sync_to_disk(dataset.git_dir)
        return
    is_new, before = not (dataset.git_dir / "annex").exists(), read_text(dataset.git_dir / "config")
    for _ in range(_ATTEMPTS):
        _init(dataset, description)
        config = read_text(dataset.git_dir / "config")
        # git-annex does not report that a git died while it enabled the remote of the archive's API
        if "annex-config-uuid" in config:
            _verify_remotes(dataset, config)
            break
    # this setting comes last: if an earlier step is interrupted, the next run repeats all of them
    mark_as_initialised(dataset)
    sync_to_disk(dataset.git_dir / "config")
    if like and is_new:
        initialise_alike.keep(dataset, description, like, before)


def is_initialised_in_mirror(dataset: Dataset) -> bool:
    """Whether :func:`initialise_in_mirror` or :func:`mark_as_initialised` has finished in this dataset."""
    try:
        return "[dandi-mirror]" in read_text(dataset.git_dir / "config")
    except OSError:
        return False


def mark_as_initialised(dataset: Dataset) -> None:
    """Note that git-annex is initialised here, by us or by a person."""
    git(dataset.path, "config", "dandi-mirror.annex", "true")


def _verify_remotes(dataset: Dataset, config: str) -> None:
    """Mark the remotes that this program made as verified, as ``git annex verifyremote --safe`` does.

    git-annex refuses to push until the owner has looked at remotes that were enabled automatically.  Old releases of
    git-annex do not have the command.
    """
    for name in ("dandiapi", *(["dandi-embargoed"] if '"dandi-embargoed"' in config else [])):
        git(dataset.path, "config", f"remote.{name}.annex-verified", "verified")


def _init(dataset: Dataset, description: str) -> None:
    # if an earlier init was interrupted after it wrote this setting, the next one would not enable the API's remote
    if "version" in read_text(dataset.git_dir / "config").partition("[annex]")[2]:
        with suppress(GitError):
            git(dataset.path, "config", "--unset", "annex.version")
    before = dataset.ref(ANNEX)
    git(dataset.path, "-c", "annex.private=true", "annex", "init", "--quiet", description)
    restore_branch(dataset, before)


def restore_branch(dataset: Dataset, before: str | None) -> None:
    """Move the git-annex branch back to ``before`` if git-annex has replaced it with an empty one.

    This happens when a git that git-annex started dies: git-annex takes the branch for missing, makes an empty one,
    perhaps merges it with the old one, and reports success.

    Raises:
        GitError: the branch had been replaced; it is restored.
    """
    after = dataset.ref(ANNEX)
    if not before or not after or before == after:
        return
    trees = git(dataset.path, "rev-parse", f"{before}^{{tree}}", f"{after}^{{tree}}").split()
    if trees[0] == trees[1] or before.encode() not in git(dataset.path, "rev-list", after).split():
        dataset.move_refs([RefChange(ANNEX, before, after)])
        raise GitError(f"{dataset.path}: git-annex lost its branch; the branch is restored; run this again")
