"""`search` and `which`: an index that is only derived, and questions that no mistake of typing breaks."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.errors import UsageError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.search.index import opened, path_of, update_index
from dandi_mirror.mirror.search.query import OPERATORS, Term, parse_query
from dandi_mirror.mirror.search.search import SearchResult, search, suggestions
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest, only_asked, run
from tests.support.dandisets import participant

TAG = "0.240101.0000"


def nwb(subject: str, **more: object) -> dict[str, Any]:
    return {"encodingFormat": "application/x-nwb", **participant(subject), **more}


def mice(archive: Archive) -> Dandiset:
    made = archive.create_dandiset("000123", name="Hippocampus of mice")
    made.set_metadata({**made.draft.metadata, "keywords": ["place cells"], "description": "Spikes in the dark."})
    technique = [{"name": "spike sorting technique"}]
    made.add_asset("sub-a/sub-a_ses-1_ecephys.nwb", archive.add_blob(b"one"), metadata=nwb("a"))
    made.add_asset("sub-b/sub-b_ses-2.nwb", archive.add_blob(b"two"), metadata=nwb("b", measurementTechnique=technique))
    made.publish(TAG, created="2024-01-01T00:00:00Z")
    made.rename_asset("sub-b/sub-b_ses-2.nwb", "sub-b/sub-b_ses-3.nwb")
    return made


def people(archive: Archive) -> Dandiset:
    made = archive.create_dandiset("000200", name="Sleep in people")
    person = {"identifier": "P1", "species": {"name": "Homo sapiens - Human"}, "sex": {"name": "Male"}}
    metadata = {"wasAttributedTo": [person], "encodingFormat": "video/mp4"}
    made.add_asset("sub-P1/night 1/sub-P1_video.mp4", archive.add_blob(b"three"), metadata=metadata)
    made.add_asset("sub-P1/copy.nwb", archive.add_blob(b"one"), metadata=nwb("P1"))
    return made


def filled(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    mice(archive), people(archive)
    assert mirror.sync().exit_code == 0
    assert mirror.sync("000200").exit_code == 0
    mirror.server.requests.clear()
    return mirror


@pytest.fixture
def made(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A mirror that a test may change."""
    return filled(archive, mirror)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MirrorOfTest]:
    """A mirror that is only asked."""
    with only_asked(tmp_path_factory.mktemp("asked"), filled) as mirror:
        yield mirror


def ask(made: MirrorOfTest, *arguments: str, code: int = 0, cwd: Path | None = None) -> tuple[str, str]:
    done = run("dandi-mirror", *arguments, cwd=cwd or made.path, code=code)
    assert made.server.requests == [], "the archive was not asked"
    return done.stdout, done.stderr


def answer(made: MirrorOfTest, *query: str, old: bool = False) -> SearchResult:
    mirror = Mirror(made.path)
    update_index(mirror, lambda dandiset, doing: None)
    with opened(path_of(mirror)) as database:
        return search(database, parse_query(query), old=old, most=10, most_files=10)


def paths(found: SearchResult) -> list[str]:
    return [f"{dandiset.dandiset}@{hit.version}/{hit.path}" for dandiset in found.found for hit in dandiset.hits]


A, OLD_B, B = (
    f"000123@{TAG}/sub-a/sub-a_ses-1_ecephys.nwb",
    f"000123@{TAG}/sub-b/sub-b_ses-2.nwb",
    "000123@draft/sub-b/sub-b_ses-3.nwb",
)
VIDEO, COPY = "000200@draft/sub-P1/night 1/sub-P1_video.mp4", "000200@draft/sub-P1/copy.nwb"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (["ecephys"], [A]),
        (["ECEph"], [A]),
        (["subject:a"], [A]),
        (["species:human"], [VIDEO]),
        (['species:"mus musculus"', "subject:b"], [B]),
        (["species:mus musculus", "session:3"], [B]),
        (["technique:spike sorting"], [B]),
        (['technique:"sorting spike"'], []),
        (["hippocampus", "ecephys"], [A]),
        (["hippocampus"], [A, B]),
        (["place", "dark"], [A, B]),
        (['"cells place"'], []),
        (["keyword:place name:hippo"], [A, B]),
        (["path:night"], [VIDEO]),
        (["file_type:video"], [VIDEO]),
        (["file_type:nwb dandiset:000200"], [COPY]),
        (["DANDI:000200/draft", "file_type:APPLICATION/x"], [COPY]),
        (["published_after:2024-01-01"], [A, B]),
        (["published_before:2024-01-01"], []),
        (["created_before:2000-01-01"], []),
        (["human", "hippocampus"], []),
        (["'", '"', "*", "NEAR(a b)", "ecephys"], []),
    ],
    ids=" ".join,
)
def test_words_and_operators_find_files_and_name_a_version_that_holds_them(
    query: list[str], found: list[str], asked: MirrorOfTest
) -> None:
    assert paths(answer(asked, *query)) == found


