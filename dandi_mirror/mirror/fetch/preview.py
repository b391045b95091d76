"""What a ``get`` would download: preview a Dandiset that is not cloned, check the disk space for several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.names import Name
from dandi_mirror.errors import DiskError, UsageError
from dandi_mirror.mirror.contents.files import Contents
from dandi_mirror.mirror.contents.remote import remote_contents
from dandi_mirror.mirror.contents.selection import FileSelection, pick_within, select
from dandi_mirror.mirror.fetch.get_plan import GetPlan, plan_get
from dandi_mirror.mirror.locate.targets import Target
from dandi_mirror.model import DRAFT
from dandi_mirror.repo.annex.content import AnnexedFile
from dandi_mirror.repo.annex.repository import AnnexRepository, Tracked


def preview_get(
    place: Target, selection: FileSelection, ask: Callable[[Callable[[ArchiveClient], Contents]], Contents]
) -> GetPlan:
    """Return what a ``get`` into a new clone would download, by the mirror to clone, else by the archive.

    ``ask`` calls a function with the archive.

    Raises:
        UsageError: the selection has conditions on metadata, which only a clone can answer.
    """
    version, ref = place.version or DRAFT, ref_of(place)
    source = AnnexRepository(Path(place.source))
    if place.source and source.dataset.exists() and source.dataset.ref(ref):
        source.read_config()
        choice = plan_get(source, selection, f"{ref}^{{commit}}")
        # what is present in the mirror is not in the new clone
        choice.missing, choice.here = [*choice.here, *choice.missing], []
        return choice
    if selection.where:
        raise UsageError(f"--where needs a clone of {place.dandiset}; leave out -n, or --where")
    name = Name(place.dandiset, dandiset=place.dandiset, version=version)
    files = [file for file in ask(lambda archive: remote_contents(name, archive)).files if file.key]
    chosen, nothing = select([file.path for file in files], selection.paths or (".",))
    sized = {file.path: AnnexedFile(file.path, file.key, file.size or 0) for file in files if file.path in chosen}
    times = {file.path: file.time for file in files} if selection.newest else {}
    kept = pick_within(sized.values(), times, selection.most)
    keys = {file.key for file in kept}
    missing = [Tracked(path, file.key, pointer=False) for path, file in sized.items() if file.key in keys]
    return GetPlan(missing=missing, nothing=nothing, beyond=len(sized) - len(missing))


def ref_of(place: Target) -> str:
    """The ref of the version that is meant, in the mirror to clone from."""
    version = place.version or DRAFT
    return f"refs/heads/{DRAFT}" if version == DRAFT else f"refs/tags/{version}"


def check_room(places: Iterable[Target], selection: FileSelection) -> None:
    """Refuse a ``get`` of several datasets that does not fit on the disk; only datasets that are cloned count.

    Raises:
        DiskError: there is not enough space.
    """
    need: dict[int, int] = {}
    for place in places:
        if place.source or place.member_of:
            continue
        clone = AnnexRepository(place.folder)
        clone.prepare()
        size = plan_get(clone, replace(selection, paths=tuple(place.paths)), None).size if place.version is None else 0
        disk = os.stat(place.folder).st_dev  # noqa: PTH116
        need[disk] = need.get(disk, 0) + size
        found = os.statvfs(place.folder)
        if need[disk] > (free := found.f_bavail * found.f_frsize):
            raise DiskError(
                f"the download needs at least {need[disk]:,} bytes and {free:,} are free; "
                "name fewer Dandisets, or set --max-size"
            )
