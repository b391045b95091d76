"""Where the content of an asset, or of an entry of a Zarr, is: on this machine, in git, or elsewhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.files.opening import open_regular
from dandi_mirror.mirror.zarr.entries import entry_key, is_md5
from dandi_mirror.mirror.zarr.repository import ZarrRepositories
from dandi_mirror.repo.annex.keys import annex_key
from dandi_mirror.repo.annex.repository import AnnexRepository, copies
from dandi_mirror.serve.cache.cache import RemoteContent
from dandi_mirror.serve.versions import ServedAsset, VersionAssets

PIECE = 1 << 20
"""Bytes that are read from a file at a time."""


@dataclass(frozen=True, slots=True)
class Content:
    """One of ``file``, ``data`` and ``remote`` has a value, or none: then nobody is known to have the content."""

    size: int = 0
    """Bytes."""
    tag: str = ""
    """The same for the same bytes; empty if that is not known."""
    file: Path | None = None
    data: bytes | None = None
    remote: RemoteContent | None = None

    def pieces(self, start: int, stop: int) -> Generator[bytes]:
        """The bytes from ``start`` up to ``stop`` of what is on this machine.

        Raises:
            OSError: the file is gone, or has a link in its place.
        """
        if self.data is not None:
            yield self.data[start:stop]
            return
        assert self.file
        descriptor = open_regular(self.file)
        try:
            if hasattr(os, "posix_fadvise"):
                with suppress(OSError):
                    os.posix_fadvise(descriptor, start, stop - start, os.POSIX_FADV_SEQUENTIAL)
            while start < stop and (piece := os.pread(descriptor, min(PIECE, stop - start), start)):
                start += len(piece)
                yield piece
        finally:
            os.close(descriptor)


def find_content(assets: VersionAssets, row: ServedAsset) -> Content:
    """Where the content of an asset is."""
    if oid := assets.text(row):
        with assets.dataset.reader() as reader:
            (content,) = reader.read([oid])
        return Content(len(content or b""), oid, data=content)
    if not row.sha256:
        return Content()
    key = annex_key(row.size, row.sha256, row.path)
    if file := present_file(assets.dataset.git_dir, key, row.size):
        return Content(row.size, row.sha256, file)

    def urls() -> tuple[str, ...]:
        # the API's own only redirects to the bucket
        return tuple(sorted(urls_of(assets, [row]).get(row.asset_id, ()), key=lambda url: "/assets/" in url))

    name = f"SHA256-s{row.size}--{row.sha256}"
    return Content(row.size, row.sha256, remote=RemoteContent(name, row.size, row.sha256, urls))


def urls_of(assets: VersionAssets, rows: list[ServedAsset]) -> dict[str, tuple[str, ...]]:
    """Where the archive has the content of each asset, by its id, as the git-annex branch records it."""
    clone = AnnexRepository(assets.dataset.path)
    clone.read_config()
    keys = {row.asset_id: annex_key(row.size, row.sha256, row.path) for row in rows if row.sha256}
    known = dict(clone.facts(dict.fromkeys(keys.values())))
    return {asset_id: known[key].urls for asset_id, key in keys.items() if key in known}


def entry_content(
    repositories: ZarrRepositories, zarr_id: str, entry: ZarrEntry, urls: Callable[[], list[str]]
) -> Content:
    """Where the content of an entry of a Zarr is; ``urls`` are where the archive has it, the best one last."""
    key = entry_key(entry.path, entry.size, entry.etag)
    git_dir = repositories.dataset(zarr_id).git_dir
    if file := present_file(git_dir, key, entry.size) if repositories.exists(zarr_id) else None:
        return Content(entry.size, entry.etag, file)
    # an ETag of parts is no digest of the bytes, so another Zarr's object with the same one may differ
    digest = entry.etag if is_md5(entry.etag) else ""
    name = f"MD5-s{entry.size}--{digest}" if digest else f"ETAG-s{entry.size}--{entry.etag}-{zarr_id}/{entry.path}"
    remote = RemoteContent(name, entry.size, digest, lambda: tuple(reversed(urls())))
    return Content(entry.size, entry.etag, remote=remote)


def present_file(git_dir: Path, key: str, size: int | None = None) -> Path | None:
    """The file with the content of a key, which is no link: that could lead to any file."""
    for place in copies(git_dir / "annex" / "objects", key):
        try:
            facts = place.lstat()
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode) and size in {None, facts.st_size}:
            return place
    return None
