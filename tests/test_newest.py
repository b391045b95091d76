"""A change of a large draft costs a few requests; wherever the newest list entries prove nothing, all are read."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset, Request
from dandi_mirror.mirror.sync import newest
from tests.conftest import MirrorOfTest
from tests.support.dandisets import participant

FILES = 250
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
DRAFT = "/versions/draft/assets/"


def path_of(number: int) -> str:
    return f"sub-{number // 50}/{number}.nwb"


@pytest.fixture
def dandiset(archive: Archive) -> Dandiset:
    """A draft that grew for ten days, an asset an hour."""
    made = archive.create_dandiset("000123", name="A test")
    for number in range(FILES):
        when = BEGIN + timedelta(hours=number)
        blob = archive.add_blob(f"content {number:03}".encode())
        made.add_asset(path_of(number), blob, metadata=participant(f"m{number // 50}"), created=when)
    return made


@pytest.fixture
def synced(mirror: MirrorOfTest, dandiset: Dandiset) -> MirrorOfTest:
    """A mirror of it."""
    mirror.sync()
    mirror.server.requests.clear()
    return mirror


def asked(mirror: MirrorOfTest) -> list[str]:
    """What was asked of the archive, in short; without what each run asks before it looks at the draft."""
    return [_short(request) for request in mirror.server.requests][2:]


def _short(request: Request) -> str:
    query = request.params
    if not request.path.endswith("/assets/"):
        return request.path.removeprefix("/api/dandisets/000123/")
    return f"{query['order']} {query['page_size']}{' metadata' if 'metadata' in query else ''}"


def whole(mirror: MirrorOfTest) -> bool:
    """Whether the whole listing was read."""
    return any(request.params["order"] == "path" for request in mirror.server.requests if request.path.endswith(DRAFT))


def same(mirror: MirrorOfTest, tmp_path: Path) -> bool:
    """Whether a mirror made afresh has the same draft."""
    fresh = MirrorOfTest(tmp_path / "fresh", mirror.server)
    fresh.sync()
    return fresh.git("rev-parse", "draft^{tree}") == mirror.git("rev-parse", "draft^{tree}")


def test_one_changed_file_costs_four_requests(
    archive: Archive, dandiset: Dandiset, synced: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset.replace_asset(path_of(7), archive.add_blob(b"other"))
    assert synced.sync().changed == 1
    newest = "-modified 102 metadata"  # two were modified in the last hour before the last change
    assert asked(synced) == ["versions/", newest, "versions/draft/", ""]
    assert same(synced, tmp_path)


def test_added_and_replaced_files_and_a_swap_are_read_by_the_newest_entries(
    archive: Archive, dandiset: Dandiset, synced: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset.add_asset("new.nwb", archive.add_blob(b"new"))
    dandiset.replace_asset(path_of(8), metadata=participant("changed"))
    dandiset.rename_asset(path_of(9), "between.nwb")
    dandiset.rename_asset(path_of(10), path_of(9))
    dandiset.rename_asset("between.nwb", path_of(10))
    assert (lambda report: (report.added, report.changed, report.removed))(synced.sync()) == (1, 2, 0)
    assert not whole(synced)
    assert same(synced, tmp_path)


def test_more_changes_than_one_page_holds_are_read_page_by_page(
    archive: Archive, dandiset: Dandiset, synced: MirrorOfTest, tmp_path: Path
) -> None:
    for number in range(120):
        dandiset.replace_asset(path_of(number), archive.add_blob(f"other {number}".encode()))
    assert synced.sync().changed == 120
    assert [line for line in asked(synced) if "metadata" in line] == ["-modified 102 metadata"] * 2
    assert not whole(synced)
    assert same(synced, tmp_path)


def delete(archive: Archive, dandiset: Dandiset) -> None:
    """A deletion beside an addition: the count is as before."""
    dandiset.delete_asset(path_of(3))
    dandiset.add_asset("new.nwb", archive.add_blob(b"new"))


def rename(archive: Archive, dandiset: Dandiset) -> None:
    dandiset.rename_asset(path_of(3), "sub-0/renamed.nwb")


def come_back_with_an_old_time(archive: Archive, dandiset: Dandiset) -> None:
    """One is gone, and another that nobody knows has come with a time long ago; only their sizes differ."""
    dandiset.delete_asset(path_of(3))
    dandiset.add_asset("old.nwb", archive.add_blob(b"of another size"), created=BEGIN)


def step_back(archive: Archive, dandiset: Dandiset) -> None:
    """The archive's clock was wrong: what is new is older than what the last sync saw."""
    new = dandiset.replace_asset(path_of(3), metadata=participant("changed"))
    new.modified = BEGIN
    dandiset.draft.modified = BEGIN + timedelta(hours=2)
    dandiset.forget()


