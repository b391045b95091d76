"""Content that is named by itself, as the file of a Dandiset that has it: by the records of a mirror or clone."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dandi_mirror.archive.names import Name
from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.contents.local import contents_here
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.mirror.search.index import bring_up, opened, path_of
from dandi_mirror.mirror.search.which import Place, Wanted, places
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex.content import keys_at
from dandi_mirror.repo.git.dataset import ANNEX, Dataset


def resolved(name: Name, mirror: Mirror) -> Name | None:
    """The name of the file that an asset or blob is, by Dandiset, version and path; None if nothing here knows it.

    The clone around the current folder is asked first, then the search index of the mirror.
    """
    clone = clone_at(".")
    if clone and name.dandiset in {None, clone.name.dandiset}:
        within = replace(name, dandiset=clone.name.dandiset, version=name.version or clone.name.version)
        if path := _in_clone(within, clone.folder):
            return _file(name, str(clone.name.dandiset), str(within.version), path)
    found: list[Place] = []
    # without an index, and where none can be made, nothing is known
    with suppress(MirrorError):
        if mirror.dandisets():
            bring_up(mirror, lambda dandiset, doing: None)
            with opened(path_of(mirror)) as database:
                found = places(database, mirror, Wanted(asset_id=name.asset or "", blob_id=name.blob or ""))
    fitting = [place for place in found if _fits(place, name)]
    return _file(name, fitting[0].dandiset, name.version or fitting[0].version, fitting[0].path) if fitting else None


def _in_clone(name: Name, folder: Path) -> str:
    if name.asset:
        with suppress(MirrorError):
            found = contents_here(name, folder, folder)
            return found.files[0].path if found and found.files else ""
        return ""
    dataset = Dataset(folder)
    keys = set(keys_at(folder, f"/{name.blob}")) if dataset.ref(ANNEX) else set()
    found = contents_here(replace(name, blob=None), folder, folder) if keys else None
    return next((file.path for file in found.files if file.key in keys), "") if found else ""


def _fits(place: Place, name: Name) -> bool:
    return name.dandiset in {None, place.dandiset} and (name.version is None or name.version in place.versions)


def _file(name: Name, dandiset: str, version: str, path: str) -> Name:
    return replace(name, dandiset=dandiset, version=version, path=path, asset=None, blob=None)
