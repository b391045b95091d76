"""What changed in Zarrs between two states, by the manifests on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dandi_mirror.mirror.contents.files import Contents, VersionFile
    from dandi_mirror.mirror.contents.local_zarrs import LocalZarrs
    from dandi_mirror.mirror.history.compared import ComparedFile
    from dandi_mirror.mirror.history.diff import Pair
    from dandi_mirror.mirror.zarr.differences import EntryChange, ZarrChanges
    from dandi_mirror.repo.git.dataset import Dataset

_CHECKSUM = r"[0-9a-f]{32}-[0-9]{1,8}--[0-9]{1,19}"
_STATES = re.compile(rf"(.+)@({_CHECKSUM})(?:\.\.({_CHECKSUM})?)?")


class ZarrComparer:
    """Compares states of the Zarrs of one dataset."""

    def __init__(self, dataset: Dataset, dandiset: str, mirror_path: Path) -> None:
        self._where = dataset, dandiset, mirror_path

    @cached_property
    def _zarrs(self) -> LocalZarrs:
        from dandi_mirror.mirror.contents.local_zarrs import LocalZarrs

        return LocalZarrs(*self._where)

    def pair(self, pair: Pair, on_change: Callable[[EntryChange], object] = lambda change: None) -> ZarrChanges:
        """Compare a Zarr of two versions; raises as :meth:`states`."""
        return self.states(_zarr_of(pair.old), _zarr_of(pair.new), on_change)

    def states(
        self, old: VersionFile, new: VersionFile, on_change: Callable[[EntryChange], object] = lambda change: None
    ) -> ZarrChanges:
        """Compare two states of a Zarr.

        Raises:
            NotFoundError: the entries of one are not known on this machine.
            BadManifest: a manifest is damaged.
        """
        from dandi_mirror.mirror.zarr.differences import compare_states

        return compare_states(self._zarrs.entries(old), self._zarrs.entries(new), on_change)


def _zarr_of(file: ComparedFile) -> VersionFile:
    from dandi_mirror.mirror.contents.files import VersionFile

    return VersionFile(file.path, file.size, "", zarr=file.zarr, checksum=file.checksum)


@dataclass(frozen=True, slots=True)
class TwoStates:
    """Two states of one Zarr that somebody wants to compare."""

    contents: Contents
    """The version that has the Zarr."""
    old: VersionFile
    new: VersionFile
    comparer: ZarrComparer


def read_states(text: str, mirror_path: Path) -> TwoStates | None:
    """Read ``000108/sub-1/x.ome.zarr@CHECKSUM..CHECKSUM``; None if the text names no states of a Zarr.

    Without the second checksum, the state that the dataset has counts.

    Raises:
        UsageError, NotFoundError: the text names no Zarr that is on this machine.
    """
    from dandi_mirror.errors import NotFoundError, UsageError
    from dandi_mirror.mirror.contents.local import local_contents
    from dandi_mirror.workflows.names.zarr_names import read_zarr_place

    found = _STATES.fullmatch(text)
    if not found:
        return None
    name, folder = read_zarr_place(found[1], mirror_path)
    contents = local_contents(name, mirror_path, folder)
    if contents is None or not contents.dataset:
        raise NotFoundError(f"{found[1]} is not in {mirror_path}; name a mirror that has it: -d DIR")
    zarr = contents.files[0] if len(contents.files) == 1 else None
    if name.entry or not zarr or not zarr.zarr or (name.path and zarr.path != name.path):
        raise UsageError(f"{found[1]} is no Zarr; a state stands behind the path of one")
    comparer = ZarrComparer(contents.dataset, contents.dandiset, mirror_path)
    return TwoStates(contents, zarr.in_state(found[2]), zarr.in_state(found[3]) if found[3] else zarr, comparer)
