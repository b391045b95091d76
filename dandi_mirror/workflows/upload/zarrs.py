"""What an upload knows of the Zarrs of a Dandiset before it plans, and what its plan changes within each of them."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from dataclasses import replace

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.mirror.sync.draft import SyncedDraft
from dandi_mirror.model import RemoteFile
from dandi_mirror.paths import GITMODULES
from dandi_mirror.repo.annex import reconcile
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import Tree
from dandi_mirror.repo.git.process import NO_FILTER, git
from dandi_mirror.repo.git.stream import GITLINK
from dandi_mirror.text import quoted
from dandi_mirror.upload.change.local_state import LocalState
from dandi_mirror.upload.change.plan import Action, LocalFile, UploadStep
from dandi_mirror.upload.send.send_zarr import compare_with
from dandi_mirror.upload.zarrs.notes import ZarrNotes
from dandi_mirror.upload.zarrs.plan import EntryChanges
from dandi_mirror.workflows.upload.plan import Planned
from dandi_mirror.workflows.upload.request import UploadRequest

_UNFINISHED = "unfinished"
"""Stands for the checksum of a Zarr that an upload from here has begun to change."""


def renamed_zarrs(clone: AnnexRepository, base: SyncedDraft, ours: LocalState) -> dict[str, str]:
    """Old path → new path of each mirrored Zarr that somebody has renamed: its gitlink (git mv), or its whole folder.

    Empty for one that somebody took out of git (git rm).  That an empty folder is gone does not mean that its Zarr is.
    """
    if not base.zarrs:
        return {}
    before, now = _gitlinks(clone.listing(base.commit)), _gitlinks(clone.listing())
    new = {oid: path for path, oid in now.items() if path not in before}
    found = {old: new[oid] for old, oid in before.items() if old not in now and oid in new and old in base.zarrs}
    folders = {zarr.checksum: path for path, zarr in ours.zarrs.items() if path not in base.zarrs}
    for old, zarr in base.zarrs.items():
        if old not in found and zarr.checksum in folders and not os.path.lexists(clone.path / old):
            found[old] = folders.pop(zarr.checksum)
    removed = {old: "" for old in before if old not in now and old in base.zarrs and old not in ours.zarrs}
    return removed | found


def take_back_moves(planned: Planned, stays: Container[str]) -> None:
    """Let git's index have the Zarrs of base again that were renamed or deleted, so that a sync can bring the change.

    ``stays``: those of which it failed.
    """
    steps = [step for step in planned.plan.of(Action.RENAME, Action.DELETE) if (step.old or step.path) not in stays]
    paths = {path for step in steps if (step.old or step.path) in planned.base.zarrs for path in (step.old, step.path)}
    if paths := paths - {""}:
        dataset, commit = planned.clone.dataset, planned.base.commit
        reconcile.unstage(dataset, commit, [GITMODULES, *paths])
        git(dataset.path, *NO_FILTER, "restore", "--source", commit, "--worktree", "--", GITMODULES)


def _gitlinks(tree: Tree) -> dict[str, str]:
    return {path: oid for path, (mode, oid) in tree.items() if mode == GITLINK}


def known_zarrs(
    base: SyncedDraft,
    theirs: Mapping[str, RemoteFile],
    ours: LocalState,
    notes: ZarrNotes,
    wanted: UploadRequest,
    renamed: Mapping[str, str],
) -> tuple[SyncedDraft, dict[str, RemoteFile]]:
    """Base and theirs, with their Zarrs, and with those that a killed upload left unfinished.

    A Zarr that no sync has mirrored counts in base as it is in the archive; one whose folder was not read, as it is in
    base, at its new path if it is ``renamed`` (see :func:`renamed_zarrs`).
    """
    known, there, unfinished = {**base.assets, **base.zarrs}, dict(theirs), notes.unfinished()
    for path, synced in base.zarrs.items():
        here = LocalFile(there[path].size if path in there else synced.size, synced.digest, zarr=True)
        if path in renamed:
            ours.here.pop(path, None)
            ours.here |= {renamed[path]: here} if renamed[path] else {}
        else:
            ours.here.setdefault(path, here)
    for path, found in theirs.items():
        if not found.zarr:
            continue
        if not found.checksum and path in ours.zarrs and (found.zarr in unfinished or wanted.names_itself(path)):
            known[path] = there[path] = replace(found, checksum=_UNFINISHED)
        if path not in known:
            known[path] = found
            ours.here.setdefault(path, LocalFile(found.size, found.digest, zarr=True))
    return replace(base, assets=known), there


def with_entries(archive: ArchiveClient, planned: Planned) -> Planned:
    """The plan with what changes within each Zarr; one whose content is not here is refused."""
    found: dict[str, EntryChanges] = {}
    refused: dict[str, UploadStep] = {}
    for step in planned.plan.of(Action.ADD, Action.REPLACE):
        if not step.zarr:
            continue
        local, there = planned.ours.zarrs.get(step.path), planned.theirs.get(step.path)
        if local is None:
            reason = "it is renamed, and its content is not here; name its old path, too"
            refused[step.path] = replace(step, do=Action.REFUSED, reason=reason)
            continue
        changes = compare_with(archive, local, there.zarr if there else "")
        if missing := local.missing(changes.put):
            more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            reason = (
                f"the content of {missing[0]}{more} is not here; get it first: dandi-mirror get {quoted(step.path)}"
            )
            refused[step.path] = replace(step, do=Action.REFUSED, reason=reason)
        else:
            found[step.path] = changes
    steps = tuple(refused.get(step.path, step) for step in planned.plan.steps)
    return replace(planned, entries=found, plan=replace(planned.plan, steps=steps))
