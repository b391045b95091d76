"""A damaged dataset of a mirror: what is damaged, and the commands that repair it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Container, Iterable
from itertools import chain, count
from pathlib import Path

from dandi_mirror.errors import IntegrityError, MirrorError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.git.damage import why_damaged
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import DamagedError, git
from dandi_mirror.repo.git.superdataset import BRANCH

_MODULES = re.compile(
    r"(?:fatal: )?(?:invalid value for 'submodule\.[^']*'|bad config line \d+ in file \S*\.gitmodules)"
)
"""What git says about a ``.gitmodules`` that it cannot use."""


def damage_of(mirror: Mirror, dandiset: str, error: Exception | None = None) -> str:
    """What is damaged in a Dandiset's dataset and what to type; empty if neither an ``error`` nor its files show it."""
    folder = Path(mirror.folder(dandiset))
    if isinstance(error, DamagedError):
        why = error.why
    elif mirror.is_strange(dandiset):
        return ""
    elif not (dataset := Dataset(folder)).exists():
        lost = not mirror.alone and dandiset in without_repository(mirror, [dandiset])
        why = f"{dataset.git_dir.name} is {'incomplete' if dataset.git_dir.exists() else 'missing'}" if lost else ""
    else:
        why = why_damaged(dataset.git_dir) or (_missing(dataset) if error else "")
    return f"its git repository is damaged ({why}); {_remedy(mirror, dandiset, folder)}" if why else ""


def held_dandisets(mirror: Mirror, besides: Container[str] = ()) -> list[str]:
    """The Dandisets that the mirror holds, also those that lost their repository, without those in ``besides``."""
    here, others = mirror.folders(besides)
    return sorted([*here, *without_repository(mirror, others)])


def without_repository(mirror: Mirror, names: Iterable[str] | None = None) -> list[str]:
    """Of Dandisets that have no repository (None: all such) those that a sync has completed and that have files."""
    names = mirror.folders()[1] if names is None else names
    found = [name for name in names if _has_files(mirror.folder(name)) and not mirror.is_strange(name)]
    memory = mirror.index.read().dandisets if found else {}
    return sorted(name for name in found if name in memory and memory[name].branch)


def _has_files(folder: str) -> bool:
    if Path(folder).is_symlink():  # somebody else's files: they are not listed
        return False
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def superdataset_damage(mirror: Mirror, error: Exception) -> str:
    """What is damaged in the superdataset and what to type; empty if neither an ``error`` nor its files show it.

    Without its git folder, the next sync makes a new superdataset; the datasets are not touched.
    """
    if found := _MODULES.search(str(error)):
        return _bad_modules(mirror.path, found[0])
    dataset = Dataset(mirror.path)
    why = error.why if isinstance(error, DamagedError) else why_damaged(dataset.git_dir) or _missing(dataset)
    if not why:
        return ""
    aside = _free(mirror.own.path / "superdataset.git.damaged")
    move = shlex.join(["mv", str(mirror.path / ".git"), str(aside)])
    again = shlex.join(["dandi-mirror", "sync", "-d", str(mirror.path)])
    return f"its git repository is damaged ({why}); move that away and sync again: {move}, then {again}"


def _bad_modules(folder: Path, why: str) -> str:
    put_back = shlex.join(["rm", str(folder / ".gitmodules")])
    put_back += " && " + shlex.join(["git", "-C", str(folder), "checkout", BRANCH, "--", ".gitmodules"])
    return f"git does not accept its .gitmodules ({why}); put back the one that the last sync wrote: {put_back}"


def refuse_other_folder(mirror: Mirror, dataset_id: str) -> None:
    """Refuse a folder that is something else than a mirror of the archive; see :meth:`.Mirror.check_archive`.

    Raises:
        UsageError: it is something else.
        IntegrityError: it is damaged.
    """
    try:
        mirror.check_archive(dataset_id)
    except DamagedError as error:
        raise IntegrityError(f"the superdataset: {superdataset_damage(mirror, error)}") from error


def _missing(dataset: Dataset) -> str:
    """What git says about an object that a branch or tag points to, and that is lost; empty if all are there."""
    try:
        git(dataset.path, "for-each-ref", "--format=%(objecttype)")
    except DamagedError as error:
        return error.why
    except MirrorError:
        return ""
    return ""


def _remedy(mirror: Mirror, dandiset: str, folder: Path) -> str:
    aside = _free(Path(f"{folder}.damaged"))
    move = shlex.join(["mv", str(folder), str(aside)])
    if mirror.alone:
        return f"move it away and clone it again: {move}, then dandi-mirror get {dandiset}"
    where = ["-d", str(mirror.path)]
    repair = shlex.join(["dandi-mirror", "verify", dandiset, "--repair", *where])
    again = shlex.join(["dandi-mirror", "sync", dandiset, *where])
    return (
        f"to repair it and keep the content that is here: {repair}; if that fails, move it away and sync it again: "
        f"{move}, then {again}"
    )


def _free(path: Path) -> Path:
    """A name like ``path`` that is not taken yet."""
    names = chain([path], (Path(f"{path}-{number}") for number in count(2)))
    return next(name for name in names if not name.exists())
