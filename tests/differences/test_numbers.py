"""The numbers of a large version are remembered: what is said is the same, and less is read."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.history import diff_reader
from dandi_mirror.mirror.history.diff import Changes
from dandi_mirror.mirror.history.diff_reader import Comparer
from dandi_mirror.mirror.locate.versions import states
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest
from tests.support.dandisets import participant


@pytest.fixture
def changing(archive: Archive, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch) -> MirrorOfTest:
    """A mirror of a Dandiset in four states: files come, go, change, and move to other subjects and sessions."""
    monkeypatch.setattr(diff_reader, "MANY", 1)  # every version counts as large
    dandiset = archive.create_dandiset("000123", name="A test")

    def add(subject: str, session: int, content: bytes) -> None:
        path = f"sub-{subject}/sub-{subject}_ses-{session}.nwb"
        dandiset.add_asset(path, archive.add_blob(content), metadata=participant(subject))

    for number in range(6):
        add(f"m{number // 2}", number, b"first %d" % number)
    mirror.sync()
    add("m9", 1, b"new")
    add("m0", 7, b"another session")
    mirror.sync()
    dandiset.delete_asset("sub-m1/sub-m1_ses-2.nwb")
    dandiset.delete_asset("sub-m1/sub-m1_ses-3.nwb")
    dandiset.delete_asset("sub-m0/sub-m0_ses-7.nwb")
    mirror.sync()
    dandiset.rename_asset("sub-m9/sub-m9_ses-1.nwb", "sub-m9/sub-m9_ses-5.nwb")
    dandiset.delete_asset("sub-m2/sub-m2_ses-4.nwb")
    add("m2", 4, b"replaced, and longer")
    mirror.sync()
    return mirror


def said(changes: Changes) -> object:
    """Everything that a person can see of changes."""
    names = [(changes.gained(what), changes.lost(what)) for what in ("subjects", "sessions")]
    return changes.before.facts(), changes.after.facts(), changes.counts(), names


def histories(mirror: MirrorOfTest, *, remembers: bool) -> list[object]:
    """What is said of all steps, one after the other, and of each alone."""
    found, dataset = [], Mirror(mirror.path).dataset("000123")
    all_states = states(dataset, 10)
    assert len(all_states) == 4
    with Comparer(dataset, Mirror(mirror.path).part_totals if remembers else None) as comparer:
        files = comparer.read(all_states[0])
        for state in all_states[1:]:
            changes, files = comparer.changes(files, state)
            comparer.remember(files)
            found.append(said(changes))
        for old in all_states:
            for new in all_states:
                changes, _ = comparer.changes(comparer.read(old), new)
                found.append(said(changes))
    return found


def test_what_is_said_of_changes_is_the_same_whether_numbers_are_remembered_or_all_is_read(
    changing: MirrorOfTest,
) -> None:
    expected = histories(changing, remembers=False)
    assert histories(changing, remembers=True) == expected
    assert histories(changing, remembers=True) == expected


@pytest.mark.parametrize("spoil", ["not json", "[1]", '["x", 1, 1, 1, 1]', None])
def test_numbers_may_be_spoilt_at_any_time(changing: MirrorOfTest, spoil: str | None) -> None:
    expected = histories(changing, remembers=True)
    with closing(sqlite3.connect(changing.path / ".dandi-mirror" / "totals.sqlite")) as database, database:
        assert database.execute("UPDATE version SET numbers = ?", [spoil]).rowcount > 0
    assert histories(changing, remembers=True) == expected


def test_of_files_whose_subjects_and_sessions_stay_no_others_are_counted(
    changing: MirrorOfTest, archive: Archive
) -> None:
    dandiset = archive.dandisets["000123"]
    dandiset.delete_asset("sub-m0/sub-m0_ses-0.nwb")
    blob = archive.add_blob(b"replaced")
    dandiset.add_asset("sub-m0/sub-m0_ses-0.nwb", blob, metadata=participant("m0"))
    before = histories(changing, remembers=True)
    changing.sync()
    dataset, known = Mirror(changing.path).dataset("000123"), Mirror(changing.path).part_totals
    *_, old, new = states(dataset, 10)
    assert known and before
    read: list[object] = []
    known.read = lambda oids: (read.append(oids), {})[1]  # type: ignore
    with Comparer(dataset, known) as comparer:
        changes, _ = comparer.changes(comparer.read(old), new)
    assert changes.counts() == {"replaced": 1}
    assert changes.after.facts() == changes.before.facts() | {"bytes": changes.after.size}
    assert not read
