"""Files in which a mirror remembers its last syncs: whatever is malformed in them counts as lost, and nothing fails."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.files.own import own_folder
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.state import last_sync
from dandi_mirror.mirror.state.asset_cache import AssetCache
from dandi_mirror.mirror.state.index import Index
from dandi_mirror.mirror.state.remembered import Failure, Memory, RememberedDandiset, entry_fingerprint
from dandi_mirror.model import Asset, Finding, FindingKind, Instance, ListedDandiset, ListedVersion
from tests.conftest import MirrorOfTest

ID, OTHER = "000123", "000124"
THEN = datetime(2024, 1, 2, tzinfo=UTC)
COMMIT = "a1" * 20


def facts(dandiset: str, name: str = "A test") -> RememberedDandiset:
    entry = ListedDandiset(dandiset, "OPEN", ListedVersion("draft", name, 2, 3, "Valid", THEN, THEN), None)
    findings = (Finding("draft", "a\nb", FindingKind.REFUSED, "a reason", "an id"),)
    return RememberedDandiset(
        entry_fingerprint(entry), "all", COMMIT, "https://h", findings, 12.5, content_hosts="a b:8000"
    )


ENTRY = json.loads(facts(ID).entry)
FOUND = {"version": "draft", "path": "a", "kind": "refused", "reason": "b", "asset_id": ""}


def entry(**change: Any) -> str:
    return json.dumps(ENTRY | change)


DEEP = "[" * 100_000 + "]" * 100_000
MALFORMED: list[tuple[str, Any]] = [
    ("row", "{"), ("row", "[]"), ("row", "5"), ("row", "{}"), ("row", b"\xff"), ("row", entry(identifier=OTHER)),
    ("row", entry(draft=None)), ("row", entry(draft=ENTRY["draft"] | {"modified": "yesterday"})), ("row", DEEP),
    ("row", entry(draft=ENTRY["draft"] | {"name": 5})), ("row", entry(draft=ENTRY["draft"] | {"asset_count": "2"})),
    ("row", entry(embargo_status=None)), ("versions", b"all"), ("branch", "no commit"), ("branch", "../../x"),
    ("branch", b"\x00\xff"), ("hosts", b"x"), ("findings", "{"), ("findings", "{}"), ("findings", "null"),
    ("findings", "[5]"), ("findings", "[null]"), ("findings", json.dumps([FOUND | {"kind": "strange"}])),
    ("findings", json.dumps([FOUND | {"more": "x"}])), ("findings", json.dumps([FOUND | {"reason": 5}])),
    ("findings", json.dumps([FOUND | {"path": None}])), ("findings", json.dumps([{"kind": "refused"}])),
    ("findings", DEEP), ("findings", b"\xff"), ("verified", "yesterday"), ("verified", float("inf")),
    ("verified", -1.0), ("content_hosts", b"x"),
]  # fmt: skip
IN_THE_INDEX: list[tuple[str, Any]] = [
    *MALFORMED, ("failure", "{"), ("failure", "[]"), ("failure", "5"), ("failure", "{}"), ("failure", b"\xff"),
    ("failure", '{"exit_code": "6", "message": "m"}'), ("failure", '{"exit_code": 6, "message": null}'),
    ("failure", '{"exit_code": 6, "message": "m", "more": 1}'), ("id", "../../etc"), ("id", ""),
]  # fmt: skip


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An index that remembers two Dandisets."""
    index = Index(own_folder(tmp_path) / "index.sqlite")
    own_folder(tmp_path).make_folder()
    index.restore({ID: facts(ID), OTHER: facts(OTHER, "half a pair: \ud800")})
    index.fail(OTHER, Failure(5, "later"))
    index.register({ID: COMMIT}, COMMIT, "edits")
    return index


def execute(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement, values)


