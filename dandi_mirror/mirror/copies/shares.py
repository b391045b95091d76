"""What a mirror would hold of its Dandisets, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from dandi_mirror.mirror.copies.places import RepositoryCopies
from dandi_mirror.mirror.copies.planner import HoldKey, HoldPlan
from dandi_mirror.mirror.copies.repositories import MirrorRepository
from dandi_mirror.mirror.copies.zarrs import ZarrOfVersions
from dandi_mirror.mirror.fetch.get import GetResult
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.text import human_size

LEAST = 2
"""Copies that have to be elsewhere before anything is given up, also where git-annex asks for fewer."""
WANTED = "present"
"""The expression by which git-annex leaves to ``hold`` what a repository holds."""
LEAVE_OUT = "leave out"
"""What becomes of a Zarr for which there is no room."""
Where = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class ToHold:
    """One repository with what the planner has to know of it."""

    repository: MirrorRepository
    clone: AnnexRepository
    copies: RepositoryCopies
    paths: Mapping[str, str]
    """A path of each key that a version has."""
    keys: tuple[HoldKey, ...]
    numcopies: int
    wanted: str
    """The expression of git-annex that says what this repository wants; empty if there is none."""
    zarr: ZarrOfVersions | None = None
    missing: frozenset[str] | None = None
    """Of a Zarr: the keys that may be fetched; None if that is all of them."""

    @property
    def needed(self) -> int:
        """How many copies have to be elsewhere before content is given up."""
        return max(LEAST, self.numcopies)


@dataclass(frozen=True, slots=True)
class Share:
    """What a mirror would hold of its Dandisets."""

    repositories: tuple[ToHold, ...]
    plan: HoldPlan

    def by_repository(self, keys: Iterable[HoldKey]) -> Iterator[tuple[ToHold, list[HoldKey]]]:
        """Each repository with those of these keys that are its, in their order."""
        found: dict[str, list[HoldKey]] = {}
        for key in keys:
            found.setdefault(key.name.partition("/")[0], []).append(key)
        yield from ((held, found.get(held.repository.name, [])) for held in self.repositories)

    def shown(self, keys: Iterable[HoldKey]) -> Iterator[HoldResult]:
        """What the plan means to do with these keys, in their order; a Zarr is one."""
        known = {held.repository.name: held for held in self.repositories}
        for key in keys:
            name, _, rest = key.name.partition("/")
            held, what = known[name], "give up" if key.here else "fetch"
            path = held.zarr.path if held.zarr else held.paths.get(rest, rest)
            yield HoldResult(held.repository.dandiset, path, held.zarr.newest if held.zarr else rest, key.size, what)

    def left_out(self) -> Iterator[HoldResult]:
        """The Zarrs for which the pledge has no room."""
        keys = self.plan.left_out
        for one in self.shown(keys):
            yield replace(one, what=LEAVE_OUT, status="impossible", message=no_room(one.size, self.plan.room))


@dataclass(frozen=True, slots=True)
class HoldResult:
    """What became of one key."""

    dandiset: str
    path: str
    key: str
    size: int
    """Bytes."""
    what: str
    """``fetch``, ``give up`` or ``leave out``."""
    status: str = "ok"
    """DataLad's words: ``ok``, ``error``, ``impossible``."""
    message: str = ""
    exit_code: int = 0


def no_room(size: int, room: int) -> str:
    """Why a Zarr of ``size`` bytes is not held if the pledge has ``room`` left."""
    return (
        f"the Zarr has {human_size(size)}, and {human_size(room)} of the pledge are left: it needs "
        f"{human_size(size - room)} more; a Zarr is held whole or not at all"
    )


def name_of(key: HoldKey) -> str:
    """The name of a key within its repository."""
    return key.name.partition("/")[2]


def path_of(held: ToHold, key: str) -> str:
    """A path of a key, if a version has it."""
    return held.zarr.path if held.zarr else held.paths.get(key, key)


def fetched(held: ToHold, path: str, got: GetResult) -> HoldResult:
    """What became of a key that was to be fetched."""
    where = held.repository.dandiset
    return HoldResult(where, path, got.key, got.size, "fetch", got.status, got.message, got.exit_code)
