"""The content of text files, the only content that a sync downloads; each is checked by its digest."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.digests import sha256
from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.format.records import is_asset_path
from dandi_mirror.mirror.format.tree import Listing, is_text
from dandi_mirror.model import Asset, SpoolHandle
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.stream import FILE, ExistingObject, NewFile, TreeEntry

AT_ONCE = 6
"""Text files that are downloaded at the same time."""


@dataclass(frozen=True, slots=True)
class Spooled(NewFile):
    """A text file whose content is in the spool."""

    spool: Spool
    handle: SpoolHandle
    mode: bytes = FILE

    def content(self) -> bytes:
        """The file's bytes."""
        return self.spool.get(self.handle)


class TextFiles:
    """The text files of one sync: those that the branch's tree has, and those that are downloaded."""

    def __init__(
        self,
        archive: ArchiveClient,
        dataset: Dataset,
        spool: Spool,
        commit: str | None,
        *,
        fetch: bool,
        only: Iterable[str] = (),
    ) -> None:
        """``only``: look for text files at these paths of the branch's tree (default: at all)."""
        self._archive = archive
        self._dataset = dataset
        self._spool = spool
        self._commit = commit
        self._fetch = fetch
        self._only = only
        self._looked = False
        self.entries: dict[str, TreeEntry] = {}
        """By SHA-256."""

    def fetch(self, listing: Listing) -> list[tuple[Asset, str]]:
        """Download the text files of a version that the dataset lacks; return those that failed, with the reasons.

        Without ``fetch`` (in a dry run), this downloads nothing and puts a placeholder for each.
        """
        texts = {asset.sha256: asset for asset in listing.assets.values() if _is_text(asset)}
        if texts:
            self._look()
        wanted = [asset for digest, asset in texts.items() if digest not in self.entries]
        if not self._fetch:
            self.entries |= {asset.sha256: ExistingObject("0" * 40) for asset in wanted}
            return []
        failed: dict[str, str] = {}
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="texts") as pool:
            for asset, content in zip(wanted, pool.map(self._content, wanted), strict=True):
                if isinstance(content, str):
                    failed[asset.sha256] = content
                else:
                    self.entries[asset.sha256] = Spooled(self._spool, self._spool.put(content))
        return [
            (asset, failed[asset.sha256])
            for asset in (listing.assets.values() if failed else ())
            if asset.sha256 in failed and _is_text(asset)
        ]

    def _look(self) -> None:
        """Take the text files of the branch's tree, by digests that are computed here."""
        if self._looked or self._commit is None:
            return
        self._looked = True
        tree = self._dataset.tree(self._commit, *self._only)
        ids = [oid for path, (mode, oid) in tree.items() if mode == FILE and is_asset_path(path)]
        with self._dataset.reader() as reader:
            for oid, content in zip(ids, reader.read(ids), strict=True):
                if content is not None:
                    self.entries[sha256(content)] = ExistingObject(oid)

    def _content(self, asset: Asset) -> bytes | str:
        """The content of a text file, or the reason why it cannot be downloaded."""
        reason = "no URL to fetch it from"
        urls = [asset.content_url, self._archive.instance.asset_url(asset.asset_id)]
        for url in filter(None, urls):
            try:
                content = self._archive.text(url, asset.size)
            except DiskError:
                raise
            except MirrorError as error:
                reason = f"its bytes did not come: {error}"
                continue
            if sha256(content) == asset.sha256:
                return content
            reason = "its bytes are not those of its SHA-256"
        return reason


def _is_text(asset: Asset) -> bool:
    return not asset.zarr and is_text(asset.path, asset.size)
