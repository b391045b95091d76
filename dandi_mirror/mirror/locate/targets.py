"""Where what a person names is on this machine: in a clone, in a mirror, or in a clone that is yet to be made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dandi_mirror.archive.instances import may_be
from dandi_mirror.archive.names import Name
from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.mirror.state.layout import Mirror, mirror_at
from dandi_mirror.model import DRAFT
from dandi_mirror.repo.annex.clone import make_clone
from dandi_mirror.repo.git.files import place_of
from dandi_mirror.repo.git.siblings import install

OFFICIAL = {"dandi": "https://github.com/dandisets/{dandiset}"}
"""Mirrors that others keep, by instance; asked where no mirror on this machine has a Dandiset."""


@dataclass(slots=True)
class Place:
    """A dataset, and what of it is meant."""

    folder: Path
    """The top of its work tree."""
    dandiset: str = ""
    """Its id; empty for a clone that is named by its path."""
    version: str | None = None
    """Of which the files are meant; None: of what is checked out."""
    source: str = ""
    """What it is to be cloned from; empty: it is there."""
    paths: list[str] = field(default_factory=list)
    """Files, folders and globs from its top; empty: all."""
    member_of: Path | None = None
    """The clone of a mirror into which it is to be installed, as one of its Dandisets; None: it is none, or there."""


def read_places(
    texts: Iterable[str], read_name: Callable[[str], Name], mirror: Mirror, archive_of: Callable[[Name], str]
) -> list[Place]:
    """The datasets that are meant, each once for a version, in the order in which they are named.

    What is on this machine is a path, but for a folder called by its id; else it is a name if it can be; else a path
    in the dataset that was named before it, or in the one around the current folder.  ``archive_of`` says of which
    archive a name is, by the name that it is known by, else its API.

    Raises:
        UsageError: something is neither, or a Dandiset is nowhere to be had, or is another archive's here.
    """
    places: dict[tuple[Path, str | None], Place] = {}
    last: Place | None = None
    whole: set[int] = set()
    for text in texts:
        if top := mirror_at(text):
            for place in _installed(top):
                places.setdefault((place.folder, None), place)
            continue
        # an id stays one where its folder is: paths may come after it
        if (last is None or not last.dandiset) and (clone := clone_at(text)) and text.strip("/") != clone.name.dandiset:
            last = places.setdefault((clone.folder, None), Place(clone.folder))
            last.paths.append(clone.name.path or ".")
            continue
        try:
            name = read_name(text)
        except UsageError:
            last = last or _around(places)
            if last is None:
                raise
            last.paths.append(text if last.dandiset else _from_top(last.folder, text))
            continue
        made = _named(name, mirror, archive_of(name))
        last = places.setdefault((made.folder, made.version), made)
        parts = [part for part in (name.path, name.prefix and name.prefix + "*", name.glob) if part]
        last.paths += parts
        whole |= set() if parts else {id(last)}
    return list(places.values())


def _installed(mirror: Mirror) -> list[Place]:
    """All Dandisets of a mirror that are here."""
    if here := mirror.dandisets():
        return [Place(mirror.dataset(dandiset).path, dandiset, paths=["."]) for dandiset in here]
    raise UsageError(f"none of the Dandisets of {mirror.path} is installed; name one: {mirror.registered()[0]}")


def _around(places: dict[tuple[Path, str | None], Place]) -> Place | None:
    clone = clone_at(".")
    return places.setdefault((clone.folder, None), Place(clone.folder)) if clone else None


def _from_top(folder: Path, text: str) -> str:
    """A path as it is typed here, from the top of a work tree; it need not be there."""
    path = os.path.relpath(place_of(Path.cwd().resolve() / text), folder)
    if path.startswith("../"):
        raise UsageError(f"{text} is not in {folder}")
    return path


def _named(name: Name, mirror: Mirror, instance: str) -> Place:
    """Where a Dandiset is that is named by its id."""
    if name.zarr or name.entry:
        raise UsageError(f"datasets do not hold Zarrs yet; as plain files: dandi-mirror download {name.text}")
    if not name.dandiset:
        raise UsageError(f"{name.text} does not say of which Dandiset it is; write its id, as 000004")
    if name.asset or name.blob:
        raise UsageError(f"{name.text} is no file of a version by its path; name the path: {name.dandiset} PATH")
    here = Path.cwd().resolve()
    known = name.dandiset in mirror.dandisets() and mirror.dataset(name.dandiset).exists()
    has = known and _is_of(mirror.path / name.dandiset, name)
    if has and here.is_relative_to(mirror.path.resolve()):
        return Place(mirror.path / name.dandiset, name.dandiset, name.version)
    if (around := clone_at(".")) and around.name.dandiset == name.dandiset and _is_of(around.folder, name):
        return Place(around.folder, name.dandiset, name.version)
    folder = here / name.dandiset
    if not has and name.dandiset in mirror.registered() and here.is_relative_to(top := mirror.path.resolve()):
        return Place(top / name.dandiset, name.dandiset, name.version, member_of=top)
    if (clone := clone_at(str(folder))) and clone.folder == folder and _is_of(folder, name):
        return Place(folder, name.dandiset, name.version)
    if folder.exists():
        raise UsageError(f"{folder} is there and is no clone of {name.dandiset}; go to another folder")
    if has:
        return Place(folder, name.dandiset, name.version, str(mirror.path.resolve() / name.dandiset))
    return Place(folder, name.dandiset, name.version, _official(name, instance))


def _official(name: Name, instance: str) -> str:
    """Where others keep a mirror of a Dandiset."""
    if instance in OFFICIAL:
        return OFFICIAL[instance].format(dandiset=name.dandiset)
    raise UsageError(
        f"no mirror of {name.dandiset} of {instance} is known; make one "
        f"(dandi-mirror sync {name.dandiset} -i {instance} -d DIR) and name it: -d DIR"
    )


def _is_of(folder: Path, name: Name) -> bool:
    """Whether a dataset is of the archive that a name says.

    Raises:
        UsageError: it is another's of the same id.
    """
    clone = clone_at(str(folder))
    called = (clone.name.instance if clone else "") or ""
    if may_be(name.instance, called):
        return True
    raise UsageError(
        f"{folder} is {called.upper()}:{name.dandiset}, and {name.text} says {name.instance}; go to another folder, or "
        "name a mirror of that archive: -d DIR"
    )


def make(place: Place) -> None:
    """Clone what is not here yet.

    Raises:
        DiskError, GitError, PartError: it cannot be.
    """
    if place.member_of:
        install(place.member_of, place.dandiset)
    else:
        make_clone(place.source, place.folder, place.version or DRAFT)
