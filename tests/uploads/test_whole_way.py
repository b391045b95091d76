"""The whole way of a change from a clone to the archive."""

from __future__ import annotations

import json

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.upload.read.worker import Worker
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.uploading import FIRST, SECOND, THIRD, Person, paths


def test_what_is_put_into_the_mirrors_dataset_goes_up_and_a_sync_has_nothing_to_do(
    mine: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    mirror.sync()
    folder = mirror.path / "000123"
    (folder / "sub-9").mkdir()
    (folder / "sub-9" / "sub-9_data.dat").write_bytes(b"new content" * 100)
    (folder / "README").write_text("words\n")
    (folder / ".DS_Store").write_bytes(b"junk")
    (folder / FIRST).unlink()
    options = ["-i", mirror.server.api_url, "--validation", "skip", "--include", "README", "--include", "sub-9"]
    done = run("dandi-mirror", "upload", *options, cwd=folder, env=token)
    assert done.stdout.splitlines() == [
        "     add    6 bytes  README",
        "     add     1.1 kB  sub-9/sub-9_data.dat",
        f"    kept    9 bytes  {FIRST}",
        "2 to add, 1 gone here, and kept there (--sync deletes); 2 unchanged",
        "added 2; sent 1.1 kB",
        "000123  5 files, 1.1 kB  +2",
    ]
    assert done.stderr == (
        "left out: 1 hidden file or leftover of programs, as .DS_Store (--include PATTERN sends such)\n"
    )
    assert mirror.git("status", "--porcelain") == f"D {FIRST}\n?? .DS_Store"
    mirror.git("restore", FIRST)
    assert mirror.asset_paths() == paths(mine)
    head = mirror.refs()["refs/heads/draft"]
    assert mirror.sync().status == "notneeded"
    assert mirror.sync(mode="force").status == "notneeded"
    assert mirror.refs()["refs/heads/draft"] == head
    key = mirror.keys()["sub-9/sub-9_data.dat"]
    assert len(mirror.urls(key)) == 2
    # git-annex itself asks the archive whether it has it
    run("git", "annex", "drop", "sub-9", cwd=folder)
    run("git", "annex", "get", "sub-9", cwd=folder)
    assert (folder / "sub-9" / "sub-9_data.dat").read_bytes() == b"new content" * 100


def test_a_file_that_went_up_is_present_as_git_annex_add_leaves_it(me: Person, mine: Dandiset) -> None:
    for name in ("new.dat", "same.dat"):
        me.write(f"sub-9/{name}", b"new content" * 100_000)
    assert not me.upload().failures
    link = me.folder / "sub-9" / "new.dat"
    assert link.is_symlink() and link.resolve().stat().st_mode & 0o222 == 0
    assert link.resolve().stat().st_nlink == 1
    assert not list((me.folder / ".git" / "annex" / "othertmp").glob("*"))
    run("git", "annex", "fsck", "--quiet", "sub-9", cwd=me.folder)
    assert " here\n" in run("git", "annex", "whereis", "sub-9/new.dat", cwd=me.folder).stdout
    run("git", "annex", "drop", "sub-9/same.dat", cwd=me.folder)  # the archive has it


def test_a_folder_takes_the_place_of_a_file(me: Person, mine: Dandiset) -> None:
    (me.folder / FIRST).unlink()
    me.write(f"{FIRST}/inside.dat", b"new content" * 1000)
    assert not me.upload(sync=True).failures
    assert f"{FIRST}/inside.dat" in paths(mine)
    assert FIRST not in paths(mine)
    assert run("git", "status", "--porcelain", cwd=me.folder).stdout == ""


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("size", [3, 300_000])
def test_a_file_takes_the_place_of_a_folder(me: Person, mine: Dandiset, size: int, staged: bool) -> None:
    run("rm", "-r", str(me.folder / "sub-0"))
    me.write("sub-0", b"new" * size)
    if staged:
        run("git", "annex", "add", "--quiet", ".", cwd=me.folder)
    done = me.upload(sync=True)
    assert not done.failures
    assert done.result.report and not done.result.report.findings
    assert paths(mine) == ["sub-0", SECOND, THIRD]
    assert me.git("status", "--porcelain") == ""
    assert me.git("ls-files", "sub-0") == "sub-0"
    assert (me.folder / "sub-0").read_bytes() == b"new" * size


def test_a_link_without_content_takes_the_place_of_a_folder(elsewhere: Person, mine: Dandiset) -> None:
    elsewhere.git("mv", SECOND, "moved.nwb")
    run("rm", "-r", str(elsewhere.folder / "sub-0"))
    elsewhere.git("mv", "moved.nwb", "sub-0")
    done = elsewhere.upload(sync=True, allow_deletes=True)
    assert done.steps == {"sub-0": "add", FIRST: "delete", SECOND: "delete"}
    assert done.result.report and not done.result.report.findings
    assert paths(mine) == ["sub-0", THIRD]
    assert elsewhere.git("status", "--porcelain") == ""


def test_from_a_new_dandiset_to_a_tag_in_the_mirror(
    archive: Archive, mirror: MirrorOfTest, worker: Worker, token: dict[str, str]
) -> None:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    told = mirror.cli("create", "--name", "A new one", "--license", "CC-BY-4.0", "--description", "Words.", env=token)
    dandiset = told.stdout.split()[0]
    me = Person(mirror.path / dandiset, mirror.server, worker, dandiset)
    me.write("sub-1/sub-1_data.dat", b"bytes")
    assert me.upload().failures == {}
    assert mirror.cli("sync", dandiset).stdout == ""
    done = mirror.cli("publish", dandiset, "--yes", env=token)
    (version,) = [published.version for published in archive.dandisets[dandiset].published]
    assert done.stdout.startswith(f"{dandiset}@{version} is published and mirrored\n")
    assert "Owner, Olive" in done.stdout
    assert f"refs/tags/{version}" in mirror.refs(dandiset)
    assert mirror.cli("sync", dandiset).stdout == ""
    assert "nothing has changed" in mirror.cli("publish", dandiset, "--yes", env=token, code=3).stderr


def test_what_is_done_in_a_clone_is_what_the_mirror_then_makes(
    mine: Dandiset, mirror: MirrorOfTest, elsewhere: Person
) -> None:
    elsewhere.git("mv", "sub-0", "sub-8")
    elsewhere.write("new.dat", b"new" * 1000)
    run("datalad", "save", "-m", "mine", cwd=elsewhere.folder)
    mine_was = elsewhere.git("rev-parse", "HEAD")
    elsewhere.git("rm", "-q", SECOND)
    done = elsewhere.upload(sync=True)
    assert done.failures == {}
    assert done.steps == {"new.dat": "add", "sub-8/sub-0_ses-1_ecephys.nwb": "rename", SECOND: "delete"}
    assert elsewhere.git("status", "--porcelain") == ""
    assert paths(mine) == ["new.dat", THIRD, "sub-8/sub-0_ses-1_ecephys.nwb"]
    assert elsewhere.git("rev-parse", done.result.kept) == mine_was
    assert elsewhere.git("log", "--format=%ae", "-1", "draft") == "noreply@dandi-mirror.invalid"
    mirror.sync()
    assert mirror.refs()["refs/heads/draft"] == elsewhere.git("rev-parse", "draft")
    elsewhere.server.requests.clear()
    again = elsewhere.upload(sync=True)
    assert (again.steps, again.result.report) == ({}, None)
    assert elsewhere.writes() == []
    run("datalad", "drop", "new.dat", cwd=elsewhere.folder)


def test_a_dry_run_says_it_all_and_sends_and_writes_nothing(me: Person, token: dict[str, str]) -> None:
    me.write("new.dat", b"new")
    me.write("empty.dat", b"")
    me.git("mv", FIRST, "elsewhere.nwb")
    me.git("status")  # an old git-annex notes in a ref which index it has read then
    before = me.git("for-each-ref"), me.git("status", "--porcelain"), sorted(me.folder.rglob(".git/*"))
    where = ["-i", me.server.api_url, "-f", "json"]
    done = run("dandi-mirror", "upload", "--dry-run", "--include", "*.dat", *where, cwd=me.folder, env=token, code=3)
    *steps, refused, summary = map(json.loads, done.stdout.splitlines())
    assert [(step["action"], step["do"], step["file"], step["from"]) for step in steps] == [
        ("plan", "rename", "elsewhere.nwb", FIRST),
        ("plan", "refused", "empty.dat", ""),
        ("plan", "add", "new.dat", ""),
    ]
    assert (refused["file"], refused["status"], refused["exit_code"]) == ("empty.dat", "impossible", 3)
    assert "empty" in refused["message"]
    assert (summary["action"], summary["exit_code"]) == ("summary", 3)
    assert me.writes() == []
    assert (me.git("for-each-ref"), me.git("status", "--porcelain"), sorted(me.folder.rglob(".git/*"))) == before


def test_paths_choose_what_goes_up(me: Person, mine: Dandiset) -> None:
    me.write("a/1.dat", b"1")
    me.write("b/2.dat", b"2")
    me.write("b/.hidden.dat", b"3")
    assert me.upload(paths=("a",)).steps == {"a/1.dat": "add"}
    assert "b/2.dat" not in paths(mine)
    assert me.git("status", "--porcelain") == "?? b/"
    assert me.upload(paths=("b/2.dat", "b/.hidden.dat")).steps == {"b/.hidden.dat": "add", "b/2.dat": "add"}
    assert me.git("status", "--porcelain") == ""
