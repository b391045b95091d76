"""What a repair has set aside in ``.dandi-mirror/damaged``, and whether it was cut off before it took the content back.

No note is kept of a repair that goes on: what is still there to be moved tells the same, whenever it was killed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.files.not_ours import NotOurs
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.verify.content import held_content
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind
from dandi_mirror.model import is_dandiset_id
from dandi_mirror.repo.annex.pointers import OBJECTS_IN_GIT_DIR
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.stream import GITLINK

ASIDE = "damaged"
"""The folder in ``.dandi-mirror`` for what was replaced."""
_NUMBERED = re.compile(r"(.+?)(?:-([0-9]+))?")
_MODULES = "modules"


def made_folder_aside(mirror: Mirror) -> Path:
    """The folder for what is replaced, made if there is none.

    Raises:
        NotOurs: a link or something else has its name.
    """
    folder = mirror.own / ASIDE
    folder.make_folder()
    return folder.path


def folders_aside(mirror: Mirror, name: str) -> list[Path]:
    """Where something of this name was set aside, the last time first.

    Raises:
        NotOurs: the folder of what was set aside is a link or something else.
    """
    folder = mirror.own / ASIDE
    if not folder.is_folder():
        return []
    found = [(int(parts[2] or 1), (folder / each).path) for each in folder.names()
             if (parts := _NUMBERED.fullmatch(each)) and parts[1] == name
             and (folder / each).is_own_folder()]  # fmt: skip
    return [path for _, path in sorted(found, reverse=True)]


def lost_dandisets(mirror: Mirror) -> list[str]:
    """The Dandisets that are not in the mirror, because a repair was cut off after it had set them aside."""
    names = {name[:6] for name in (mirror.own / ASIDE).names()}
    return sorted(name for name in names if is_dandiset_id(name) and is_lost(mirror, name))


def is_lost(mirror: Mirror, dandiset: str) -> bool:
    """Whether a dataset was set aside, and nothing is in its place."""
    return not os.path.lexists(mirror.folder(dandiset)) and bool(folders_aside(mirror, dandiset))


def check_aside(mirror: Mirror, dandiset: str) -> Iterator[Difference]:
    """Content, and Zarrs, that a repair was going to move back into the dataset when it was cut off."""
    if is_lost(mirror, dandiset):
        where = folders_aside(mirror, dandiset)[0].relative_to(mirror.path)
        yield Difference(
            DifferenceKind.OBJECTS, str(where), "a repair was cut off when it had set the dataset aside here"
        )
        return
    for folder in folders_aside(mirror, dandiset):
        count = sum(1 for _ in _moves(folder, Dataset(Path(mirror.folder(dandiset)))))
        if count:
            what = f"a repair was cut off before it moved {count:,} files or folders from here back into the dataset"
            yield Difference(DifferenceKind.CONTENT, str(folder.relative_to(mirror.path)), what)


def finish_replacement(mirror: Mirror, dandiset: str) -> None:
    """Move back what a repair that was cut off has left; a dataset without another in its place comes back as it was.

    Raises:
        DiskError: something cannot be moved.
    """
    place = Path(mirror.folder(dandiset))
    try:
        if is_lost(mirror, dandiset):
            folders_aside(mirror, dandiset)[0].rename(place)
        for folder in folders_aside(mirror, dandiset):
            take_back_content(folder, Dataset(place))
    except OSError as error:
        raise DiskError.of(place, error) from error


def take_back_content(aside: Path, dataset: Dataset) -> None:
    """Move content and installed Zarrs from a dataset that was set aside into the one in its place.

    It may be cut off at any time, and is then repeated.
    """
    for source, target in list(_moves(aside, dataset)):
        if target.is_dir():
            target.rmdir()  # of a Zarr that is not installed; another one is not moved
        if _is_installed(source):
            git(dataset.path, "submodule", "--quiet", "init", "--", str(target.relative_to(dataset.path)))
        move_back(source, target)


def move_back(source: Path, target: Path) -> None:
    """Move a file or folder; git-annex may have made the folder that it is in read-only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source.parent.chmod(source.parent.stat().st_mode | 0o200)
    source.rename(target)


def _moves(aside: Path, dataset: Dataset) -> Iterator[tuple[Path, Path]]:
    """What has to be moved, and where to; nothing that a link in a mirror from somebody else leads to."""
    there = OwnPath(aside, (".git",))
    if there.is_own_folder():
        yield from content_moves(there.path, dataset.git_dir)
        if (modules := there / _MODULES).is_own_folder():
            yield from _module_moves(modules.path, dataset.git_dir / _MODULES)
    if not dataset.exists():
        return
    for path, (mode, _) in dataset.tree("HEAD").items():
        source, here = OwnPath(aside, tuple(path.split("/"))), OwnPath(dataset.path, tuple(path.split("/")))
        if mode == GITLINK and source.is_own_folder() and _is_installed(source.path) and _is_free(here):
            yield source.path, here.path


def _module_moves(modules: Path, there: Path) -> Iterator[tuple[Path, Path]]:
    for source in _repositories(modules):
        target = there / source.relative_to(modules)
        if not target.exists():
            yield source, target


def _is_free(folder: OwnPath) -> bool:
    """Whether a Zarr can be moved there: nothing is in the folder, and no link leads to it."""
    try:
        return not folder.names() if folder.is_folder() else True
    except NotOurs:
        return False


def _is_installed(folder: Path) -> bool:
    """Whether a folder is the work tree of a Zarr; git-annex makes a link of its ``.git``."""
    return os.path.lexists(folder / ".git")


def content_moves(there: Path, here: Path) -> Iterator[tuple[Path, Path]]:
    """The folders of keys that one repository has and another has not; all of them in one, if it has none."""
    if not OwnPath(there, ("annex", "objects")).is_own_folder():
        return
    if not (here / OBJECTS_IN_GIT_DIR).exists():
        if any(held_content(there)):
            yield there / OBJECTS_IN_GIT_DIR, here / OBJECTS_IN_GIT_DIR
        return
    for held in held_content(there):
        folder = held.file.parent
        target = here / folder.relative_to(there)
        if not target.exists():
            yield folder, target


def _repositories(modules: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(modules):
        if "HEAD" in files:
            names.clear()
            yield Path(folder)
