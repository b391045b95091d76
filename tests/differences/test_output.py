"""What diff and log print and complete, and what they remember of files of records."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.history.diff_reader import Comparer
from dandi_mirror.mirror.locate.versions import range_of
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import participant
from tests.support.differences import ask, records
from tests.support.two_versions import FIRST, SECOND
from tests.support.zarrs import a_zarr, change


def test_words_of_the_archive_reach_neither_the_terminal_nor_markdown_as_they_stand(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = archive.create_dandiset("000123", name="A test")
    dandiset.publish(FIRST, created="2024-01-01T00:00:00Z")
    metadata = participant("m\x1b[31m1") | {"wasAttributedTo": [{"identifier": "<img src=x>\x1b[31m|"}]}
    dandiset.add_asset("a[b](c)_*.nwb", archive.add_blob(b"x"), metadata=metadata, unchecked=True)
    mirror.sync()
    mirror.server.requests.clear()
    text = ask(mirror, "diff", "000123")
    marked = ask(mirror, "diff", "000123", "-f", "markdown")
    assert "\x1b" not in text + marked
    assert "a\\[b\\](c)\\_\\*.nwb" in marked
    assert "<img" not in marked.replace("\\<", "")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("log 0001", ["000123"]),
        ("diff 000123@0.2401", [f"000123@{FIRST}"]),
        # as bash has it, for which a word ends at an @
        ("diff 000123 @ 0.2401", [FIRST]),
        ("diff 000123 @", [FIRST, SECOND, "draft"]),
        (f"diff 000123 @ {FIRST}..d", [f"{FIRST}..draft"]),
        ("worktree 000123 @ dr", ["draft"]),
        ("cite 000123@0.2402", [f"000123@{SECOND}"]),
        ("diff 000999 @", []),
        ("diff ../secret @ 0", []),
        ("search spec", ["species:"]),
    ],
)
def test_ids_versions_and_operators_are_completed(words: str, completed: list[str], asked: MirrorOfTest) -> None:
    environment = {
        "_DANDI_MIRROR_COMPLETE": "bash_complete",
        "COMP_WORDS": f"dandi-mirror {words}",
        "COMP_CWORD": str(words.count(" ") + 1),
        "DANDI_MIRROR": str(asked.path),
    }
    assert run("dandi-mirror", env=environment).stdout.split() == [f"plain,{word}" for word in completed]


def test_what_files_of_records_hold_is_remembered_and_read_no_second_time(made: MirrorOfTest) -> None:
    dataset, known = Mirror(made.path).dataset("000123"), Mirror(made.path).part_totals
    old, new = range_of(dataset, "000123", f"{FIRST}..{SECOND}")
    assert old and known
    with Comparer(dataset, None) as comparer:
        expected = [comparer.read(version).totals for version in (old, new)]
    with Comparer(dataset, known) as comparer:
        assert [comparer.read(version).totals for version in (old, new)] == expected
    with Comparer(dataset, known) as comparer:
        read: list[str] = []
        whole = comparer._reader.read
        comparer._reader.read = lambda names, *more: (read.extend(names), whole(names, *more))[1]  # type: ignore
        assert [comparer.read(version).totals for version in (old, new)] == expected
        assert all(":" in name for name in read), "dandiset.yaml and .gitmodules alone"


@pytest.mark.parametrize("spoil", ["not json", "[1]", '["x", 1, 1, {}, []]', '[1, 1, 1, {"a": "b"}, []]', None])
def test_what_is_remembered_may_be_spoilt_at_any_time(made: MirrorOfTest, spoil: str | None) -> None:
    versions = f"000123@{FIRST}..{SECOND}"
    before = ask(made, "diff", versions)
    with closing(sqlite3.connect(made.path / ".dandi-mirror" / "totals.sqlite")) as database, database:
        assert database.execute("UPDATE part SET totals = ?", [spoil]).rowcount > 0
    assert ask(made, "diff", versions) == before
    (made.path / ".dandi-mirror" / "totals.sqlite").write_bytes(b"no database")
    assert ask(made, "diff", versions) == before


def test_the_totals_of_zarrs_are_those_of_their_states_also_if_they_are_remembered(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    zarr = a_zarr(archive.create_dandiset("000123"), "sub-1/x.ome.zarr")
    mirror.cli("sync", "000123")
    first = mirror.git("rev-parse", "draft")
    change(zarr, {"arr/0/0": b"longer than before" * 1000})
    mirror.cli("sync", "000123")
    mirror.server.requests.clear()
    versions = f"000123@{first}..draft"
    once, again = (records(ask(mirror, "diff", versions, "-f", "json"))[-1] for _ in range(2))
    assert once == again
    assert once["after"]["bytes"] - once["before"]["bytes"] == 18_000 - 9_000
