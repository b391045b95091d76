"""Check what a mirror keeps beside its datasets: the superdataset, the index, and what each dataset remembers."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

from dandi_mirror.errors import MirrorError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.state import last_sync, sqlite_cache
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind, fixed_by_sync
from dandi_mirror.mirror.verify.repository import check_files, check_objects
from dandi_mirror.model import Instance, is_dandiset_id
from dandi_mirror.repo.git.dataset import Dataset

_SYNC = "dandi-mirror sync"
_SECTION = re.compile(r'\[submodule "([0-9]{6})"\]\n\tpath = (\S+)\n\turl = (\S+)\n\tdatalad-id = (\S+)\n')
_CACHES = ("search.sqlite", "pushed.sqlite")


def check_superdataset(mirror: Mirror, instance: Instance) -> Iterator[Difference]:
    """The differences between the superdataset and the datasets that are there."""
    dataset = mirror.superdataset.dataset
    here = mirror.dandisets()
    if not dataset.exists():
        if here:
            yield Difference(DifferenceKind.SUPERDATASET, ".git", "the superdataset is missing")
        return
    damage = [*check_files(dataset), *check_objects(dataset)]
    yield from damage
    if damage:
        return
    members = mirror.superdataset.members()
    for dandiset in here:
        branch = _branch(mirror, dandiset)
        if dandiset not in members:
            yield fixed_by_sync(DifferenceKind.SUPERDATASET, dandiset, "it is not registered", _SYNC)
        elif branch and members[dandiset] != branch:
            what = f"it is registered at {members[dandiset][:10]}, and its branch is at {branch[:10]}"
            yield fixed_by_sync(DifferenceKind.SUPERDATASET, dandiset, what, _SYNC)
    for dandiset in sorted(name for name in members if is_dandiset_id(name) and name not in here):
        remedy = f"{_SYNC} {dandiset}; or, if it is to stay away: {mirror.superdataset.take_out(dandiset)}"
        yield fixed_by_sync(DifferenceKind.SUPERDATASET, dandiset, "it is registered, but not here", remedy)
    yield from _check_modules(mirror, instance, members)


def _check_modules(mirror: Mirror, instance: Instance, members: dict[str, str]) -> Iterator[Difference]:
    dataset = mirror.superdataset.dataset
    with dataset.reader() as reader:
        (content,) = reader.read([f"{mirror.superdataset.head()}:.gitmodules"])
    text = (content or b"").decode(errors="replace")
    found = {name: (path, url, oid) for name, path, url, oid in _SECTION.findall(text)}
    for dandiset in sorted(members):
        expected = (dandiset, f"./{dandiset}", str(instance.dataset_id(dandiset)))
        if found.get(dandiset) != expected:
            what = f"it does not describe {dandiset} as a sync does"
            yield Difference(DifferenceKind.SUPERDATASET, ".gitmodules", what)


def check_index(mirror: Mirror) -> Iterator[Difference]:
    """The differences between the index and the datasets."""
    name = str(mirror.index)
    memory = mirror.index.read()
    if memory.spoilt:
        yield fixed_by_sync(DifferenceKind.MEMORY, name, "the index cannot be read", _SYNC)
        return
    for dandiset in mirror.dandisets():
        then, branch = memory.dandisets.get(dandiset), _branch(mirror, dandiset)
        if then is None:
            yield fixed_by_sync(DifferenceKind.MEMORY, name, f"the index does not know {dandiset}", _SYNC)
        elif then.branch != branch and not then.failure:
            at = f"is at {branch[:10]}" if branch else "has no commit"
            what = f"the index has {dandiset} at {then.branch[:10] or 'no commit'}, and its branch {at}"
            yield fixed_by_sync(DifferenceKind.MEMORY, name, what, _SYNC)
        elif not then.failure and mirror.last_sync(dandiset) is None and not mirror.is_strange(dandiset):
            what = "what it remembers of its last sync is lost; it is needed only if the index is lost, too"
            where = f"{dandiset}/.git/{last_sync.NAME}"
            yield fixed_by_sync(DifferenceKind.MEMORY, where, what, f"{_SYNC} {dandiset} --mode force")


def check_caches(mirror: Mirror) -> Iterator[Difference]:
    """SQLite files that can be made again, and that cannot be read."""
    for file, said in spoilt_caches(mirror):
        yield fixed_by_sync(
            DifferenceKind.MEMORY, str(file), f"it cannot be read ({said}); it can be made again", f"rm {file}"
        )


def spoilt_caches(mirror: Mirror) -> Iterator[tuple[OwnPath, str]]:
    """These files, each with what SQLite says."""
    known = mirror.own / "known"
    files = [mirror.own / name for name in _CACHES]
    files += [known / name for name in (known.names(".sqlite") if known.is_folder() else [])]
    for file in files:
        if not file.check():
            continue
        try:
            with sqlite_cache.opened(file, ()) as database:
                (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except (sqlite3.Error, OSError, MirrorError) as error:
            said = str(error)
        if said != "ok":
            yield file, said


def _branch(mirror: Mirror, dandiset: str) -> str:
    if mirror.is_strange(dandiset):
        return ""
    dataset = Dataset(mirror.path / dandiset)
    return dataset.ref("refs/heads/draft") or dataset.ref("refs/heads/published") or ""
