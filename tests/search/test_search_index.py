"""The index that search reads: it follows refs, and is made anew when it is spoilt."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dandi_mirror.embedded import Archive
from dandi_mirror.errors import UsageError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.search.index import opened, path_of, update_index
from dandi_mirror.mirror.search.query import OPERATORS, Term, parse_query
from dandi_mirror.mirror.search.search import search, suggestions
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest, run
from tests.support.searching import A, B, answer, ask, nwb, paths


def test_the_index_follows_refs_and_reads_nothing_else_anew(archive: Archive, made: MirrorOfTest) -> None:
    seen: list[str] = []
    mirror = Mirror(made.path)
    assert update_index(mirror, lambda dandiset, doing: seen.append(dandiset)).updated == ["000123", "000200"]
    assert update_index(mirror, lambda dandiset, doing: seen.append(dandiset)).updated == []
    dandiset = archive.dandisets["000123"]
    dandiset.delete_asset("sub-a/sub-a_ses-1_ecephys.nwb")
    dandiset.add_asset("sub-c/sub-c.nwb", archive.add_blob(b"four"), metadata=nwb("c"))
    made.sync()
    assert paths(answer(made, "file_type:nwb dandiset:000123")) == [B, "000123@draft/sub-c/sub-c.nwb"]
    assert paths(answer(made, "subject:a", old=True)) == [A], "a version holds it"
    # what no version holds any more is gone, its words too
    dandiset.delete_asset("sub-c/sub-c.nwb")
    made.sync()
    assert paths(answer(made, "subject:c", old=True)) == []
    with opened(path_of(mirror)) as database:
        assert suggestions(database, [Term("subc"), Term("c", "subject")])["c"] == []
        assert database.execute("SELECT count(*) FROM words WHERE words MATCH 'c'").fetchone() == (0,)
        in_use = "SELECT count(*) FROM part WHERE number NOT IN (SELECT part FROM holds)"
        assert database.execute(in_use).fetchone() == (0,)
    run("rm", "-rf", str(made.path / "000200"))
    assert answer(made, "file_type:video").files == 0, "and so is a Dandiset that is mirrored no more"
    assert seen == ["000123", "000200"]


def test_an_index_that_came_step_by_step_says_what_one_made_at_once_does(archive: Archive, made: MirrorOfTest) -> None:
    mirror = Mirror(made.path)
    update_index(mirror, lambda dandiset, doing: None)
    archive.dandisets["000123"].delete_asset("sub-a/sub-a_ses-1_ecephys.nwb")
    archive.dandisets["000123"].publish("0.240202.0000", created="2024-02-02T00:00:00Z")
    made.sync()
    update_index(mirror, lambda dandiset, doing: None)
    stepwise = contents(path_of(mirror))
    path_of(mirror).unlink()
    update_index(mirror, lambda dandiset, doing: None)
    assert contents(path_of(mirror)) == stepwise


def contents(path: OwnPath) -> dict[str, list[Any]]:
    """What an index says, without its own numbers."""
    held = (
        "SELECT dandiset.id, version.name, path, asset.id, asset.sha256, size, type, text, current FROM asset"
        " JOIN facts ON facts.number = asset.facts JOIN dandiset ON dandiset.number = asset.dandiset"
        " JOIN member ON member.asset = asset.number JOIN holds USING (part)"
        " JOIN version ON version.number = holds.version"
    )
    with opened(path) as database:
        database.execute("CREATE VIRTUAL TABLE temp.v USING fts5vocab(main, words, col)")
        tables = {
            "held": held,
            "words": "SELECT term, col, doc, cnt FROM temp.v",
            "about": "SELECT * FROM about",
            "dandiset": "SELECT id, name, created, modified, published FROM dandiset",
        }
        return {name: sorted(database.execute(query).fetchall(), key=repr) for name, query in tables.items()}


@pytest.mark.parametrize("spoil", ["delete", "garble", "older", "foreign"])
def test_an_index_that_is_gone_or_spoilt_is_made_anew(spoil: str, made: MirrorOfTest) -> None:
    before = ask(made, "search", "ecephys")
    path = path_of(Mirror(made.path)).path
    if spoil == "delete":
        path.unlink()
    elif spoil == "garble":
        path.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    else:
        path.unlink() if spoil == "foreign" else None
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 0")
            database.execute("CREATE TABLE IF NOT EXISTS asset (mine)")
    assert ask(made, "search", "ecephys") == before


def test_a_stale_index_on_a_read_only_disk_answers_as_it_is(
    archive: Archive, made: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror(made.path)
    update_index(mirror, lambda dandiset, doing: None)
    archive.dandisets["000200"].add_asset("new.nwb", archive.add_blob(b"new"))
    made.sync("000200")
    path = path_of(mirror).path
    real = sqlite3.connect
    # what SQLite says of a file that is not ours to write, also to root
    monkeypatch.setattr(sqlite3, "connect", lambda name, **how: real(f"{path.as_uri()}?mode=ro", **how | {"uri": True}))
    fresh = update_index(mirror, lambda dandiset, doing: None)
    assert fresh.stale == ["000200"]
    assert "readonly" in fresh.why
    assert paths(answer(made, "ecephys")) == [A]


def test_a_dataset_that_cannot_be_read_is_named_and_keeps_nobody_from_the_others(made: MirrorOfTest) -> None:
    (made.path / "000123" / ".git" / "refs" / "heads" / "draft").write_text("0" * 39 + "1\n")
    out, err = ask(made, "search", "file_type:video")
    assert out.startswith("000200  ")
    assert err.startswith("the search index lacks the newest changes of 000123: ")
    assert err.count("\n") == 1
    made.git("update-ref", "-d", "refs/heads/draft")
    out, err = ask(made, "search", "file_type:nwb", "--limit", "1")
    assert (out.splitlines()[0], err) == ("000123  Hippocampus of mice  (2 files, 6 bytes)", "")


def test_a_persons_own_record_in_yaml_is_no_hindrance(made: MirrorOfTest) -> None:
    dataset = made.path / "000123"
    (dataset / "dandiset.yaml").write_text("name: mine\n")
    run("git", "commit", "-q", "-a", "-m", "mine", cwd=dataset)
    assert paths(answer(made, "subject:a")) == [A]
    assert "no file and no field" not in ask(made, "diff", "000123")[0]


def test_a_mirror_without_a_dandiset_says_how_to_begin(tmp_path: Path) -> None:
    done = run("dandi-mirror", "search", "mouse", cwd=tmp_path, code=2)
    assert "dandi-mirror sync 000004" in done.stderr
    assert list(tmp_path.glob("*")) == [tmp_path / "home"]


@pytest.fixture(scope="module")
def empty_index(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    from dandi_mirror.mirror.search.index import _TABLES

    database = sqlite3.connect(":memory:")
    for statement in _TABLES:
        database.execute(statement)
    return database


QUERIES = st.text() | st.lists(
    st.sampled_from([*(f"{name}:" for name in OPERATORS), '"', "*", "(", ")", "NEAR", "AND", "-", "^", "{a b}:", "x"])
).map("".join)


@settings(max_examples=300, deadline=None)
@given(query=st.lists(QUERIES | st.just("a\udc80b"), max_size=3))
def test_nothing_that_is_typed_is_syntax(query: list[str], empty_index: sqlite3.Connection) -> None:
    try:
        terms = parse_query(query)
    except UsageError:
        return
    search(empty_index, terms, old=False, most=1, most_files=1)
    suggestions(empty_index, terms)
