"""What a mirror serves: its open Dandisets and their versions, as the API tells of them."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from dandi_mirror.mirror.format.record_reader import dandiset_record
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.remembered import RememberedDandiset
from dandi_mirror.model import DRAFT, is_instance_name, is_version_id
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.files import FileStamp, is_repository, stamp_of, stamps_of
from dandi_mirror.serve.access import sees_closed
from dandi_mirror.serve.repeated import depends_on
from dandi_mirror.serve.versions import ServedAsset, VersionAssets, refused_totals

KEPT = 8
"""Versions whose ids and paths stay in memory; each takes some 400 bytes an asset."""
OPEN = "OPEN"
_TICK = 1_000_000_000  # nanoseconds
_REFS = ("packed-refs", "refs/heads", "refs/tags")
"""What changes in a git folder when one of its branches and tags does: git puts each ref in place by renaming."""

_TOTALS = re.compile(r"\n([0-9,]+) files? of [0-9,]+ subjects?, ([0-9,]+) bytes?\.\n")
_MODIFIED = re.compile(r"^Dandi-Modified: (\S+)$", re.MULTILINE)

Json = dict[str, Any]


class ServedMirror:
    """The open Dandisets of a mirror.  A sync may go on beside it: each request sees what the last sync has left.

    A Dandiset counts as open if it was so when it was last synced.  One that the index does not know is not served, nor
    one that somebody has moved out of the mirror, which the index still knows.
    """

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self._index = _KnownIndex(mirror)
        self._assets: OrderedDict[tuple[str, str], VersionAssets] = OrderedDict()
        self._commits: dict[tuple[Path, str], Json] = {}
        self._versions: dict[Path, tuple[list[FileStamp | None], dict[str, str]]] = {}
        self._lock = Lock()

    @cached_property
    def instance_name(self) -> str:
        """The archive's name, as the Dandisets' records have it; that of the DANDI Archive if there is none."""
        for entry in self.dandisets():
            for version, oid in self.versions(entry["identifier"]).items():
                _, record = self.version(entry["identifier"], version, oid, entry)
                if is_instance_name(name := str(record.get("identifier", "")).partition(":")[0]):
                    return name
        return "DANDI"

    # --- Dandisets -----------------------------------------------------------------------------------------------

    def dandisets(self) -> list[Json]:
        """The entries of all Dandisets, in the order of their ids."""
        known = self._here()
        return [entry for identifier in sorted(known) if (entry := _entry(known[identifier], identifier))]

    def with_zarrs(self) -> list[str]:
        """The ids of the Dandisets whose drafts hold Zarrs, as the index knows without asking git."""
        known = self._here()
        return [name for name in sorted(known) if known[name].zarrs and _entry(known[name], name)]

    def dandiset(self, identifier: str) -> Json | None:
        """The entry of a Dandiset; None if it is not served."""
        facts = self._index.get(identifier)
        git_dir = f"{self.mirror.folder(identifier)}/.git"
        _note_places(git_dir)
        return _entry(facts, identifier) if facts and is_repository(git_dir) else None

    def _here(self) -> dict[str, RememberedDandiset]:
        """The Dandisets that the index knows and that are in the mirror."""
        _note_places(str(self.mirror.path))
        known, folder = self._index.all(), self.mirror.folder
        return {name: facts for name, facts in known.items() if is_repository(f"{folder(name)}/.git")}

    # --- versions ------------------------------------------------------------------------------------------------

    def versions(self, identifier: str) -> dict[str, str]:
        """The versions of a Dandiset that is served, each with the id of its tag or commit; the draft last."""
        dataset = self.mirror.dataset(identifier)
        stamps = _note(dataset, *_REFS)
        with self._lock:
            known = self._versions.get(dataset.path)
        if known and known[0] == stamps:
            return known[1]
        is_new = any(stamp and time.time_ns() - stamp.changed < _TICK for stamp in stamps)
        found = _versions_of(dataset)
        if not is_new:
            with self._lock:
                self._versions[dataset.path] = stamps, found
        return found

    def version(self, identifier: str, version: str, oid: str, dandiset: Json) -> tuple[Json, Json]:
        """The entry of a version, and the Dandiset's record in it."""
        dataset = self.mirror.dataset(identifier)
        with dataset.reader() as reader:
            (yaml,) = reader.read([f"{oid}:dandiset.yaml"])
        record: Json = dict(dandiset_record(yaml))
        listed = dandiset["draft_version"] if version == DRAFT else dandiset["most_recent_published_version"]
        if listed and listed["version"] == version:
            return listed, record
        totals = {"version": version, "name": str(record.get("name", "")), "status": "Valid"}
        return totals | self._from_commit(dataset, oid), record

    def _from_commit(self, dataset: Dataset, oid: str) -> Json:
        """The totals and times of a version from its commit; a commit never changes, so it is read once."""
        with self._lock:
            known = self._commits.get((dataset.path, oid))
        if known is None:
            known = _commit_facts(dataset, oid)
            with self._lock:
                self._commits[dataset.path, oid] = known
        return known

    def assets(self, identifier: str, oid: str) -> VersionAssets:
        """The assets of a version, by the id of its tag or commit."""
        key = identifier, oid
        with self._lock:
            if (found := self._assets.get(key)) is None:
                found = self._assets[key] = VersionAssets(self.mirror.dataset(identifier), oid)
            self._assets.move_to_end(key)
            while len(self._assets) > KEPT:
                self._assets.popitem(last=False)
        return found

    # --- assets by their ids alone -------------------------------------------------------------------------------

    def find(self, asset_id: str) -> tuple[str, VersionAssets, ServedAsset] | None:
        """An asset by its id: the Dandiset, a version that holds it, and its facts; None if none holds it.

        It is looked up in the versions in memory, then in all drafts, then in all versions: at worst that reads all
        records of the mirror once.
        """
        for (identifier, _), assets in list(reversed(self._assets.items())):
            if (row := assets.by_id.get(asset_id)) and self.dandiset(identifier):
                return identifier, assets, row
        for identifier, oid in self._all_versions():
            assets = self.assets(identifier, oid)
            if row := assets.by_id.get(asset_id):
                return identifier, assets, row
        return None

    def _all_versions(self) -> Iterator[tuple[str, str]]:
        every = {entry["identifier"]: self.versions(entry["identifier"]) for entry in self.dandisets()}
        yield from ((identifier, oids[DRAFT]) for identifier, oids in every.items() if DRAFT in oids)
        for identifier, oids in every.items():
            yield from ((identifier, oid) for version, oid in oids.items() if version != DRAFT)


