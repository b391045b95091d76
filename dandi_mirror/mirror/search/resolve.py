"""Find the file that an asset id or a blob URL identifies, from the records of a mirror or clone."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dandi_mirror.archive.names import Name
from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.contents.local import local_contents
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.mirror.search.index import opened, path_of, update_index
from dandi_mirror.mirror.search.which import ContentIdentifier, Occurrence, occurrences
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex.content import keys_at
from dandi_mirror.repo.git.dataset import ANNEX, Dataset


def resolved(name: Name, mirror: Mirror) -> Name | None:
    """Return the name of an asset's or blob's file by Dandiset, version and path; None if it is not known here.

    It is looked up in the clone around the current folder, then in the search index of the mirror.
    """
    clone = clone_at(".")
    if clone and name.dandiset in {None, clone.name.dandiset}:
        within = replace(name, dandiset=clone.name.dandiset, version=name.version or clone.name.version)
        if path := _in_clone(within, clone.folder):
            return _file(name, str(clone.name.dandiset), str(within.version), path)
    found: list[Occurrence] = []
    # without an index that can be read or made, the mirror has no answer
    with suppress(MirrorError):
        if mirror.dandisets():
            update_index(mirror, lambda dandiset, doing: None)
            with opened(path_of(mirror)) as database:
                found = occurrences(
                    database, mirror, ContentIdentifier(asset_id=name.asset or "", blob_id=name.blob or "")
                )
    fitting = [place for place in found if _fits(place, name)]
    return _file(name, fitting[0].dandiset, name.version or fitting[0].version, fitting[0].path) if fitting else None


def _in_clone(name: Name, folder: Path) -> str:
    """Return the path of the file in a clone; empty if the clone does not have it."""
    if name.asset:
        with suppress(MirrorError):
            found = local_contents(name, folder, folder)
            return found.files[0].path if found and found.files else ""
        return ""
    dataset = Dataset(folder)
    keys = set(keys_at(folder, f"/{name.blob}")) if dataset.ref(ANNEX) else set()
    found = local_contents(replace(name, blob=None), folder, folder) if keys else None
    return next((file.path for file in found.files if file.key in keys), "") if found else ""


def _fits(place: Occurrence, name: Name) -> bool:
    return name.dandiset in {None, place.dandiset} and (name.version is None or name.version in place.versions)


def _file(name: Name, dandiset: str, version: str, path: str) -> Name:
    return replace(name, dandiset=dandiset, version=version, path=path, asset=None, blob=None)
