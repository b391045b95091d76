"""The manifests of a mirror on disk: one immutable file for each state of each Zarr."""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.errors import DiskError, NotFoundError, TemporaryError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.zarr.entries import entry_order, in_order, is_odd
from dandi_mirror.mirror.zarr.manifest_format import (
    BadManifest,
    BodyWriter,
    Header,
    decode,
    header_bytes,
    read_header,
    verify,
    verify_body,
)
from dandi_mirror.mirror.zarr.state import Refused, StateBuilder, ZarrState
from dandi_mirror.model import is_asset_id
from dandi_mirror.repo.git.disk import sync_to_disk
from dandi_mirror.zarr_checksum import is_checksum

FOLDER = "zarr"
"""Where in a mirror its Zarrs are."""

_IN_MEMORY = 8 << 20  # bytes of a manifest that is written; a larger one waits in a file
_MOST_ODD = 100_000
_PIECE = 1 << 20


class ChecksumMismatch(TemporaryError):
    """The entries that were listed do not have the checksum of the Zarr: it has changed meanwhile."""


class Manifests:
    """The manifests below ``<root>/zarr``: ``<3>/<3>/<zarr_id>/<checksum>``."""

    def __init__(self, root: Path | OwnPath) -> None:
        """``root``: a mirror, which the user has named, or a folder of the program's own in a clone."""
        self._root = root if isinstance(root, OwnPath) else OwnPath(root, ())

    def path(self, zarr_id: str, checksum: str) -> OwnPath:
        """The file of a state.

        Raises:
            ValueError: not the id of a Zarr, or not a checksum.
        """
        if not is_checksum(checksum):
            raise ValueError(f"not the checksum of a Zarr: {checksum!a:.100}")
        return self._folder(zarr_id) / checksum

    def _folder(self, zarr_id: str) -> OwnPath:
        if not is_asset_id(zarr_id):
            raise ValueError(f"not the id of a Zarr: {zarr_id!a:.100}")
        return self._root / FOLDER / zarr_id[:3] / zarr_id[3:6] / zarr_id

    def has(self, zarr_id: str, checksum: str) -> bool:
        """Whether there is a manifest of this state."""
        return self.path(zarr_id, checksum).check()

    def states(self, zarr_id: str) -> list[str]:
        """The checksums of the states that have a manifest, sorted."""
        return [name for name in self._folder(zarr_id).names() if is_checksum(name)]

    def state(self, zarr_id: str, checksum: str) -> ZarrState:
        """A state as its manifest's header has it; does not read the entries.

        Raises:
            NotFoundError: there is no manifest of it.
            BadManifest: it is damaged, or another state's.
        """
        return self.header(zarr_id, checksum).state

    def header(self, zarr_id: str, checksum: str) -> Header:
        """The header of a manifest; raises as :meth:`state`."""
        with self._opened(zarr_id, checksum) as file:
            header = read_header(file)
            if (header.state.zarr_id, header.state.checksum) != (zarr_id, checksum):
                raise BadManifest("it is the manifest of another state")
            return header

    def verified(self, zarr_id: str, checksum: str, *, entries: bool) -> ZarrState:
        """A state, when all bytes of its manifest have been compared with their digest.

        With ``entries``, the checksum and the commit are also computed from them.  Raises as :meth:`read`.
        """
        with self._opened(zarr_id, checksum) as file:
            header, _ = (verify if entries else verify_body)(file, zarr_id, checksum)
            return header.state

    def read(self, zarr_id: str, checksum: str) -> Iterator[ZarrEntry]:
        """The entries of a state, sorted by :func:`.entry_order`; the first one comes when all are verified.

        Raises:
            NotFoundError: there is no manifest of it.
            BadManifest: it is damaged, or its entries do not have the checksum.
        """
        with self._opened(zarr_id, checksum) as file:
            header, start = verify(file, zarr_id, checksum)
            file.seek(start)
            yield from decode(file, header.state.entries)

    def entries(self, zarr_id: str, checksum: str) -> Iterator[ZarrEntry]:
        """The entries of a state, for callers who compute its checksum from them; raises as :meth:`read`."""
        with self._opened(zarr_id, checksum) as file:
            header = read_header(file)
            yield from decode(file, header.state.entries)

    @contextmanager
    def _opened(self, zarr_id: str, checksum: str) -> Iterator[BinaryIO]:
        path = self.path(zarr_id, checksum)
        try:
            with os.fdopen(path.open(os.O_RDONLY), "rb") as file:
                yield file
        except FileNotFoundError as error:
            raise NotFoundError(f"the mirror has no manifest {path}; sync its Dandiset again") from error
        except OSError as error:
            raise DiskError.of(path, error) from error
        except BadManifest as error:
            raise BadManifest(f"{path}: {error}; remove this file, then sync its Dandiset again") from error

    def add(
        self,
        zarr_id: str,
        checksum: str,
        entries: Iterable[ZarrEntry],
        listed: str,
        on_refused: Refused | None = None,
    ) -> ZarrState:
        """Write the manifest of a state, if there is none yet; its state.

        ``entries`` come in the order of S3, by bytes of UTF-8; ``listed`` tells from where: ``s3`` or ``api``.
        ``on_refused`` hears of each entry that may not reach git.  A manifest that exists stays as it is.

        Raises:
            ChecksumMismatch: the entries do not have the ``checksum``; nothing is written.
            Disorder, BadEntry: they are not what a bucket lists; nothing is written.
            DiskError: it cannot be written.
        """
        if self.has(zarr_id, checksum):
            return self.state(zarr_id, checksum)
        path = self.path(zarr_id, checksum)
        try:
            with _temporary() as body:
                state = _write_body(body, zarr_id, entries, on_refused)
                if state.checksum != checksum:
                    raise ChecksumMismatch(
                        f"the Zarr {zarr_id} has the checksum {checksum}, and its entries have {state.checksum}; "
                        "it is probably changing; sync it again later"
                    )
                self._publish(path, state, listed, body)
        except OSError as error:
            raise DiskError.of(path, error) from error
        return state

    def _publish(self, path: OwnPath, state: ZarrState, listed: str, body: BinaryIO) -> None:
        """Let the finished manifest appear, on disk."""
        body.seek(0)
        digest = sha256()
        for piece in _pieces(body):
            digest.update(piece)
        body.seek(0)
        _clear_leftovers(path.parent)
        with path.replacing() as file:
            file.write(header_bytes(Header(state, listed, digest.hexdigest())))
            for piece in _pieces(body):
                file.write(piece)
        # the commit that names it comes later, and must not be on the disk before it
        for depth in range(len(path.parts)):
            sync_to_disk(OwnPath(path.top, path.parts[:depth]).path)


