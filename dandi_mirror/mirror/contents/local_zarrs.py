"""The entries of a dataset's Zarrs, as far as this machine knows them: by a manifest, or by an installed repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.errors import MirrorError, NotFoundError
from dandi_mirror.mirror.contents.files import VersionFile
from dandi_mirror.mirror.locate.zarr_mirrors import all_sources, manifests_of
from dandi_mirror.mirror.zarr.annex_logs import Sources
from dandi_mirror.mirror.zarr.entries import BadEntry, Disorder, entry_key, entry_of, in_order, refuse_entry
from dandi_mirror.mirror.zarr.installed import is_installed_at
from dandi_mirror.mirror.zarr.state import zarr_state_of
from dandi_mirror.model import FindingKind
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import TAGS, Dataset


class LocalZarrs:
    """The Zarrs of one dataset on this machine."""

    def __init__(self, dataset: Dataset, dandiset: str, named: Path, hosts: frozenset[str] = frozenset()) -> None:
        """``named`` is a mirror to look in, too; ``hosts`` are those of the settings at which content may be."""
        self._clone = AnnexRepository(dataset.path)
        self._clone.read_config()
        self._dandiset = dandiset
        self._manifests = list(manifests_of(self._clone, dandiset, named))
        self._hosts = hosts
        self._read: dict[tuple[str, str], list[ZarrEntry]] = {}
        self._sources: list[Callable[[str], Sources]] | None = None

    def knows(self, zarr: VersionFile) -> bool:
        """Whether the entries of a Zarr's state are known here."""
        if not zarr.checksum:
            return False
        return any(some.has(zarr.zarr, zarr.checksum) for some, _ in self._manifests) or bool(self._of_repository(zarr))

    def entries(self, zarr: VersionFile) -> Iterable[ZarrEntry]:
        """Return the entries of a Zarr's state, verified by its checksum, in the order of :func:`.entry_order`.

        Raises:
            NotFoundError: no manifest on this machine has the state.
            BadManifest: the manifest is damaged.
        """
        for some, _ in self._manifests:
            if zarr.checksum and some.has(zarr.zarr, zarr.checksum):
                return some.read(zarr.zarr, zarr.checksum)
        if zarr.checksum and (found := self._of_repository(zarr)):
            return found
        raise NotFoundError(
            f"{zarr.path}: no mirror on this machine has the entries of its state {zarr.checksum}; name one that has: "
            f"-d DIR, or make one: dandi-mirror sync {self._dandiset} -d DIR"
        )

    def files(self, zarr: VersionFile, *, urls: bool = False) -> Iterator[VersionFile]:
        """Yield the entries of a Zarr as files; with ``urls`` those at the bucket, of these versions of the objects.

        Raises as :meth:`entries`.
        """
        sources = self._sources_of(zarr) if urls else None
        present = self._present(zarr)
        for entry in self.entries(zarr):
            reason = refuse_entry(entry.path)
            own = sources.urls(zarr.zarr, entry)[1:] if sources else []
            yield VersionFile(
                f"{zarr.path}/{entry.path}", entry.size, "", time=entry.modified or "", zarr=zarr.zarr,
                url=own[0] if own else None, entry=entry.path, md5=entry.etag,
                content=present(entry) if present and not reason else None,
                state=FindingKind.REFUSED if reason else None, reason=reason or "",
            )  # fmt: skip

    def counted(self, zarr: VersionFile) -> VersionFile:
        """Return a Zarr with the number of its entries that are on this machine, if it is installed and known."""
        present = self._present(zarr)
        if not present or not self.knows(zarr):
            return zarr
        return replace(zarr, present=sum(present(entry) is not None for entry in self.entries(zarr)))

    def _present(self, zarr: VersionFile) -> Callable[[ZarrEntry], Path | None] | None:
        """Return what finds the content of an entry; None if the Zarr is not installed."""
        inside = self._installed(zarr)
        if inside is None:
            return None

        def find(entry: ZarrEntry) -> Path | None:
            place = inside.object_path(entry_key(entry.path, entry.size, entry.etag))
            return Path(place) if os.path.exists(place) else None  # noqa: PTH110

        return find

    def _installed(self, zarr: VersionFile) -> AnnexRepository | None:
        if not is_installed_at(self._clone.path, zarr.path):
            return None
        # what is wrong with one Zarr's folder does not keep the others from being listed
        with suppress(MirrorError, OSError):
            return AnnexRepository(self._clone.path / zarr.path)
        return None

    def _of_repository(self, zarr: VersionFile) -> list[ZarrEntry]:
        """Return the entries of a state that an installed Zarr has, if they have its checksum; else nothing."""
        inside, state = self._installed(zarr), (zarr.zarr, zarr.checksum)
        if inside and state not in self._read:
            self._read[state] = []
            with suppress(MirrorError, OSError):
                self._read[state] = _tagged(inside, zarr)
        return self._read.get(state, [])

    def _sources_of(self, zarr: VersionFile) -> Sources:
        if self._sources is None:
            mirrors = [mirror for _, mirror in self._manifests]
            self._sources = [all_sources(self._clone, mirror, self._dandiset, self._hosts) for mirror in mirrors]
        found = [sources(zarr.zarr) for sources in self._sources]
        return next((sources for sources in found if sources.base), found[0])


def _tagged(inside: AnnexRepository, zarr: VersionFile) -> list[ZarrEntry]:
    """Return the entries of a state from the repository of its Zarr, which may be anybody's; nothing if they differ."""
    commit = inside.dataset.ref(TAGS + zarr.checksum)
    tracked = inside.tracked(inside.listing(commit)) if commit else []
    found = in_order(entry for file in tracked if (entry := entry_of(file.path, file.key)))
    return found if _has_checksum(zarr, found) else []


def _has_checksum(zarr: VersionFile, entries: list[ZarrEntry]) -> bool:
    try:
        return zarr_state_of(zarr.zarr, entries).checksum == zarr.checksum
    except (BadEntry, Disorder):
        return False