def test_what_was_remembered_is_read_as_it_was_written(index: Index) -> None:
    whole = {ID: facts(ID)._replace(registered=COMMIT), OTHER: facts(OTHER, "half a pair: \ud800")}
    whole[OTHER] = whole[OTHER]._replace(failure=Failure(5, "later"))
    assert index.read() == Memory(whole, COMMIT, "edits")
    assert index.get(ID) == whole[ID]


@pytest.mark.parametrize(("column", "value"), IN_THE_INDEX, ids=lambda value: repr(value)[:40])
def test_an_entry_of_the_index_that_no_run_wrote_is_lost_and_the_others_are_not(
    index: Index, tmp_path: Path, column: str, value: Any
) -> None:
    before = index.read()
    execute(tmp_path / ".dandi-mirror" / "index.sqlite", f"UPDATE dandiset SET {column} = ? WHERE id = ?", value, ID)
    assert index.get(ID) is None
    assert index.read() == Memory({OTHER: before.dandisets[OTHER]}, COMMIT, "edits")
    index.put(ID, facts(ID))
    assert index.get(ID) is not None, "the next sync writes it anew"


@pytest.mark.parametrize("value", ["x", "../../x", COMMIT[:-1]])
def test_a_registered_commit_that_is_none_is_registered_anew(index: Index, tmp_path: Path, value: str) -> None:
    execute(tmp_path / ".dandi-mirror" / "index.sqlite", "UPDATE dandiset SET registered = ?", value)
    assert index.get(ID) == facts(ID)


@pytest.mark.parametrize("value", [b"\xff", 5, b""])
def test_what_the_index_says_of_the_superdataset_is_lost_if_it_is_no_text(
    index: Index, tmp_path: Path, value: object
) -> None:
    # a column of text makes text of a number, so the number stands in a column without a type
    path = tmp_path / ".dandi-mirror" / "index.sqlite"
    execute(path, "DROP TABLE superdataset")
    execute(path, "CREATE TABLE superdataset (head, left_alone)")
    execute(path, "INSERT INTO superdataset VALUES (?, 'edits')", value)
    memory = index.read()
    assert (memory.head, memory.left_alone) == ("", "") and memory.dandisets.keys() == {ID, OTHER}


@pytest.mark.parametrize(("name", "value"), MALFORMED, ids=lambda value: repr(value)[:40])
def test_what_a_dataset_says_of_its_last_sync_is_lost_if_no_run_wrote_it(tmp_path: Path, name: str, value: Any) -> None:
    last_sync.write(tmp_path, facts(ID))
    file = tmp_path / last_sync.NAME
    said = json.loads(file.read_text())
    assert last_sync.read(tmp_path, ID) == facts(ID)
    assert last_sync.read(tmp_path, OTHER) is None
    if isinstance(value, bytes):
        value = ["no text"]
    elif name == "findings" and value != DEEP:
        value = {} if value == "{" else json.loads(value)
    file.write_text(json.dumps(said | {name: value}))
    assert last_sync.read(tmp_path, ID) is None
    last_sync.forget(tmp_path, ID)
    del said[name]
    file.write_text(json.dumps(said))
    assert last_sync.read(tmp_path, ID) is None


@pytest.mark.parametrize("content", ["", "[]", "5", "null", DEEP, '{"schema": 3}', "\x00", '{"schema": []}'])
def test_a_file_of_a_dataset_that_says_something_else_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / last_sync.NAME).write_text(content)
    assert last_sync.read(tmp_path, ID) is None


# --- the cache of assets -------------------------------------------------------------------------------------

HOSTS = ContentHosts(Instance("DANDI", "https://api.example.org/api"), frozenset({"data.example.org"}))
ASSET_ID = "12345678-1234-4234-8234-123456789abc"
KEY = f"SHA256E-s5--{'ab' * 32}.nwb"
URL = "https://data.example.org/blobs/x?versionId=1"