def test_what_only_an_older_version_holds_is_found_on_demand(asked: MirrorOfTest) -> None:
    assert paths(answer(asked, "session:2")) == []
    assert paths(answer(asked, "session:2", old=True)) == [OLD_B]
    assert paths(answer(asked, "subject:b", old=True)) == [OLD_B, B]


def test_each_hit_is_a_command_and_output_is_bounded(asked: MirrorOfTest) -> None:
    out, err = ask(asked, "search", "path:night")
    assert err == ""
    command = shlex.split(out.splitlines()[1], comments=True)
    assert command == ["dandi-mirror", "get", "000200@draft", "sub-P1/night 1/sub-P1_video.mp4"]
    out, _ = ask(asked, "search", "file_type:nwb", "--limit", "1", "--files", "1")
    assert out.splitlines()[0] == "000123  Hippocampus of mice  (2 files, 6 bytes)"
    assert out.splitlines()[2:] == ["  … and 1 more files (--files 2)", "… and 1 more Dandisets (--limit 2)"]


def test_the_command_of_a_hit_gets_the_file(made: MirrorOfTest) -> None:
    out, _ = ask(made, "search", "night", "session:2", "--old", "-f", "json")
    assert '"files": 0' in out
    for query, path, content in (
        ("path:night", "sub-P1/night 1/sub-P1_video.mp4", b"three"),
        ("session:2", "sub-b/sub-b_ses-3.nwb", b"two"),  # the version has it at another path
    ):
        out, _ = ask(made, "search", query, "--old", "-f", "json")
        _, hit, _ = [json.loads(line) for line in out.splitlines()]
        run(*shlex.split(hit["command"]), cwd=made.path)
        assert (made.path / hit["dandiset"] / path).read_bytes() == content
        made.server.requests.clear()


def test_records_have_datalads_keys_and_a_summary_that_counts_all(asked: MirrorOfTest, tmp_path: Path) -> None:
    out, _ = ask(asked, "search", "one OR", "-f", "json", "-d", str(asked.path), cwd=tmp_path)
    *none, end = [json.loads(line) for line in out.splitlines()]
    assert (none, end["files"], end["dandisets"]) == ([], 0, 0)
    out, _ = ask(asked, "search", "subject:a", "-f", "json", "-d", str(asked.path), cwd=tmp_path)
    dandiset, file, end = [json.loads(line) for line in out.splitlines()]
    assert {"action", "path", "type", "refds", "status", "message", "command"} <= set(dandiset) & set(file)
    assert dandiset["command"] == shlex.join(["dandi-mirror", "get", f"000123@{TAG}", "-d", str(asked.path)])
    assert file["path"] == str(asked.path / "000123" / "sub-a/sub-a_ses-1_ecephys.nwb")
    assert (file["fields"]["species"], file["fields"]["session"]) == (["Mus musculus - House mouse"], ["1"])
    assert (end["dandisets"], end["files"], end["bytes"]) == (1, 1, 3)


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        (["speces:mouse"], "did you mean species:mouse?"),
        (["doi:10.48324"], "'\"doi:10.48324\"' with both quotes"),
        (["owner:jane"], "contributor:jane"),
        (["created_after:soon"], "created_after:2024-01-31"),
        (["modified_before:20240131T00"], "write it as modified_before:2024-01-31"),
        ([" "], "nothing to search for"),
        (['""'], "nothing to search for"),
        (["x"] * 33, "at most 32"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line_with_what_can(
    query: list[str], hint: str, asked: MirrorOfTest
) -> None:
    _, err = ask(asked, "search", *query, code=2)
    assert hint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("hipocampus", "nothing has 'hipocampus' (did you mean hippocampus?)"),
        ("species:muculus", "nothing has 'muculus' (did you mean musculus?)"),
        ("campus", "nothing has 'campus' (did you mean hippocampus?)"),
        ("zzzzzz", "nothing has 'zzzzzz'"),
        ("sleep hippocampus", "nothing has all of these together"),
        ("+++", "nothing has this"),
    ],
)
def test_what_is_not_there_is_no_failure_and_what_is_nearly_so_is_named(
    query: str, said: str, asked: MirrorOfTest
) -> None:
    assert ask(asked, "search", query) == ("", f"{said}\n")


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


