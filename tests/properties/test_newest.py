"""Whatever has happened to a draft, its newest list entries give what all of them give, or nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.state.asset_rows import INDEXES, TABLES, write_assets
from dandi_mirror.mirror.state.known_draft import DraftTotals, KnownDraft
from dandi_mirror.mirror.sync import newest
from dandi_mirror.mirror.sync.newest import Doubt, NewestEntries
from dandi_mirror.model import Asset, Instance, ListedVersion, spell_time

pytestmark = pytest.mark.quick

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """A list entry."""

    asset_id: str
    path: str
    modified: datetime
    size: int

    def entry(self) -> dict[str, Any]:
        return {
            "asset_id": self.asset_id, "path": self.path, "modified": spell_time(self.modified), "size": self.size,
            "blob": "b", "zarr": None,
        }  # fmt: skip

    def asset(self) -> Asset:
        key = f"SHA256E-s{self.size}--{'ab' * 32}"
        return Asset(self.path, self.asset_id, spell_time(self.modified), self.size, key, None, "", None, 9, (), False)


def asset_id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def rows(times: list[int]) -> list[Row]:
    """A draft that grew: minutes from each asset to the next."""
    when, made = BEGIN, []
    for number, minutes in enumerate(times):
        when += timedelta(minutes=minutes)
        made.append(Row(asset_id(number), f"p{number}", when, number % 3))
    return made


def table(known: list[Row]) -> KnownDraft:
    """The memory of these assets."""
    database = sqlite3.connect(":memory:")
    database.executescript(TABLES + INDEXES)
    assets = [row.asset() for row in known]
    write_assets(database, assets)
    totals = DraftTotals.of(assets)
    totals.listed = totals.files
    hosts = ContentHosts(Instance("DANDI", "https://api.example.org"), frozenset())
    return KnownDraft(database, totals, hosts)


CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "replace", "same size", "rename", "delete", "publish"]), st.integers(0, 99),
              st.integers(-50, 300)),
    max_size=12,
)  # fmt: skip
"""What happens, to which asset, and how many minutes later; or before, as clocks of servers differ."""


def changed(before: list[Row], changes: list[tuple[str, int, int]]) -> list[Row]:
    """The draft after the changes: each gives what it touches a time after the last sync, but for a margin."""
    now, last = list(before), max(row.modified for row in before)
    ids = count(1000)
    for what, which, minutes in changes:
        when = last + timedelta(minutes=minutes)
        last = max(last, when)
        new, place = asset_id(next(ids)), which % len(now) if now else -1
        if what == "add" or not now:
            now.append(Row(new, new, when, which % 3))
        elif what == "replace":
            now[place] = Row(new, now[place].path, when, which % 3)
        elif what == "same size":
            now[place] = Row(new, now[place].path, when, now[place].size)
        elif what == "rename":
            now[place] = Row(new, new, when, now[place].size)
        elif what == "delete":
            del now[place]
        else:
            now[:] = [Row(row.asset_id, row.path, when, row.size) for row in now]
    return now


def read(known: list[Row], now: list[Row], size: int) -> set[tuple[str, str, str]] | None:
    """What the newest entries say of the whole draft; None if they prove nothing."""
    modified = max([row.modified for row in (*known, *now)])
    entry = ListedVersion("draft", "", len(now), sum(row.size for row in now), "Valid", BEGIN, modified)
    listed = [row.entry() for row in sorted(now, key=lambda row: row.modified, reverse=True)]
    try:
        reader = NewestEntries(table(known), entry, NOW)
        for start in range(0, max(1, len(listed)), size):
            reader.add(list(listed[start : start + size]), last=start + size >= len(listed))
            if reader.enough:
                break
        replaced = {asset.asset_id for asset in reader.replaced(len(listed))}
    except Doubt:
        return None
    unread = [row for row in known if row.asset_id not in replaced]
    if reader.complete:
        unread = [row for row in known if any(one["asset_id"] == row.asset_id for one in reader.unchanged)]
    found = {(row.asset_id, row.path, spell_time(row.modified)) for row in unread}
    return found | {(one["asset_id"], one["path"], one["modified"]) for one in reader.changed}


@given(st.lists(st.integers(0, 200), min_size=1, max_size=40), CHANGES, st.integers(1, 20))
def test_what_the_newest_entries_prove_is_what_all_entries_say(
    times: list[int], changes: list[tuple[str, int, int]], size: int
) -> None:
    newest.FEWEST, newest.BEHIND, before = 2, 2, (newest.FEWEST, newest.BEHIND)
    try:
        known = rows(times)
        now = changed(known, changes)
        found = read(known, now, size)
    finally:
        newest.FEWEST, newest.BEHIND = before
    if found is not None:
        assert found == {(row.asset_id, row.path, spell_time(row.modified)) for row in now}


def test_one_change_is_proved_by_few_entries() -> None:
    known = rows([120] * 400)
    now = changed(known, [("same size", 7, 5)])
    entry = ListedVersion("draft", "", 400, sum(row.size for row in now), "Valid", BEGIN, NOW)
    reader = NewestEntries(table(known), entry, NOW)
    assert reader.first == newest.FEWEST + 1
    reader.add([row.entry() for row in sorted(now, key=lambda row: row.modified)[::-1][: reader.first]], last=False)
    assert reader.enough
    assert [asset.path for asset in reader.replaced(400)] == ["p7"]
    assert [one["path"] for one in reader.changed] == ["p7"]


@pytest.mark.parametrize(
    "spoil",
    [
        {"asset_id": "no-id"}, {"path": None}, {"modified": 5}, {"modified": "2024-01-01T00:00:00+02:00"},
        {"modified": "2033-01-01T00:00:00Z"}, {"asset_id": asset_id(398)}, {"path": "p398"}, {"path": "moved"},
    ],
    ids=str,
)  # fmt: skip
def test_entries_that_are_not_of_one_listing_in_its_order_prove_nothing(spoil: dict[str, object]) -> None:
    known = rows([120] * 400)
    entry = ListedVersion("draft", "", 400, sum(row.size for row in known), "Valid", BEGIN, NOW)
    reader = NewestEntries(table(known), entry, NOW)
    listed = [row.entry() for row in known[::-1]]
    listed[50] |= spoil
    with pytest.raises(Doubt):
        reader.add(list(listed[:101]), last=False)


def test_where_an_asset_was_refused_or_waits_nothing_is_proved() -> None:
    known = rows([120] * 400)
    entry = ListedVersion("draft", "", 400, sum(row.size for row in known), "Valid", BEGIN, NOW)
    memory = table(known)
    memory.totals.listed += 1
    with pytest.raises(Doubt, match="could make up for one that is gone"):
        NewestEntries(memory, entry, NOW)