def twice(archive: Archive, dandiset: Dandiset) -> None:
    """Two assets at a path."""
    dandiset.add_asset("x.nwb", archive.add_blob(b"x"), unchecked=True)
    dandiset.add_asset("x.nwb", archive.add_blob(b"y"), unchecked=True)


@pytest.mark.parametrize("happen", [delete, rename, come_back_with_an_old_time, step_back, twice])
def test_where_the_newest_entries_prove_nothing_everything_is_read(
    archive: Archive, dandiset: Dandiset, synced: MirrorOfTest, tmp_path: Path,
    happen: Callable[[Archive, Dandiset], None],
) -> None:  # fmt: skip
    happen(archive, dandiset)
    synced.sync()
    assert whole(synced)
    assert same(synced, tmp_path)


def test_a_change_within_an_hour_before_the_last_one_is_seen(
    archive: Archive, dandiset: Dandiset, synced: MirrorOfTest, tmp_path: Path
) -> None:
    late = BEGIN + timedelta(hours=FILES - 1, minutes=-59)
    dandiset.replace_asset(path_of(7), metadata=participant("changed"), created=late)
    dandiset.forget()
    dandiset.draft.touch(datetime.now(UTC))
    assert synced.sync().status == "ok"
    assert not whole(synced)
    assert same(synced, tmp_path)


@pytest.mark.parametrize(("most", "expected"), [(200, True), (1600, False)])
def test_publishing_moves_every_entry_and_rewrites_every_record(
    dandiset: Dandiset, synced: MirrorOfTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, expected: bool
) -> None:
    monkeypatch.setattr(newest, "MOST", most)
    dandiset.publish("0.240301.0000")
    assert list(synced.sync().tags) == ["0.240301.0000"]
    assert whole(synced) == expected, "of a draft this small all entries may be read newest first"
    assert same(synced, tmp_path)


def test_a_draft_that_only_moves_its_time_while_it_is_read_is_believed(
    archive: Archive, dandiset: Dandiset, synced: MirrorOfTest
) -> None:
    dandiset.replace_asset(path_of(7), archive.add_blob(b"other"))

    def validate(request: Request) -> None:
        if request.path.endswith("/versions/draft/"):
            dandiset.draft.touch(datetime.now(UTC))

    synced.server.intercept = validate
    assert synced.sync().changed == 1
    assert not whole(synced)


def test_a_draft_that_changes_while_it_is_read_is_read_again(
    archive: Archive, dandiset: Dandiset, synced: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset.replace_asset(path_of(7), archive.add_blob(b"other"))
    numbers = iter([8])

    def change(request: Request) -> None:
        if request.path.endswith("/versions/draft/") and (number := next(numbers, None)):
            dandiset.replace_asset(path_of(number), archive.add_blob(b"another"))

    synced.server.intercept = change
    assert synced.sync().changed == 2
    assert same(synced, tmp_path)


def test_the_whole_listing_of_a_draft_that_changes_is_read_once_a_day(
    archive: Archive, dandiset: Dandiset, synced: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hours, expected in [(1, False), (20, False), (25, True), (30, False)]:
        monkeypatch.setattr(time, "time", lambda: begun + hours * 3600)  # noqa: B023
        dandiset.replace_asset(path_of(7), archive.add_blob(f"other {hours}".encode()))
        synced.server.requests.clear()
        synced.sync()
        assert whole(synced) == expected, hours


begun = time.time()


def test_a_clock_that_was_ahead_lets_the_whole_listing_be_read(
    archive: Archive, dandiset: Dandiset, synced: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset.draft.asset_at(path_of(1)).modified = datetime(2199, 1, 1, tzinfo=UTC)  # type: ignore[union-attr]
    dandiset.draft.touch(datetime.now(UTC))
    synced.sync()
    dandiset.replace_asset(path_of(7), archive.add_blob(b"other"))
    synced.server.requests.clear()
    assert synced.sync().changed == 1
    assert whole(synced)
