"""Mirrors and clones, as objects."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from dandi_mirror.errors import UsageError
from dandi_mirror.interface.arguments import check_texts
from dandi_mirror.interface.dandisets import Dandiset
from dandi_mirror.interface.syncing import sync_reports
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.mirror.search.index import opened, path_of
from dandi_mirror.mirror.search.query import parse_query
from dandi_mirror.mirror.search.search import SearchResult, search
from dandi_mirror.mirror.state import layout
from dandi_mirror.model import Report
from dandi_mirror.workflows.access import mirror_archive
from dandi_mirror.workflows.access.current_clone import api_here
from dandi_mirror.workflows.reading.search_index import refreshed


class Mirror:
    """A mirror on this machine, or a folder that becomes one by :meth:`sync`.

    Use it as a mapping: ``mirror["000004"]`` is a :class:`Dandiset`, and iteration gives all of them.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        """``path``: the folder of the mirror, or one that becomes a mirror.

        Raises:
            UsageError: it is a file, or is a clone of a Dandiset or in one.
        """
        self.path = Path(path).absolute()
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is not a folder")
        if (clone := clone_at(str(self.path))) and not len(self):
            raise UsageError(
                f"{clone.folder} is a dataset of {clone.name.dandiset}, not a mirror; "
                f"use it by dm.Clone({str(clone.folder)!r})"
            )

    @property
    def _mirror(self) -> layout.Mirror:
        return layout.Mirror(self.path)

    @property
    def instance(self) -> str:
        """The archive that it mirrors: a name, or the URL of an API; empty if nothing is mirrored yet."""
        return mirror_archive.own_archive(self.path)

    def __getitem__(self, dandiset: str) -> Dandiset:
        """A Dandiset by its id.

        Raises:
            KeyError: it is not here.
        """
        if dandiset not in self._mirror.dandisets():
            wanted = f"{dandiset:0>6}" if str(dandiset).isdecimal() else dandiset
            raise KeyError(f"{self.path} has no Dandiset {dandiset}; get it by sync({wanted!r})")
        return Dandiset(dandiset, self._mirror.dataset(dandiset).path, self.path, self.instance)

    def __iter__(self) -> Iterator[Dandiset]:
        return (self[dandiset] for dandiset in self._mirror.dandisets())

    def __len__(self) -> int:
        return len(self._mirror.dandisets())

    def __contains__(self, dandiset: object) -> bool:
        return dandiset in self._mirror.dandisets()

    def search(self, query: str, *, old: bool = False, most: int = 10, most_files: int = 5) -> SearchResult:
        """Find Dandisets and files by words and operators, as ``dandi-mirror search``; asks no archive.

        ``old``: also in older versions.  At most ``most`` Dandisets, and ``most_files`` files of each.

        Warns if the index cannot be written, so that it lacks the newest changes.

        Raises:
            UsageError: the query cannot be read, or the mirror holds no Dandiset.
        """
        terms = parse_query((query,))
        if not len(self):
            raise UsageError(f"{self.path} holds no Dandiset; get one by sync('000004')")
        if lacking := refreshed(self._mirror, lambda dandiset, doing: None):
            warnings.warn(lacking, stacklevel=2)
        with opened(path_of(self._mirror)) as database:
            return search(database, terms, old=old, most=most, most_files=most_files)

    def sync(
        self, *dandisets: str, instance: str | None = None, versions: str | None = None, progress: bool = False
    ) -> list[Report]:
        """Mirror Dandisets, or bring them up to date; without an id, all that are here.

        ``instance``: the archive, if the mirror is new.  ``versions``: ``all``, ``published``, ``latest`` or ``draft``.
        ``progress``: show what it does now, also in Jupyter.  All else is by the settings of the mirror.  What becomes
        of each Dandiset is in its report, also if it failed.

        Raises:
            UsageError: an id is none, or the mirror is one of another archive.
            CredentialsError: its settings want embargoed Dandisets, and there is no API key.
            TemporaryError: the archive does not answer.
        """
        check_texts("sync", dandisets)
        flags = {"instance": instance, "versions": versions}
        return sync_reports(self.path, dandisets, flags, named=True, progress=progress)

    def __repr__(self) -> str:
        return f"<Mirror {self.path}: {len(self):,} Dandisets>"


class Clone(Dandiset):
    """A clone of a Dandiset, in which a person works; :class:`Dandiset` says what it can do."""

    __slots__ = ()

    def __init__(self, path: str | PathLike[str] = ".") -> None:
        """``path``: the clone, or a folder in it.

        Raises:
            UsageError: it is in no clone of a Dandiset.
        """
        found = clone_at(str(path))
        if not found or not found.name.dandiset:
            raise UsageError(f"{Path(path).absolute()} is in no clone of a Dandiset")
        folder = found.folder
        super().__init__(found.name.dandiset, folder, folder, api_here(found.name, folder.parent, folder))
