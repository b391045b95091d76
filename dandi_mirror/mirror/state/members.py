"""Check that the repository at a Dandiset's path in a mirror is the dataset that syncs have made there."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dandi_mirror.errors import PartError
from dandi_mirror.model import Instance
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.placement import why_strange
from dandi_mirror.text import quoted

_BRANCHES = ("refs/heads/draft", "refs/heads/published")
_GIT_ANNEX = ("refs/heads/git-annex", "refs/heads/synced/")


class NotAMember(PartError):
    """Something else is at the path of a Dandiset's dataset."""


def check_place(folder: Path) -> None:
    """Check that a dataset is in its folder, and not where a link or a setting of git leads.

    Raises:
        NotAMember: it is elsewhere.
    """
    if why := why_strange(str(folder)):
        raise _refused(folder, f"is not this mirror's own dataset: {why}")


def check_id(dataset: Dataset, instance: Instance, dandiset: str, refs: Collection[str]) -> None:
    """Check that a repository, with these ``refs``, is empty or the dataset that syncs have made of the Dandiset.

    Raises:
        NotAMember: it is another one.
    """
    branch = next((ref for ref in _BRANCHES if ref in refs), None)
    if branch is None:
        others = [ref for ref in refs if ref.startswith("refs/heads/") and not ref.startswith(_GIT_ANNEX)]
        if others:
            raise _refused(dataset.path, f"is a repository that no sync has made: it has a branch {others[0][11:]!a}")
        return
    with dataset.reader() as reader:
        (found,) = reader.read([f"{branch}:.datalad/config"])
    if str(instance.dataset_id(dandiset)).encode() not in (found or b""):
        from dandi_mirror.mirror.format.tree import datalad_config

        raise _refused(
            dataset.path,
            f"is another dataset: its .datalad/config has not the id of {instance.name}:{dandiset}, which is"
            f" {datalad_config(instance, dandiset).split()[-1].decode()}",
        )


def _refused(folder: Path, why: str) -> NotAMember:
    return NotAMember(
        f"{folder} {why}; nothing was written there. To mirror this Dandiset here, move it away: mv {quoted(folder)}"
        f" {folder}.away"
    )
