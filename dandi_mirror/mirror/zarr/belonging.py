"""To which Zarr the commits of a repository belong: each names its Zarr in its message."""

from __future__ import annotations

from collections.abc import Mapping

from dandi_mirror.errors import MirrorError
from dandi_mirror.model import is_asset_id
from dandi_mirror.repo.git.dataset import TAGS, Dataset


def zarr_of(dataset: Dataset, commit: str) -> str:
    """The Zarr of which a commit is a state; empty if it is no state, or cannot be read."""
    try:
        words = dataset.message(commit).partition("\n")[0].split(" ")
    except MirrorError:
        return ""
    return words[1] if len(words) == 2 and words[0] == "Zarr" and is_asset_id(words[1]) else ""


def other_zarr(dataset: Dataset, zarr_id: str, refs: Mapping[str, str], own: frozenset[str] = frozenset()) -> str:
    """Another Zarr than this one, of which a branch or tag in ``refs`` is a state; empty if there is none.

    ``own`` are commits that are known to be states of this Zarr: they are not read.
    """
    unknown = {oid for ref, oid in refs.items() if ref.startswith((TAGS, "refs/heads/"))} - own
    found = {zarr_of(dataset, oid) for oid in unknown} - {"", zarr_id}
    return min(found, default="")