def _clear_leftovers(folder: OwnPath) -> None:
    """Remove what a killed run has left; its Dandiset is locked, so nobody else writes here."""
    for name in folder.names():
        if name.startswith("."):
            (folder / name).unlink()


def _temporary() -> BinaryIO:
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _write_body(body: BinaryIO, zarr_id: str, entries: Iterable[ZarrEntry], on_refused: Refused | None) -> ZarrState:
    """Write the entries into an empty file; the state that they are."""
    odd: list[ZarrEntry] = []
    state = _write_sorted(body, zarr_id, _without_odd(entries, odd), on_refused)
    if not odd:
        return state
    # the archive reads their paths as others, so their places come only now
    body.seek(0)
    with _temporary() as regular:
        for piece in _pieces(body):
            regular.write(piece)
        regular.seek(0)
        body.seek(0)
        body.truncate()
        merged = heapq.merge(decode(regular), in_order(odd), key=lambda entry: entry_order(entry.path))
        return _write_sorted(body, zarr_id, merged, _only_odd(on_refused))


def _only_odd(on_refused: Refused | None) -> Refused | None:
    """Hears only of odd paths, when the others have been reported."""
    return (lambda path, why: on_refused(path, why) if is_odd(path) else None) if on_refused else None


def _without_odd(entries: Iterable[ZarrEntry], odd: list[ZarrEntry]) -> Iterator[ZarrEntry]:
    for entry in entries:
        if not is_odd(entry.path):
            yield entry
        elif len(odd) == _MOST_ODD:
            raise TemporaryError("the Zarr has too many paths with empty components; tell the archive")
        else:
            odd.append(entry)


def _write_sorted(body: BinaryIO, zarr_id: str, entries: Iterable[ZarrEntry], on_refused: Refused | None) -> ZarrState:
    building, writer = StateBuilder(zarr_id, on_refused=on_refused), BodyWriter(body)
    for entry in entries:
        building.add(entry)
        writer.add(entry)
    writer.close()
    return building.state()
