"""The files of a version's tree: pure functions, from admitted assets to (path, entry) pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from dandi_mirror import canonical
from dandi_mirror.mirror.format.admission import Refusal
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.format.records import StoredRecord, record_files
from dandi_mirror.mirror.format.unchanged_records import AS_BEFORE, UnchangedRecords
from dandi_mirror.model import Asset, FindingKind, Instance, ListedVersion, SpoolHandle
from dandi_mirror.paths import REFUSED_FOLDER
from dandi_mirror.repo.annex.keys import annex_key, link_target
from dandi_mirror.repo.git.stream import GITLINK, LINK, ExistingObject, Inline, NewFile, TreeEntry

FORMAT = 1

LARGEST_TEXT = 1024 * 1024  # bytes
_TEXT_SUFFIXES = (".bval", ".bvec", ".cff", ".csv", ".json", ".md", ".rst", ".tsv", ".txt", ".yaml", ".yml")
_TEXT_NAMES = ("CHANGES", "LICENSE", "README")


def is_text(path: str, size: int) -> bool:
    """Whether git itself keeps an asset of ``size`` bytes: it is small, and text by its name.

    ``.gitattributes`` gives git-annex the same rule, so that it holds for a person's edits, too.
    """
    return size <= LARGEST_TEXT and (path.endswith(_TEXT_SUFFIXES) or path.rpartition("/")[2] in _TEXT_NAMES)


def git_attributes() -> bytes:
    """The ``.gitattributes`` of every version: the text rule, the backend, and no change of line ends."""
    text = [*_TEXT_NAMES, *(f"*{suffix}" for suffix in _TEXT_SUFFIXES)]
    own = ["**/.git*", "/.dandi/**", "/.datalad/**", "/dandiset.yaml"]
    lines = [
        "* -text annex.backend=SHA256E annex.largefiles=anything",
        *(f"{pattern} annex.largefiles=largerthan={LARGEST_TEXT}" for pattern in text),
        *(f"{pattern} annex.largefiles=nothing" for pattern in own),
    ]
    return "".join(line + "\n" for line in lines).encode()


def datalad_config(instance: Instance, dandiset: str = "") -> bytes:
    """The ``.datalad/config`` of a dataset: its id, equal in every mirror."""
    return f'[datalad "dataset"]\n\tid = {instance.dataset_id(dandiset)}\n'.encode()


def dandiset_yaml(metadata: Mapping[str, object]) -> bytes:
    """The content of ``dandiset.yaml``: the Dandiset's record, without the place of its manifest.

    Raises:
        canonical.NotCanonical: the record cannot be written.
    """
    return canonical.dumps_yaml({name: value for name, value in metadata.items() if name != "manifestLocation"})


@dataclass(frozen=True, slots=True)
class Listing:
    """A version as a sync read and admitted it."""

    entry: ListedVersion
    metadata: Mapping[str, object]
    yaml: bytes
    assets: Mapping[str, Asset]
    """By path; no path is both file and folder."""
    refusals: tuple[Refusal, ...] = ()
    fingerprint: int = 0
    """A sum over the entries that were read, in whatever order; another number after any change."""
    newest: int = 0
    """How many entries were read, the newest of a draft, if they prove that the others are as before; 0: all."""
    zarrs: Mapping[str, str] = field(default_factory=dict)
    """Path → commit of the state of each Zarr among the assets."""


@dataclass(frozen=True, slots=True)
class AnnexLink(NewFile):
    """An annexed file: a symbolic link to the place of its content in git-annex."""

    key: str
    depth: int
    """Folders above it in the tree."""
    mode: bytes = LINK

    def content(self) -> bytes:
        """The target of the link."""
        return link_target(self.key, self.depth).encode()


@dataclass(frozen=True, slots=True)
class VersionTree:
    """The files of a version, and the uses of keys among them."""

    entries: dict[str, TreeEntry]
    annexed: list[KeyUse] = field(default_factory=list)


class KeyUse(Protocol):
    """One file that has a key, an asset in most cases: the facts for the key's logs on the git-annex branch."""

    @property
    def key(self) -> str:
        """The git-annex key."""

    @property
    def asset_id(self) -> str:
        """Its API URL is made of it."""

    @property
    def content_url(self) -> str | None:
        """Its S3 URL."""

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """git-annex metadata."""


