"""Compare the files of a commit, ``.gitattributes`` too, with what a sync would write of its records; asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from dandi_mirror.digests import ZARR_CHECKSUM, digest_in, sha256
from dandi_mirror.mirror.format.record_reader import Record, records, refused_asset
from dandi_mirror.mirror.format.records import is_asset_path, is_part
from dandi_mirror.mirror.format.tree import AnnexLink, datalad_config, git_attributes, is_text
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind
from dandi_mirror.mirror.verify.zarr_states import ZarrsOfDataset
from dandi_mirror.model import Instance
from dandi_mirror.paths import REFUSED_FOLDER
from dandi_mirror.repo.annex.keys import annex_key
from dandi_mirror.repo.git.dataset import Dataset, Tree
from dandi_mirror.repo.git.reader import ObjectReader
from dandi_mirror.repo.git.stream import FILE, GITLINK, LINK, blob_id
from dandi_mirror.zarr_checksum import is_checksum

_OTHER_KEY = "the link does not lead to the key of the record"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a record says that its file is."""

    path: str
    key: str
    asset_id: str
    sha256: str
    link: str
    """The object id of the link to the key."""
    text: bool
    """Whether the content may stand in git itself."""
    zarr: str | None = None
    """The checksum in the record of a Zarr; None: it is no Zarr."""


@dataclass(slots=True)
class RecordsOfDataset:
    """The records of a dataset's commits; a file of records that several commits have is read once."""

    dataset: Dataset
    reader: ObjectReader
    uses: dict[str, set[str]] = field(default_factory=dict)
    """Key → the ids of the assets that have it, of all commits that were read."""
    etags: dict[str, str] = field(default_factory=dict)
    """Key → the ETag of the content as the archive's record has it; of these the URLs can be asked."""
    zarrs: ZarrsOfDataset = field(default_factory=ZarrsOfDataset)
    """The Zarrs of all commits that were read."""
    _files: dict[str, tuple[list[Expected], list[str]]] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    """Object id of a text file → the SHA-256 of its content; empty if it cannot be read."""

    def check(self, commit: str, instance: Instance, dandiset: str, where: str) -> Iterator[Difference]:
        """The differences between the files and the records of a commit; ``where`` names it in paths."""
        tree = self.dataset.tree(commit)
        own = {".datalad/config": datalad_config(instance, dandiset), ".gitattributes": git_attributes()}
        for path, content in own.items():
            if tree.get(path) != (FILE, blob_id(content)):
                yield Difference(DifferenceKind.RECORD, f"{where}:{path}", "it is not as a sync writes it")
        recorded: dict[str, str | None] = {}
        for path, (_, oid) in tree.items():
            if is_part(path):
                yield from self._check_file(tree, path, oid, where, recorded)
        yield from self._check_refused(tree, where)
        for path in tree:
            if is_asset_path(path) and path not in recorded:
                yield Difference(DifferenceKind.RECORD, f"{where}:{path}", "the file has no record")
        checksums = {path: checksum for path, checksum in recorded.items() if checksum}
        yield from self.zarrs.check(tree, self.reader, checksums, where)

    def _check_file(
        self, tree: Tree, name: str, oid: str, where: str, recorded: dict[str, str | None]
    ) -> Iterator[Difference]:
        expected, unreadable = self._read(oid)
        for reason in unreadable:
            yield Difference(DifferenceKind.RECORD, f"{where}:{name}", f"a record cannot be used: {reason}")
        for record in expected:
            recorded[record.path] = record.zarr
            if why := self._why_not(tree, record):
                yield Difference(DifferenceKind.RECORD, f"{where}:{record.path}", why)

    def _why_not(self, tree: Mapping[str, tuple[bytes, str]], record: Expected) -> str:
        mode, oid = tree.get(record.path, (b"", ""))
        if not mode:
            return "the record has no file"
        if record.zarr is not None or mode == GITLINK:
            fits = record.zarr is not None and mode == GITLINK
            return "" if fits else "the record is that of a Zarr, and no Zarr is there, or the other way round"
        if mode == LINK:
            return "" if oid == record.link else _OTHER_KEY
        if mode != FILE or not record.text:
            return "it is not a link, and its record is not that of a text file"
        return "" if self._digest(oid) == record.sha256 else "the text does not have the SHA-256 of its record"

    def _check_refused(self, tree: Tree, where: str) -> Iterator[Difference]:
        names = [path for path in tree if path.startswith(f"{REFUSED_FOLDER}/") and path.endswith(".json")]
        for name, content in zip(names, self.reader.read([tree[name][1] for name in names]), strict=True):
            found = refused_asset(name, content)
            link = name.removesuffix(".json")
            if not isinstance(found, Record) or found.zarr:
                continue
            key = annex_key(found.size, found.sha256, str(_path_in(content)))
            self.uses.setdefault(key, set()).add(found.asset_id)
            if tree.get(link) != (LINK, AnnexLink(key, link.count("/")).object_id()):
                yield Difference(DifferenceKind.RECORD, f"{where}:{link}", _OTHER_KEY)

    def _read(self, oid: str) -> tuple[list[Expected], list[str]]:
        if oid not in self._files:
            expected, reasons = [], []
            for found in records(self.reader, [oid]):
                if isinstance(found, Record) and found.zarr:
                    expected.append(Expected(found.path, "", found.asset_id, "", "", False, _checksum(found)))
                elif isinstance(found, Record):
                    key = annex_key(found.size, found.sha256, found.path)
                    link = AnnexLink(key, found.path.count("/")).object_id()
                    text = is_text(found.path, found.size)
                    expected.append(Expected(found.path, key, found.asset_id, found.sha256, link, text))
                    if not text:
                        self.uses.setdefault(key, set()).add(found.asset_id)
                        self.etags[key] = found.etag
                else:
                    reasons.append(f"{found.path}: {found.reason}" if found.path else found.reason)
            self._files[oid] = expected, reasons
        return self._files[oid]

    def _digest(self, oid: str) -> str:
        if oid not in self._texts:
            (content,) = self.reader.read([oid])
            self._texts[oid] = "" if content is None else sha256(content)
        return self._texts[oid]


def _checksum(record: Record) -> str:
    """The checksum that a Zarr's record names; empty if it names none."""
    checksum = digest_in(record.metadata, ZARR_CHECKSUM)
    return checksum if is_checksum(checksum) else ""


def _path_in(content: bytes | None) -> object:
    """The asset's path in the file of a refused asset; its key has the extension of that."""
    return orjson.loads(content or b"{}").get("path", "")