@pytest.fixture
def cache(tmp_path: Path) -> AssetCache:
    """A cache with two assets."""
    cache = AssetCache(own_folder(tmp_path) / "known" / f"{ID}.sqlite")
    own_folder(tmp_path).make_folder()
    (own_folder(tmp_path) / "known").make_folder()
    cache.store("a state", {asset.path: asset for asset in assets()}, {}, 0.0, 2)
    return cache


def assets() -> Iterator[Asset]:
    fields = (("subject", "m1"), ("sex", "Male"))
    yield Asset("sub-1/a.nwb", ASSET_ID, "2024", 5, KEY, URL, "", None, 900, fields, False)
    yield Asset("sub-1/b.nwb", ASSET_ID[:-1] + "d", "2024", 5, KEY, None, "evil.example", None, 800, (), True)


def test_the_cache_has_the_assets_as_they_were_stored(cache: AssetCache) -> None:
    assert cache.fits("a state") and not cache.fits("another")
    assert cache.load(HOSTS) == {asset.asset_id: asset for asset in assets()}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("asset_id", "no-id"), ("asset_id", 5), ("path", ".git/config"), ("path", "../x"), ("path", b"a.nwb"),
        ("path", None), ("modified", None), ("modified", b"2024"), ("size", "large"), ("size", -1), ("size", 2.5),
        ("size", 6), ("size", 2**60), ("key", "../../x"), ("key", KEY.replace("s5", "s6")), ("key", None),
        ("key", KEY + "/x"), ("key", b"x"), ("url", "file:///etc/passwd"), ("url", "https://evil.example/x"),
        ("url", 5), ("url", URL + "&x=1"), ("unknown_host", None), ("unknown_host", b"x"), ("fields", b"odd"),
        ("fields", None), ("fields", "text"), ("fields", b"\xff\xff\xff\x7f"), ("record", "long"), ("record", -900),
        ("record", 0), ("record", None), ("record", 2**40),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_a_cache_in_which_one_value_is_malformed_is_read_as_if_it_were_not_there(
    cache: AssetCache, tmp_path: Path, column: str, value: object
) -> None:
    path = tmp_path / ".dandi-mirror" / "known" / f"{ID}.sqlite"
    execute(path, f"UPDATE asset SET {column} = ? WHERE path = 'sub-1/a.nwb'", value)
    assert cache.load(HOSTS) == {}
    stored = {asset.path: asset for asset in assets()}
    cache.store("a state", stored, {}, 0.0, 2)
    assert cache.load(HOSTS).keys() == {asset.asset_id for asset in stored.values()}


@pytest.mark.parametrize("value", [None, 5, b"\xff"])
def test_a_cache_whose_fields_are_no_text_is_read_as_if_it_were_not_there(
    cache: AssetCache, tmp_path: Path, value: object
) -> None:
    path = tmp_path / ".dandi-mirror" / "known" / f"{ID}.sqlite"
    execute(path, "ALTER TABLE pair RENAME TO before")
    execute(path, "CREATE TABLE pair AS SELECT number, CAST(field AS BLOB) AS field, value FROM before")
    execute(path, "UPDATE pair SET field = ?, value = ?", value, value)
    assert cache.load(HOSTS) == {}


def test_a_sync_over_malformed_files_gives_what_a_sync_without_them_gives(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = archive.create_dandiset(ID, name="A test")
    for number in range(3):
        dandiset.add_asset(f"{number}.nwb", archive.add_blob(b"%d" % number))
    mirror.sync()
    before = mirror.refs()
    own = mirror.path / ".dandi-mirror"
    execute(own / "index.sqlite", "UPDATE dandiset SET findings = '[5]', branch = 'x'")
    execute(own / "known" / f"{ID}.sqlite", "UPDATE asset SET size = 'large', record = 'long'")
    (mirror.path / ID / ".git" / last_sync.NAME).write_text("[]")
    report = mirror.sync()
    assert (report.status, report.exit_code, report.message) == ("notneeded", 0, "")
    assert mirror.refs() == before
    dandiset.replace_asset("0.nwb", archive.add_blob(b"other"))
    assert mirror.sync().changed == 1
