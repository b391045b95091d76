"""Cite a version that is here, by the command and by the interface alike; asks no archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dandi_mirror.mirror.history.citation import Citation
    from dandi_mirror.repo.git.dataset import Dataset

SHOWN = 5
"""How many versions are named."""


def citation(dataset: Dataset, dandiset: str, wanted: str) -> Citation:
    """The citation of a published version, of ``draft``, or of the id of a commit of the draft.

    Raises:
        UsageError: the dataset does not have it; the message names the versions that it has.
        PartError: no sync has made it.
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.history.cited import cited
    from dandi_mirror.mirror.locate.versions import commit_of_version

    if not wanted:
        raise UsageError(f"{dandiset}: name the version to cite; {_have(dandiset, published(dataset))}")
    state = commit_of_version(dataset, dandiset, wanted)
    return cited(dataset, state.commit, state.seconds)


def published(dataset: Dataset) -> list[str]:
    """The published versions that are here, oldest first."""
    from dandi_mirror.model import is_version_id

    names = {ref.removeprefix("refs/tags/") for ref in dataset.refs() if ref.startswith("refs/tags/")}
    return sorted(name for name in names - dataset.light_tags() if is_version_id(name))


def _have(dandiset: str, tags: list[str]) -> str:
    """Name the published versions that are here, the newest first."""
    if not tags:
        return f"{dandiset} has no published version here; to cite its draft: dandi-mirror cite {dandiset}@draft"
    shown = ", ".join(f"{dandiset}@{tag}" for tag in tags[::-1][:SHOWN])
    return f"there {'are' if len(tags) > 1 else 'is'} {shown}" + (", …" if len(tags) > SHOWN else "")