@dataclass(frozen=True, slots=True)
class ExtraKeyUse:
    """A use of a key by a file that is no asset of the tree: a refused asset, or one that is gone."""

    key: str
    asset_id: str
    content_url: str | None
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """An asset that stays as it was mirrored before, because its new state cannot be written yet."""

    path: str
    entry: TreeEntry
    record: SpoolHandle
    """Where the spool has its record."""
    size: int
    """Bytes."""
    fields: tuple[tuple[str, str], ...]


def version_tree(
    instance: Instance,
    dandiset: str,
    listing: Listing,
    texts: Mapping[str, TreeEntry],
    spool: Spool,
    carried: Iterable[Carried] = (),
    kept: UnchangedRecords | None = None,
    modules: bytes = b"",
) -> VersionTree:
    """The tree of a version.

    ``texts`` has the content of text files by SHA-256; a text file that is missing there becomes a link.
    ``carried`` are assets that stay as they were mirrored before; ``kept`` has the records that were not read again;
    ``modules`` is the content of ``.gitmodules``, empty without Zarrs.
    """
    tree = VersionTree(own_files(instance, dandiset, listing))
    if modules:
        tree.entries[".gitmodules"] = Inline(modules)
    records: list[StoredRecord] = []
    for asset_before in carried:
        tree.entries[asset_before.path] = asset_before.entry
        records.append(StoredRecord.in_spool(asset_before.path, asset_before.record))
    for path, asset in listing.assets.items():
        records.append(StoredRecord(path, asset.record, asset.record_length))
        if asset.zarr:
            tree.entries[path] = ExistingObject(listing.zarrs[path], GITLINK)
        elif texts and is_text(path, asset.size) and (text := texts.get(asset.sha256)) is not None:
            tree.entries[path] = text
        else:
            stays = kept is not None and asset.record is None and path in kept
            tree.entries[path] = AS_BEFORE if stays else AnnexLink(asset.key, path.count("/"))
            tree.annexed.append(asset)
    tree.entries.update(kept.files(records) if kept else record_files(spool, records))
    for refusal in listing.refusals:
        _add_refused(tree, refusal)
    return tree


def own_files(instance: Instance, dandiset: str, listing: Listing) -> dict[str, TreeEntry]:
    """The files that every version has, besides records."""
    return {
        ".datalad/config": Inline(datalad_config(instance, dandiset)),
        ".gitattributes": Inline(git_attributes()),
        "dandiset.yaml": Inline(listing.yaml),
    }


def _add_refused(tree: VersionTree, refusal: Refusal) -> None:
    if refusal.kind is not FindingKind.REFUSED or not refusal.asset_id:
        return
    name = f"{REFUSED_FOLDER}/{refusal.asset_id}"
    number = 1
    while f"{name}.json" in tree.entries:
        # several entries of the listing have this id: each gets a file
        number += 1
        name = f"{REFUSED_FOLDER}/{refusal.asset_id}-{number}"
    tree.entries[f"{name}.json"] = Inline(refused_record(refusal))
    if refusal.size is not None and refusal.sha256 is not None:
        key = annex_key(refusal.size, refusal.sha256, refusal.path)
        tree.entries[name] = AnnexLink(key, name.count("/"))
        tree.annexed.append(ExtraKeyUse(key, refusal.asset_id, refusal.content_url, ()))


def refused_record(refusal: Refusal) -> bytes:
    """The file beside the link of a refused asset: its path (escaped), the reason and its record."""
    path = refusal.path.encode("utf-8", "backslashreplace").decode()
    record = orjson.loads(refusal.record) if refusal.record else None
    facts = {"asset_id": refusal.asset_id, "path": path, "reason": refusal.reason, "record": record}
    return canonical.dumps_yaml(facts)
