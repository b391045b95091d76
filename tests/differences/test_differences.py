"""What changed between two versions, and in all of them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.history.diff import BOOKKEEPING, field_changes
from dandi_mirror.mirror.history.diff_reader import NOTHING, Comparer
from dandi_mirror.mirror.locate.versions import range_of
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import participant
from tests.support.differences import ask, records
from tests.support.two_versions import FIRST, SECOND


def test_a_diff_names_each_file_once_and_by_what_became_of_it(asked: MirrorOfTest) -> None:
    *files, end = records(ask(asked, "diff", f"000123@{FIRST}..{SECOND}", "-f", "json"))
    assert [(record["state"], record.get("old_file", ""), record["file"]) for record in files] == [
        ("added", "", "sub-9/sub-9_ses-7.nwb"),
        ("removed", "", "sub-0/sub-0_ses-1_ecephys.nwb"),
        ("replaced", "sub-1/sub-1_ses-1_ecephys.nwb", "sub-1/sub-1_ses-1_ecephys.nwb"),
        ("renamed", "old/twin-a.nwb", "new/twin-a.nwb"),
        ("renamed", "old/twin-b.nwb", "new/twin-b.nwb"),
        ("edited", "sub-2/sub-2_ses-1_ecephys.nwb", "sub-2/sub-2_ses-1_ecephys.nwb"),
    ]
    assert {"action", "path", "type", "refds", "status", "message"} <= set(files[0])
    assert files[-1]["fields"] == [{"name": "wasAttributedTo.sex.name", "old": ["Female"], "new": ["Male"]}]
    assert end["before"] == {"subjects": 3, "sessions": 3, "files": 5, "bytes": 27 + 32}
    assert end["after"] == {"subjects": 4, "sessions": 3, "files": 5, "bytes": 13 + 9 + 32 + 3}
    assert (end["subjects_added"], end["subjects_removed"]) == (["m9"], [])
    assert (end["sessions_added"], end["sessions_removed"]) == (["m9/7"], ["m0/1"])
    assert (end["from"], end["to"], end["fields"]) == (FIRST, SECOND, {"wasAttributedTo.sex.name": 1})


def test_how_a_record_was_made_does_not_count_and_when_a_session_was_does() -> None:
    def record(number: int, start: str = "2024-01-01") -> dict[str, object]:
        made = {"schemaKey": "Activity", "name": "Metadata generation", "id": f"urn:uuid:{number}", "endDate": number}
        return {"wasGeneratedBy": [{"schemaKey": "Session", "name": "day 1", "startDate": start}, made]}

    assert field_changes(record(1), record(2), BOOKKEEPING) == ()
    (change,) = field_changes(record(1), record(1, "2024-01-02"), BOOKKEEPING)
    assert change.facts() == {"name": "wasGeneratedBy.startDate", "old": ["2024-01-01"], "new": ["2024-01-02"]}


def test_a_file_without_a_subject_is_no_session_of_its_own(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = archive.create_dandiset("000123", name="A test")
    dandiset.publish(FIRST, created="2024-01-01T00:00:00Z")
    session = "sub-m9/sub-m9_ses-20240101T120000"
    dandiset.add_asset(f"{session}.nwb", archive.add_blob(b"one"), metadata=participant("m9"))
    dandiset.add_asset(f"{session}_image/x.mp4", archive.add_blob(b"two"))
    mirror.sync()
    mirror.server.requests.clear()
    for _ in ("read", "remembered"):
        end = records(ask(mirror, "diff", "000123", "-f", "json"))[-1]
        assert (end["after"]["sessions"], end["sessions_added"]) == (1, ["m9/20240101T120000"])
        newest, *_ = records(ask(mirror, "log", "000123", "-f", "json"))
        assert newest["after"]["sessions"] == 1
    with closing(sqlite3.connect(mirror.path / ".dandi-mirror" / "totals.sqlite")) as database, database:
        before = '[2, 6, 0, {"m9": 1}, [["m9", "20240101T120000", 1], ["", "20240101T120000", 1]], []]'
        database.execute("UPDATE part SET totals = ?", [before])
    end = records(ask(mirror, "diff", "000123", "-f", "json"))[-1]
    assert end["after"]["sessions"] == 1, "a release before counted it"


def test_a_diff_in_words_says_the_same(asked: MirrorOfTest) -> None:
    text = ask(asked, "diff", f"000123@{FIRST}..{SECOND}")
    assert text.startswith(f"000123  {FIRST} → {SECOND}\n")
    assert "subjects         3         4  +1 (m9)\n" in text
    assert "files            5         5  +1 -1 ~1, 2 renamed, 1 edited\n" in text
    assert "  old/twin-a.nwb → new/twin-a.nwb\n" in text
    assert "  wasAttributedTo.sex.name  1 file, as Female → Male\n" in text
    marked = ask(asked, "diff", f"000123@{FIRST}..{SECOND}", "-f", "markdown")
    assert "| subjects | 3 | 4 | +1 (m9) |\n" in marked
    assert "- old/twin-a.nwb → new/twin-a.nwb\n" in marked


@pytest.mark.parametrize(
    ("typed", "ends"),
    [
        ("", (SECOND, "draft")),
        (SECOND, (FIRST, SECOND)),
        (f"{FIRST}..", (FIRST, "draft")),
        (f"..{SECOND}", (FIRST, SECOND)),
        ("draft", (SECOND, "draft")),
        (FIRST, ("", FIRST)),
        (f"{SECOND}..{FIRST}", (SECOND, FIRST)),
    ],
)
def test_an_end_that_is_left_out_is_the_nearest(typed: str, ends: tuple[str, str], asked: MirrorOfTest) -> None:
    old, new = range_of(Mirror(asked.path).dataset("000123"), "000123", typed)
    assert (old.name if old else "", new.name) == ends


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["diff", f"000123@{FIRST[:-1]}1..draft"], f"did you mean 000123@{FIRST}"),
        (["diff", "000123@nonsense"], f"it has 000123@draft, 000123@{SECOND}, 000123@{FIRST}"),
        (["diff", "000123@nonsense.."], f"it has 000123@draft, 000123@{SECOND}, 000123@{FIRST}"),
        (["diff", f"000123@{FIRST}/sub-1"], "name a Dandiset or a version of it"),
        (["diff", f"DANDI:000123/{FIRST}@{SECOND}.."], "names versions twice"),
        (["log", f"000123@{FIRST}"], "write 000123"),
        (
            ["diff", FIRST, SECOND],
            f"both versions stand in one word, as A..B: dandi-mirror diff ID@{FIRST}..{SECOND}\n",
        ),
        (["diff", "000123", FIRST, SECOND], f"dandi-mirror diff 000123@{FIRST}..{SECOND}\n"),
        (["diff", f"000123@{FIRST}", f"000123@{SECOND}"], f"dandi-mirror diff 000123@{FIRST}..{SECOND}\n"),
        (["diff", f"{FIRST}..{SECOND}"], f"behind the id of its Dandiset: dandi-mirror diff ID@{FIRST}..{SECOND}\n"),
        (["diff", "000123@--all..draft"], "it has"),
        (["diff", "000123@fffffff..draft"], "it has"),
        (["log", "000999"], "mirror it first: dandi-mirror sync 000999"),
        (["log", "4"], "six digits"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(arguments: list[str], hint: str, asked: MirrorOfTest) -> None:
    said = ask(asked, *arguments, code=2)
    assert hint in said
    assert said.count("\n") == 1


def test_a_log_tells_each_version_by_its_change_and_the_draft_by_its_commits(
    archive: Archive, made: MirrorOfTest
) -> None:
    lines = ask(made, "log", "000123").splitlines()
    assert [line.split()[0] for line in lines] == ["version", "draft", SECOND, FIRST]
    assert lines[1].endswith("+1")
    assert lines[2].endswith("+1 -1 ~1, 2 renamed, 1 edited")
    assert lines[3].endswith("the first")
    archive.dandisets["000123"].add_asset("last.nwb", archive.add_blob(b"last"))
    made.sync()
    made.server.requests.clear()
    with_commits = ask(made, "log", "000123", "--commits").splitlines()
    assert len(with_commits) == len(lines) + 1
    older = with_commits[2].split()[0]
    assert made.git("rev-parse", older) == made.git("rev-parse", "draft~1")
    assert "  last.nwb  4 bytes\n" in ask(made, "diff", f"000123@{older}..draft"), "a commit is a state, too"
    assert len(ask(made, "log", "000123", "--limit", "1").splitlines()) == 2
    *facts, summary = records(ask(made, "log", "000123", "-f", "json"))
    assert summary == {"action": "summary", "status": "ok", "exit_code": 0}
    assert [(fact["version"], fact["since"]) for fact in facts] == [("draft", SECOND), (SECOND, FIRST), (FIRST, "")]


def test_release_notes_stand_in_the_log_in_each_form(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = archive.create_dandiset("000123", name="A test")
    dandiset.add_asset("a.nwb", archive.add_blob(b"x"))
    dandiset.publish(FIRST, created="2024-01-01T00:00:00Z", release_notes="Adds\n<mouse> 7\x1b")
    dandiset.publish(SECOND, created="2024-02-01T00:00:00Z")
    mirror.sync()
    mirror.server.requests.clear()
    assert ask(mirror, "log", "000123").endswith(f"the first\n\nrelease notes\n  {FIRST}  Adds <mouse> 7\\x1b\n")
    marked = ask(mirror, "log", "000123", "-f", "markdown")
    assert f"### Release notes\n\n- {FIRST}: Adds \\<mouse\\> 7" in marked
    *facts, _ = records(ask(mirror, "log", "000123", "-f", "json"))
    assert [fact["release_notes"] for fact in facts] == ["", "", "Adds\n<mouse> 7\x1b"]


def test_a_clone_is_asked_as_a_mirror_is(asked: MirrorOfTest, tmp_path: Path) -> None:
    asked.git_clone(tmp_path / "clone")
    run("git", "checkout", "-q", SECOND, cwd=tmp_path / "clone")
    run("git", "branch", "-q", "-D", "draft", cwd=tmp_path / "clone")
    assert ask(asked, "log", "000123", cwd=tmp_path / "clone") == ask(asked, "log", "000123")
    assert "is not in" in ask(asked, "log", "000124", cwd=tmp_path / "clone", code=2)


def test_what_no_sync_made_has_no_records_and_says_so(asked: MirrorOfTest, tmp_path: Path) -> None:
    asked.git_clone(tmp_path / "other")
    run("git", "rm", "-q", "-r", ".dandi", cwd=tmp_path / "other")
    run("git", "commit", "-q", "-m", "as others do", cwd=tmp_path / "other")
    said = ask(asked, "diff", ".", cwd=tmp_path / "other", code=2)
    assert "has no asset records" in said


def test_a_branch_or_a_tag_that_points_to_a_blob_is_named(made: MirrorOfTest) -> None:
    blob = run("git", "-C", str(made.path / "000123"), "hash-object", "-w", "--stdin", stdin="x").stdout.strip()
    draft = made.git("rev-parse", "draft")
    file = made.path / "000123/.git/refs/heads/draft"
    file.write_text(f"{blob}\n")
    for command in ("log", "diff"):
        said = ask(made, command, "000123", code=3)
        assert "its branch draft points to a blob, not to a commit" in said
        assert "git -C" in said and "int" not in said.split()
    file.write_text(f"{draft}\n")
    assert f"000123@{blob[:9]} is not in" in ask(made, "diff", f"000123@{FIRST}..{blob[:9]}", code=2)
    made.git("tag", "-a", "-m", "x", "0.240301.0000", blob)
    for command in ("log", "diff"):
        assert "its tag 0.240301.0000 points to a blob, not to a commit" in ask(made, command, "000123", code=3)


def test_a_chain_of_changes_adds_up_to_what_the_last_one_holds_and_shared_parts_are_not_read(
    archive: Archive, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    dandiset = archive.create_dandiset("000123")
    long = {"keywords": ["x" * 2000]}
    for number in range(200):
        blob = archive.add_blob(str(number).encode())
        dandiset.add_asset(f"sub-{number % 7}/ses-{number}.nwb", blob, metadata=participant(f"m{number % 7}") | long)
    dandiset.publish(FIRST, created="2024-01-01T00:00:00Z")
    dandiset.rename_asset("sub-3/ses-3.nwb", "sub-3/ses-3b.nwb")
    dandiset.delete_asset("sub-4/ses-4.nwb")
    mirror.sync()
    dataset = Mirror(mirror.path).dataset("000123")
    assert len([path for path in mirror.tree() if path.startswith(".dandi/assets/")]) == 16, "split into parts"
    old, new = range_of(dataset, "000123", "")
    assert old
    with Comparer(dataset, None) as comparer:
        before = comparer.read(old)
        read: Counter[str] = Counter()
        whole = comparer._reader.read
        monkeypatch.setattr(comparer._reader, "read", lambda names, *more: (read.update(names), whole(names, *more))[1])
        changes, after = comparer.changes(before, new)
        assert len(read) <= 2 * 3 + 2, "the parts of three paths, before and after, dandiset.yaml and .gitmodules"
        monkeypatch.undo()
        assert after.totals.facts() == comparer.read(new).totals.facts()
        assert changes.counts() == {"removed": 1, "renamed": 1}
        everything, _ = comparer.changes(NOTHING, new)
    assert everything.counts() == {"added": 199}
    assert everything.after.facts() == after.totals.facts()
