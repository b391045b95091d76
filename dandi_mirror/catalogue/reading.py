"""Read what a page shows of a Dandiset: from the search index, its own git, and git-annex's store."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import orjson

from dandi_mirror.catalogue.about import About, about, doi_of
from dandi_mirror.catalogue.rows import Count, IndexedAsset, IndexedVersion, Rows, changes_between, size_of
from dandi_mirror.catalogue.values import Change, DandisetFacts, FileRow, Presence, Totals, Version
from dandi_mirror.mirror.copies.repositories import present_keys
from dandi_mirror.mirror.format.record_reader import dandiset_record
from dandi_mirror.mirror.history.citation import FORMS, Citation
from dandi_mirror.mirror.search.columns import ZARR
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.zarr.gitmodules import read_gitmodules
from dandi_mirror.model import is_version_id
from dandi_mirror.paths import REFUSED_FOLDER
from dandi_mirror.repo.annex.keys import annex_key
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.stream import FILE

MOST_NAMES = 60
"""Names of a kind that are taken from the files' own metadata, where the Dandiset's record has no summary."""


def read_dandiset(
    mirror: Mirror, database: sqlite3.Connection, identifier: str, *, embargoed: bool
) -> DandisetFacts | None:
    """Everything that a page shows; None if the Dandiset has no version here."""
    rows, dataset = Rows(database, identifier), mirror.dataset(identifier)
    indexed = rows.versions()
    if not indexed:
        return None
    listed = _listed(indexed)
    with dataset.reader() as reader:
        contents = list(reader.read([f"{version.commit}:dandiset.yaml" for version in indexed], instead=b""))
        (modules,) = reader.read([f"{listed[0].commit}:.gitmodules"], instead=b"")
    records = {version.name: dandiset_record(content) for version, content in zip(indexed, contents, strict=True)}
    record, first = records[listed[0].name], listed[0]
    files = _files(rows, dataset, listed)
    cited = Citation.of(
        record, first.commit, datetime.fromtimestamp(first.seconds, UTC), read_gitmodules(modules or b"")
    )
    return DandisetFacts(
        identifier=identifier,
        embargoed=embargoed,
        about=_completed(about(record), files),
        record=record,
        versions=tuple(_versions(rows, indexed, records)),
        listed=tuple(version.name for version in listed),
        rows=files,
        totals=_totals(files),
        citations={form: cited.form(form) for form in FORMS},
    )


def _listed(versions: list[IndexedVersion]) -> list[IndexedVersion]:
    """The versions whose files a page lists: the newest published one, and what the branch has, if that differs."""
    published = [version for version in versions if is_version_id(version.name)]
    others = [version for version in versions if not is_version_id(version.name)]
    newest = published[-1:]
    return newest + [one for one in others if not newest or one.commit != newest[0].commit]


def _versions(
    rows: Rows, indexed: list[IndexedVersion], records: Mapping[str, Mapping[str, object]]
) -> Iterable[Version]:
    """Each version with its totals, of which only the first one's are counted, and what changed before it."""
    count = Count()
    before: tuple[IndexedVersion, dict[str, str]] | None = None
    for version in indexed:
        states = {path: checksum for path, (_, checksum) in rows.states(version).items()}
        changes: tuple[Change, ...] = ()
        if before:
            gone, come = rows.differing(before[0], version)
            count.add(gone.values(), before[1], -1)
            count.add(come.values(), states)
            changes = changes_between(gone.values(), come.values(), before[1], states)
        else:
            count.add(rows.all_of(version), states)
        doi = doi_of(records[version.name]) if is_version_id(version.name) else ""
        yield Version(version.name, version.commit, version.seconds, count.files, count.size, doi, changes)
        before = version, states


# --- files ---------------------------------------------------------------------------------------------------------


def _files(rows: Rows, dataset: Dataset, listed: list[IndexedVersion]) -> list[FileRow]:
    """The files of the listed versions; what both have, once."""
    keys = present_keys(dataset.git_dir)
    found: dict[tuple[int, str], FileRow] = {}
    for place, version in enumerate(listed):
        states = rows.states(version)
        tree = dataset.tree(version.commit)
        in_git = {path for path, (mode, _) in tree.items() if mode == FILE}
        for asset, asset_id, facts in rows.full(version):
            zarr, checksum = states.get(asset.path, ("", "")) if asset.kind == ZARR else ("", "")
            bit, known = 1 << place, found.get((asset.number, checksum))
            if known:
                found[asset.number, checksum] = known._replace(versions=known.versions | bit)
                continue
            size = size_of(asset.path, asset.size, asset.kind, {asset.path: checksum} if checksum else {})
            presence = _presence(asset, asset.path in in_git, keys)
            found[asset.number, checksum] = FileRow(
                asset.path, asset_id, size, checksum or asset.sha256, asset.kind, facts, presence, bit, zarr
            )
    return sorted(found.values(), key=lambda row: (row.path.split("/"), row.versions))


def _presence(asset: IndexedAsset, in_git: bool, keys: Collection[str]) -> Presence:
    if asset.kind == ZARR:
        return Presence.ZARR
    if not asset.sha256 or asset.path.startswith(f"{REFUSED_FOLDER}/"):
        return Presence.REFUSED
    here = in_git or (bool(keys) and annex_key(asset.size, asset.sha256, asset.path) in keys)
    return Presence.HERE if here else Presence.AWAY


def _totals(rows: Iterable[FileRow]) -> Totals:
    files = size = here = here_size = zarrs = 0
    for row in rows:
        if row.versions & 1:
            files, size = files + 1, size + row.size
            zarrs += row.presence is Presence.ZARR
            if row.presence is Presence.HERE:
                here, here_size = here + 1, here_size + row.size
    return Totals(files, size, here, here_size, zarrs)


def _completed(known: About, rows: Iterable[FileRow]) -> About:
    """What a Dandiset is about; where its record has no summary of the files, from these themselves."""
    if known.species and known.approaches and known.techniques and known.variables:
        return known
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("species", "approach", "technique", "variable")}
    for text, times in Counter(row.facts for row in rows).items():
        for field, value in orjson.loads(text):
            if field in counts:
                counts[field][value] += times
    found = {field: tuple(value for value, _ in some.most_common(MOST_NAMES)) for field, some in counts.items()}
    return replace(
        known,
        species=known.species or found["species"],
        approaches=known.approaches or found["approach"],
        techniques=known.techniques or found["technique"],
        variables=known.variables or found["variable"],
    )
