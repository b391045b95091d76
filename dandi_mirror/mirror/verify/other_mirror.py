"""Compare the tags of a dataset with those of another mirror; nothing but the names and ids of refs is exchanged."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind, fixed_by_sync
from dandi_mirror.model import is_version_id
from dandi_mirror.repo.git.dataset import TAGS, Dataset
from dandi_mirror.repo.git.process import git

_ASK = "verify each of the two with the archive: dandi-mirror verify"


def refs_there(folder: Path, place: str) -> dict[str, str]:
    """The refs of a repository at a path or URL: name → object id.

    Raises:
        MirrorError: it cannot be read.
    """
    listing = git(folder, "ls-remote", "--quiet", "--", place, remotes=True).decode(errors="replace")
    return {name: oid for oid, _, name in (line.partition("\t") for line in listing.splitlines())}


def is_local(other: str) -> bool:
    """Whether a mirror is named by its path on this machine, not by a URL or ``HOST:PATH``."""
    return ":" not in other.partition("/")[0]


def dataset_of_mirror(other: str, dandiset: str) -> str:
    """Where another mirror has a Dandiset's dataset; ``other`` is its path, of this machine or another, or URL.

    A path of this machine is absolute: git would read another one from the folder in which it is started.
    """
    if "://" in other:
        return f"{other.rstrip('/')}/{dandiset}/.git"
    if not is_local(other):
        return f"{other.rstrip('/')}/{dandiset}"
    return str(Path(other).absolute() / dandiset)


def check_against(dataset: Dataset, dandiset: str, other: str) -> Iterator[Difference]:
    """The published versions of which another mirror has another tag; and whether its branch is at the same commit."""
    place = dataset_of_mirror(other, dandiset)
    if is_local(other) and not os.path.lexists(place):
        remedy = f"mirror it there: dandi-mirror sync {dandiset} -d {shlex.quote(other)}"
        yield fixed_by_sync(DifferenceKind.MIRROR, other, f"it does not hold {dandiset}", remedy)
        return
    try:
        there = refs_there(dataset.path, place)
    except MirrorError as error:
        yield fixed_by_sync(DifferenceKind.MIRROR, other, f"it cannot be read: {error}", "look at the other mirror")
        return
    yield from compared(dataset.refs(), there, other)


def compared(here: Mapping[str, str], there: Mapping[str, str], other: str) -> Iterator[Difference]:
    """The differences between the tags of two mirrors, which must be equal.  Pure.

    Branches are not compared: their history depends on when each mirror asked the archive.
    """
    ours, theirs = _versions(here), _versions(there)
    for version in sorted(ours.keys() & theirs.keys()):
        if ours[version] != theirs[version]:
            what = f"{other} has {theirs[version][:10]}, this mirror has {ours[version][:10]}"
            yield Difference(DifferenceKind.MIRROR, TAGS + version, what, _ASK)
    for version in sorted(theirs.keys() - ours.keys()):
        what = f"{other} has this version, this mirror does not"
        yield fixed_by_sync(DifferenceKind.MIRROR, TAGS + version, what, "dandi-mirror sync")


def _versions(refs: Mapping[str, str]) -> dict[str, str]:
    return {name[len(TAGS) :]: oid for name, oid in refs.items() if is_version_id(name.removeprefix(TAGS))}
