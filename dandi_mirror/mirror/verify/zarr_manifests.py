"""Check the manifests of Zarrs: each state that a dataset names has one, which is whole, and no others are there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from dandi_mirror.errors import MirrorError, NotFoundError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind, fixed_by_sync
from dandi_mirror.mirror.verify.sample import Window
from dandi_mirror.mirror.verify.zarr_states import NamedZarrState, ZarrsOfDataset, named_states
from dandi_mirror.mirror.zarr.manifests import FOLDER, Manifests
from dandi_mirror.mirror.zarr.repository import repository_name
from dandi_mirror.model import is_asset_id
from dandi_mirror.zarr_checksum import counts_of, is_checksum

SMALL = 10_000
"""Entries of a Zarr whose checksum and logs are always computed anew; larger ones if they are in the share."""
ORPHANED = 86_400.0
"""Seconds after which a manifest counts as left behind: a sync writes it before the commit that names it."""


def is_examined(state: NamedZarrState, window: Window) -> bool:
    """Whether what follows from the entries of a state is computed; that takes a minute for millions of them."""
    return counts_of(state.checksum)[0] <= SMALL or window.has(state.manifest)


def check_manifests(manifests: Manifests, zarrs: ZarrsOfDataset, window: Window) -> Iterator[Difference]:
    """The manifests that are missing or damaged, and the gitlinks that are not the commit of their manifest."""
    for state in zarrs.states():
        try:
            found = manifests.verified(*state, entries=is_examined(state, window))
        except NotFoundError:
            yield Difference(DifferenceKind.MANIFEST, state.manifest, "the manifest is missing")
            yield from _check_links(manifests, state, zarrs.commits.get(state, {}))
            continue
        except MirrorError as error:
            yield Difference(
                DifferenceKind.MANIFEST, state.manifest, f"the manifest is damaged: {error.__cause__ or error}"
            )
            continue
        for commit, where in zarrs.commits.get(state, {}).items():
            if commit != found.commit:
                what = f"the gitlink is {commit[:10]}, and the manifest gives {found.commit[:10]}"
                yield Difference(DifferenceKind.RECORD, where, what)


def _check_links(manifests: Manifests, state: NamedZarrState, commits: Mapping[str, str]) -> Iterator[Difference]:
    """The gitlinks of a state without a manifest that are the commit of another state: the name is wrong, not they."""
    known = {}
    for checksum in manifests.states(state.zarr_id):
        with suppress(MirrorError):
            known[manifests.state(state.zarr_id, checksum).commit] = checksum
    for commit, where in commits.items():
        if commit in known:
            what = f".gitmodules names another state than the gitlink, which is {known[commit]}"
            yield Difference(DifferenceKind.RECORD, where, what)


def check_orphans(mirror: Mirror, now: float | None = None) -> Iterator[Difference]:
    """Manifests and repositories of Zarrs that no commit of any dataset names; they do no harm.

    Says nothing if a dataset cannot be read: it may name them.
    """
    old = (time.time() if now is None else now) - ORPHANED
    here = [path for path in _files(mirror.path / FOLDER) if path.lstat().st_mtime < old]
    if not here:
        return
    try:
        named = (state for dandiset in mirror.dandisets() for state in named_states(mirror.dataset(dandiset)))
        known = {name for state in named for name in (state.manifest, repository_name(state.zarr_id))}
    except MirrorError:
        return
    for path in here:
        name = str(path.relative_to(mirror.path))
        if name not in known:
            kind = DifferenceKind.ZARR if name.endswith(".git") else DifferenceKind.MANIFEST
            yield fixed_by_sync(kind, name, "no dataset names it", "")


def _files(folder: Path) -> Iterator[Path]:
    """The manifests and repositories below ``zarr``."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for where in folder.glob("[0-9a-f][0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f]/*"):
        if where.name.endswith(".git") and is_asset_id(where.name.removesuffix(".git")):
            yield where
        elif is_asset_id(where.name) and not where.is_symlink():
            yield from (Path(entry.path) for entry in os.scandir(where) if is_checksum(entry.name))