# --- which ------------------------------------------------------------------------------------------------

ONE = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
PLACES = f"000123  sub-a/sub-a_ses-1_ecephys.nwb  (3 bytes)  {TAG} draft\n000200  sub-P1/copy.nwb  (3 bytes)  draft\n"


def test_which_takes_a_file_a_digest_a_key_an_asset_and_a_blob(asked: MirrorOfTest, tmp_path: Path) -> None:
    (tmp_path / "mine.bin").write_bytes(b"one")
    link = asked.path / "000123" / "sub-a" / "sub-a_ses-1_ecephys.nwb"
    assert not link.exists(), "its content is not here"
    pointer = tmp_path / "pointer.nwb"
    pointer.write_text(f"/annex/objects/{link.readlink().name}\n")
    record = next(record for record in asked.records() if record["path"].startswith("sub-a"))
    urls = asked.urls(link.readlink().name)
    forms = [str(tmp_path / "mine.bin"), str(link), str(pointer), ONE, ONE.upper(), f"sha256:{ONE}"]
    forms += [link.readlink().name, record["asset_id"], *urls]
    assert len(urls) == 2
    for form in forms:
        out, _ = ask(asked, "which", form, "-d", str(asked.path), cwd=tmp_path)
        assert out == PLACES, form


def test_which_opens_no_device_or_pipe(asked: MirrorOfTest, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe.nwb")
    (device := tmp_path / "device.nwb").symlink_to("/dev/zero")
    for path in (pipe, device):
        _, err = ask(asked, "which", str(path), code=UsageError.exit_code)
        assert "a device or a pipe" in err


def test_which_says_all_versions_of_a_renamed_file_and_a_command(asked: MirrorOfTest) -> None:
    record = next(record for record in asked.records() if record["path"].startswith("sub-b"))
    out, _ = ask(asked, "which", record["asset_id"], "-f", "json")
    old, new, summary = [json.loads(line) for line in out.splitlines()]
    assert summary == {"action": "summary", "status": "ok", "exit_code": 0, "places": 2}
    assert (old["file"], old["versions"]) == ("sub-b/sub-b_ses-2.nwb", [TAG])
    assert (new["file"], new["versions"]) == ("sub-b/sub-b_ses-3.nwb", ["draft"])
    assert old["command"] == f"dandi-mirror get 000123@{TAG} sub-b/sub-b_ses-2.nwb"


def test_which_says_plainly_that_bytes_are_nowhere(asked: MirrorOfTest, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    for form in (str(tmp_path / "other"), "0" * 64, "00000000-0000-4000-8000-000000000000"):
        _, err = ask(asked, "which", form, code=3)
        assert err.startswith("dandi-mirror: no version of a mirrored Dandiset holds ")
    out, err = ask(asked, "which", "0" * 64, "-f", "json", code=3)
    record, summary = map(json.loads, out.splitlines())
    assert (record["action"], record["path"], record["status"]) == ("which", "0" * 64, "impossible")
    assert (summary["status"], summary["exit_code"], err) == ("error", 3, "")
    for form in ("no/such/file", str(tmp_path), "000123"):
        assert ask(asked, "which", form, code=2)[1].count("\n") == 1


def test_the_content_of_a_refused_asset_is_found_where_it_is_kept(archive: Archive, made: MirrorOfTest) -> None:
    asset = archive.dandisets["000123"].add_asset(".git/config", archive.add_blob(b"x"), unchecked=True)
    made.sync()
    made.server.requests.clear()
    out, _ = ask(made, "which", asset.asset_id)
    assert out == f"000123  .dandi/refused/{asset.asset_id}  (1 bytes)  draft\n"
