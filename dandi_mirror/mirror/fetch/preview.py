"""What a ``get`` would come to, before anything is fetched: of a Dandiset that is not cloned, of many at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from dandi_mirror.archive.api.client import Archive
from dandi_mirror.archive.names import Name
from dandi_mirror.errors import DiskError, UsageError
from dandi_mirror.mirror.contents.local import Contents
from dandi_mirror.mirror.contents.remote import contents_there
from dandi_mirror.mirror.contents.selection import Wish, matching, pick
from dandi_mirror.mirror.fetch.get import Choice, choose
from dandi_mirror.mirror.locate.targets import Target
from dandi_mirror.model import DRAFT
from dandi_mirror.repo.annex.clone import Clone, Tracked
from dandi_mirror.repo.annex.content import Annexed


def foreseen(place: Target, wish: Wish, ask: Callable[[Callable[[Archive], Contents]], Contents]) -> Choice:
    """What would come into a clone that is not made: by the mirror that it would be of, else by the archive.

    ``ask`` asks the archive.

    Raises:
        UsageError: there are conditions that only a clone knows the answer to.
    """
    version = place.version or DRAFT
    ref = f"refs/heads/{DRAFT}" if version == DRAFT else f"refs/tags/{version}"
    source = Clone(Path(place.source))
    if place.source and source.dataset.exists() and source.dataset.ref(ref):
        source.read_config()
        choice = choose(source, wish, f"{ref}^{{commit}}")
        # what the mirror has is not here yet
        choice.missing, choice.here = [*choice.here, *choice.missing], []
        return choice
    if wish.where:
        raise UsageError(f"--where is known when {place.dandiset} is cloned; leave out -n, or --where")
    name = Name(place.dandiset, dandiset=place.dandiset, version=version)
    files = [file for file in ask(lambda archive: contents_there(name, archive)).files if file.key]
    chosen, nothing = matching([file.path for file in files], wish.paths or (".",))
    sized = {file.path: Annexed(file.path, file.key, file.size or 0) for file in files if file.path in chosen}
    kept = pick(sized.values(), {file.path: file.time for file in files} if wish.newest else {}, wish.most)
    keys = {file.key for file in kept}
    missing = [Tracked(path, file.key, pointer=False) for path, file in sized.items() if file.key in keys]
    return Choice(missing=missing, nothing=nothing, beyond=len(sized) - len(missing))


def check_room(places: Iterable[Target], wish: Wish) -> None:
    """Refuse what cannot fit, of several datasets together; of those that are not here, nothing is known.

    Raises:
        DiskError: there is not so much room.
    """
    need: dict[int, int] = {}
    for place in places:
        if place.source or place.member_of:
            continue
        clone = Clone(place.folder)
        clone.prepare()
        size = choose(clone, replace(wish, paths=tuple(place.paths)), None).size if place.version is None else 0
        disk = os.stat(place.folder).st_dev  # noqa: PTH116
        need[disk] = need.get(disk, 0) + size
        found = os.statvfs(place.folder)
        if need[disk] > (free := found.f_bavail * found.f_frsize):
            raise DiskError(
                f"{need[disk]:,} bytes and more are to come and {free:,} are free; name Dandisets, or set --max-size"
            )
