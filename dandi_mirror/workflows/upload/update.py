"""Bring what others have changed in the archive into the work tree of somebody who has edited it."""

from __future__ import annotations

import os

from dandi_mirror.mirror.sync import draft
from dandi_mirror.model import DRAFT, Report
from dandi_mirror.repo.annex import reconcile
from dandi_mirror.repo.git import worktree
from dandi_mirror.repo.git.dataset import CHECKED_OUT, Dataset
from dandi_mirror.repo.git.process import git
from dandi_mirror.workflows.upload.upload import UPDATE, Upload


def bring_changes(upload: Upload) -> Report:
    """Sync the work tree with the archive; edits stay.

    Raises:
        UsageError: this is not a work tree to upload from.
        PartError: a file is changed both here and there; nothing has been changed.
    """
    clone = upload.checked_out()
    base = draft.synced_draft(clone.dataset)
    if worktree.is_made_from(clone.dataset, base.commit):
        upload.compared(clone, base).check_contested(UPDATE)
    clone.prepare()
    with upload.mirror.lock(upload.dandiset):
        upload.result.kept = reconcile.step_back(clone.dataset, DRAFT, base.commit)
        made_from = clone.dataset.ref(CHECKED_OUT) or base.commit
        reconcile.unstage(clone.dataset, made_from, _staged_and_gone(clone.dataset, made_from))
    return upload.sync(upload.archive.dandiset(upload.dandiset), meant=False)


def _staged_and_gone(dataset: Dataset, commit: str) -> list[str]:
    """The files that differ in the index from a commit, and that a person has taken out of the work tree since.

    In the index they would be in the way of what the archive has there.
    """
    staged = git(dataset.path, "diff-index", "--cached", "--name-only", "-z", commit).split(b"\0")[:-1]
    names = [os.fsdecode(name) for name in staged]
    return [name for name in names if not os.path.lexists(dataset.path / name)]
