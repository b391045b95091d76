"""The next commit of a draft of which little has changed, without a look at what has not.

It is the commit that :func:`.version_tree` and :func:`.plan_sync` give for the whole draft.  Where more than some
records and links may change, :class:`Larger` sends the caller there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from dandi_mirror.mirror.format.record_reader import Record, records
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.format.records import (
    LARGEST_PART,
    TOP,
    RecordFile,
    StoredRecord,
    in_order,
    is_asset_path,
    is_part,
    record_part_of,
)
from dandi_mirror.mirror.format.tree import AnnexLink, KeyUse, Listing, VersionTree, is_text, own_files
from dandi_mirror.mirror.state.known_draft import DraftAssets
from dandi_mirror.mirror.sync.messages import VersionCounts
from dandi_mirror.mirror.sync.plan import SyncPlan, differing
from dandi_mirror.mirror.sync.text_files import TextFiles
from dandi_mirror.mirror.sync.writer import BranchUpdate
from dandi_mirror.model import Asset, Instance
from dandi_mirror.repo.git.dataset import Dataset, Tree
from dandi_mirror.repo.git.reader import ObjectReader
from dandi_mirror.repo.git.stream import TreeEntry


class Larger(Exception):
    """More may change than what follows from the assets that changed."""


def branch_delta(
    instance: Instance, dandiset: str, dataset: Dataset, spool: Spool, listing: Listing, texts: TextFiles, base: str
) -> BranchUpdate:
    """The next commit of the draft, whose commit ``base`` has what the last sync knew.

    ``texts`` has the content of the text files that changed.

    Raises:
        Larger: the whole tree must be looked at.
    """
    assets = listing.assets
    assert isinstance(assets, DraftAssets)
    old = dataset.tree(base, ".dandi", ".datalad", ".gitattributes", ".gitmodules", "dandiset.yaml", *assets.changed)
    if ".gitmodules" in old or any(path.startswith(".dandi/") and not is_part(path) for path in old):
        raise Larger
    new: dict[str, TreeEntry] = own_files(instance, dandiset, listing)
    for path, asset in assets.changed.items():
        text = texts.entries.get(asset.sha256) if is_text(path, asset.size) else None
        new[path] = AnnexLink(asset.key, path.count("/")) if text is None else text
    new |= _parts(dataset, spool, base, old, assets)
    files = differing(old, new)
    names = [path for path, _ in files if is_asset_path(path)]
    plan = SyncPlan(
        (), files, tuple(path for path in names if path not in old), tuple(path for path in names if path in old), old
    )
    totals = assets.totals
    counts = VersionCounts(totals.files, len(totals.subjects), totals.size)
    return BranchUpdate("draft", base, listing, VersionTree(new, _uses(assets, texts)), old, plan, counts)


def _uses(assets: DraftAssets, texts: TextFiles) -> list[KeyUse]:
    """All annexed files that share a key with what has changed, or with what was there before."""
    keys = {asset.key for asset in (*assets.changed.values(), *assets.replaced)}
    return [asset for asset in assets.with_keys(keys) if _is_annexed(asset, assets, texts)]


def _is_annexed(asset: Asset, assets: DraftAssets, texts: TextFiles) -> bool:
    if not is_text(asset.path, asset.size):
        return True
    # a text file is a link only where its content did not come, and then the whole draft is looked at the next time
    return asset.path in assets.changed and asset.sha256 not in texts.entries


# --- records -------------------------------------------------------------------------------------------------


def _parts(dataset: Dataset, spool: Spool, base: str, old: Tree, assets: DraftAssets) -> dict[str, RecordFile]:
    """The files of records that change; these are the same files, unless one becomes too large or too small."""
    touched: dict[str, list[Asset]] = {}
    for asset in assets.changed.values():
        if not (part := record_part_of(asset.path, old)):
            raise Larger
        touched.setdefault(part, []).append(asset)
    before = {asset.path for asset in assets.replaced}
    found, growth = dict[str, RecordFile](), dict[str, int]()
    with dataset.reader() as reader:
        for part, changed in touched.items():
            found[part], growth[part] = _part(reader, spool, old[part][1], changed, before)
    shrunk = [part for part, more in growth.items() if more < 0 and part != f"{TOP}.jsonl"]
    _check_folders(dataset, base, shrunk, growth)
    return found


def _part(
    reader: ObjectReader, spool: Spool, oid: str, changed: Iterable[Asset], before: set[str]
) -> tuple[RecordFile, int]:
    """A file of records with the new ones, and by how many bytes it grows."""
    lines: dict[str, StoredRecord] = {}
    for record in records(reader, [oid]):
        if not isinstance(record, Record):
            raise Larger
        lines[record.path] = StoredRecord.in_spool(record.path, spool.put(record.line))
    size = _size(lines)
    for asset in changed:
        if asset.record is None or (asset.path in lines) != (asset.path in before):
            raise Larger
        lines[asset.path] = StoredRecord.in_spool(asset.path, asset.record)
    if (now := _size(lines)) > LARGEST_PART and len(lines) > 1:
        raise Larger
    ordered = sorted(lines.values(), key=in_order)
    return RecordFile(spool, tuple(record.handle for record in ordered if record.handle is not None)), now - size


def _size(lines: Mapping[str, StoredRecord]) -> int:
    return sum(record.length + 1 for record in lines.values())


def _check_folders(dataset: Dataset, base: str, shrunk: Iterable[str], growth: Mapping[str, int]) -> None:
    """Check that no folder of files becomes so small that one file would take its place."""
    folders = {part.rpartition("/")[0] for part in shrunk}
    if not folders:
        return
    sizes = dataset.sizes(base, *(f"{folder}/" for folder in folders))
    for folder in folders:
        below = [path for path in sizes if path.startswith(f"{folder}/")]
        if sum(sizes[path] + growth.get(path, 0) for path in below) <= LARGEST_PART:
            raise Larger


def only_changed(listing: Listing) -> Listing:
    """The listing with what has changed alone."""
    assert isinstance(listing.assets, DraftAssets)
    return replace(listing, assets=listing.assets.changed)
