"""Where the entries of Zarrs that are downloaded are known: on this machine by a manifest, else at the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.workflows.access import tokens

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name
    from dandi_mirror.mirror.contents.files import Contents, VersionFile
    from dandi_mirror.mirror.contents.local_zarrs import LocalZarrs
    from dandi_mirror.mirror.fetch.zarr_parts import Surroundings


@dataclass(slots=True)
class ZarrSource:
    """The Zarrs that one name of a download means."""

    name: Name
    archive: str
    mirror_path: Path
    hosts: frozenset[str]
    local: LocalZarrs | None = None
    """Those of the dataset on this machine, if it has the version."""
    _wanted: dict[str, VersionFile] = field(default_factory=dict)
    """The Zarrs whose entries are named, by id."""
    _published: bool = False

    def expanded(self, found: Contents | None) -> Contents | None:
        """Return what a dataset on this machine has, with entries in place of a Zarr in which something is named.

        None if there is no such dataset, or the entries are not known here.

        Raises:
            NotFoundError: the Zarr has no such entry.
        """
        from dataclasses import replace

        from dandi_mirror.errors import NotFoundError
        from dandi_mirror.mirror.contents.local_zarrs import LocalZarrs
        from dandi_mirror.model import is_version_id

        if not found or not found.dataset or not any(file.is_zarr for file in found.files):
            return found
        self._published = is_version_id(found.version)
        self.local = LocalZarrs(found.dataset, found.dandiset, self.mirror_path, self.hosts)
        zarrs = [self._in_state(file) for file in found.files]
        if not self.name.entry:
            return replace(found, files=zarrs)
        zarrs = [zarr for zarr in zarrs if zarr.is_zarr]
        if not all(map(self.local.knows, zarrs)):
            return None
        self._wanted = {zarr.zarr: zarr for zarr in zarrs}
        entries = (entry for zarr in zarrs for entry in self.local.files(zarr, urls=True))
        files = [entry for entry in entries if self.name.chooses(entry.entry)]
        if not files:
            raise NotFoundError(f"{zarrs[0].path} has no {self.name.entry}")
        return replace(found, files=files)

    def _in_state(self, file: VersionFile) -> VersionFile:
        return file.in_state(self.name.state) if self.name.state and file.is_zarr else file

    def whole(self, zarr: VersionFile) -> tuple[VersionFile, list[VersionFile]]:
        """Return a Zarr with its size, and all its entries.

        Raises:
            NotFoundError: neither this machine nor the archive knows the state.
            PartError: an entry cannot be a plain file, or the Zarr is changing.
        """
        from dandi_mirror.mirror.contents.remote import remote_zarr
        from dandi_mirror.mirror.contents.zarrs import checked

        if self.local and self.local.knows(zarr):
            return zarr, checked(zarr, self.local.files(zarr, urls=True))
        # a draft has the state that the archive has now, unless somebody wants another one
        state = zarr.checksum if self._published else self.name.state
        return tokens.asked(self.archive, self.name.instance, lambda asked: remote_zarr(asked, zarr, state))

    def around(self, target: Callable[[VersionFile], Path]) -> Surroundings:
        """Return what decides whether metadata of an array may come: ``target`` tells where each entry is put."""
        from dandi_mirror.mirror.fetch.zarr_parts import Surroundings

        exact = frozenset() if "*" in self.name.entry or self.name.glob else frozenset({self.name.entry})
        return Surroundings(self._covered, target, exact)

    def _covered(self, file: VersionFile) -> Iterable[VersionFile]:
        """Return the entries in the folder of some metadata."""
        from dataclasses import replace

        from dandi_mirror.mirror.contents.zarrs import zarr_files

        folder = file.entry.rpartition("/")[0]
        if self.local and file.zarr in self._wanted:
            every = self.local.files(self._wanted[file.zarr])
            return (entry for entry in every if not folder or entry.entry.startswith(f"{folder}/"))
        inside = replace(self.name, entry=f"{folder}/")
        zarr = replace(file, path=file.path[: -len(file.entry) - 1], entry="", url=None)
        return tokens.asked(self.archive, self.name.instance, lambda asked: zarr_files(asked, zarr, inside))