class _KnownIndex:
    """What the index of a mirror says; it is read again when its file has changed.

    A reader of one file asks for the same Dandiset hundreds of times, and to open the index takes as long as the rest.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._path = mirror.own.path / "index.sqlite"
        self._lock = Lock()
        self._stamp: FileStamp | None = None
        self._each: dict[str, RememberedDandiset | None] = {}
        self._all: Mapping[str, RememberedDandiset] | None = None

    def all(self) -> Mapping[str, RememberedDandiset]:
        """Every Dandiset, by its id."""
        stamp = self._look()
        with self._lock:
            if self._all is not None and stamp == self._stamp:
                return self._all
        found = self._mirror.index.read().dandisets
        with self._lock:
            self._all = found if stamp == self._stamp else None
        return found

    def get(self, identifier: str) -> RememberedDandiset | None:
        """One Dandiset; None if the index does not know it."""
        stamp = self._look()
        with self._lock:
            if identifier in self._each and stamp == self._stamp:
                return self._each[identifier]
        found = self._mirror.index.get(identifier)
        with self._lock:
            if found and stamp == self._stamp:
                self._each[identifier] = found
        return found

    def _look(self) -> FileStamp | None:
        """The stamp of the file; what is known of another one is forgotten."""
        try:
            stamp = stamp_of(self._path)
            is_new = time.time_ns() - stamp.changed < _TICK
        except OSError:
            stamp, is_new = None, True
        with self._lock:
            if stamp != self._stamp or is_new:
                # two changes within a tick of the clock of files have the same stamp
                self._stamp, self._each, self._all = None if is_new else stamp, {}, None
        depends_on([(str(self._path), stamp)])
        return stamp


def depends_on_logs(dataset: Dataset) -> None:
    """Note that an answer depends on the logs of git-annex: on its branch, and its journal beside that."""
    _note(dataset, *_REFS, "annex/journal")


def _note(dataset: Dataset, *names: str) -> list[FileStamp | None]:
    """Note that an answer depends on files of a git folder; their stamps."""
    return _note_places(*(f"{dataset.git_dir}/{name}" for name in names))


def _note_places(*places: str) -> list[FileStamp | None]:
    """Note that an answer depends on files or folders; their stamps."""
    stamps = stamps_of(places)
    depends_on(zip(places, stamps, strict=True))
    return stamps


def _versions_of(dataset: Dataset) -> dict[str, str]:
    """The versions in a dataset's refs, each with the id of its tag or commit; the draft last."""
    refs = dataset.refs_in_files()
    tags = {ref.removeprefix("refs/tags/"): oid for ref, oid in refs.items() if ref.startswith("refs/tags/")}
    found = {tag: tags[tag] for tag in sorted(tags) if is_version_id(tag)}
    draft = refs.get(f"refs/heads/{DRAFT}")
    return found | ({DRAFT: draft} if draft else {})


def _entry(facts: RememberedDandiset, identifier: str) -> Json | None:
    """A Dandiset's entry from what the index keeps of the archive's listing; None for who may not see it."""
    try:
        kept = orjson.loads(facts.entry)
        status = str(kept["embargo_status"])
        if (status != OPEN and not sees_closed()) or kept["identifier"] != identifier:
            return None
        draft = kept["draft"]
        return {
            "identifier": identifier,
            "created": draft["created"],
            "modified": draft["created"],
            "contact_person": "",
            "embargo_status": status,
            "star_count": 0,
            "is_starred": False,
            "most_recent_published_version": kept["published"],
            "draft_version": draft,
        }
    except (ValueError, KeyError, TypeError):
        return None


def _commit_facts(dataset: Dataset, oid: str) -> Json:
    """What the commit of a version says, with the assets that the mirror refused: the archive counts these, too."""
    message = dataset.message(f"{oid}^{{commit}}")
    totals, modified = _TOTALS.search(message), _MODIFIED.search(message)
    when = datetime.fromtimestamp(dataset.seconds(f"{oid}^{{commit}}"), UTC).isoformat().replace("+00:00", "Z")
    files, size = (int(number.replace(",", "")) for number in totals.groups()) if totals else (0, 0)
    refused, more = refused_totals(dataset, oid)
    return {
        "asset_count": files + refused,
        "size": size + more,
        "created": when,
        "modified": modified[1] if modified else when,
    }
