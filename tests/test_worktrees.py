"""A version beside the one that is checked out: stock tools work there, and content is shared both ways."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.datalad import content_requests, quiet
from tests.support.two_versions import FIRST, SECOND, filled

FILE = "sub-2/sub-2_ses-1_ecephys.nwb"


@pytest.fixture
def made(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    return filled(archive, mirror)


def test_a_version_is_laid_out_and_stock_tools_are_at_home_in_it(
    archive: Archive, made: MirrorOfTest, tmp_path: Path
) -> None:
    folder, before = tmp_path / "side", made.refs()
    done = run("dandi-mirror", "worktree", f"000123@{FIRST}", str(folder), cwd=made.path)
    assert done.stdout == f"{folder}  000123@{FIRST}  its content: datalad -C {folder} get .\n"
    assert done.stderr == ""
    assert content_requests(made.server) == [], "nothing is downloaded"
    assert (folder / "old" / "twin-a.nwb").is_symlink(), "it is the version's tree"
    assert run("git", "rev-parse", "HEAD", cwd=folder).stdout.strip() == made.git("rev-parse", f"{FIRST}^{{commit}}")
    assert "nothing to save" in quiet("datalad", "status", cwd=folder)
    quiet("datalad", "get", FILE, cwd=folder)
    assert (folder / FILE).read_bytes() == b"content 2"
    assert "here" in quiet("git", "annex", "whereis", FILE, cwd=folder)
    quiet("git", "annex", "fsck", FILE, cwd=folder)
    assert (made.path / "000123" / FILE).read_bytes() == b"content 2", "the mirror has it, too"
    asked = len(content_requests(made.server))
    quiet("git", "annex", "get", "old/twin-a.nwb", cwd=folder)
    assert (made.path / "000123" / "new" / "twin-b.nwb").read_bytes() == b"the same in both"
    assert len(content_requests(made.server)) == asked + 1
    quiet("git", "annex", "fix", ".", cwd=folder)
    quiet("git", "annex", "drop", FILE, cwd=folder)
    assert not (made.path / "000123" / FILE).exists()
    for place in (folder, made.path / "000123"):
        assert "nothing to save" in quiet("datalad", "status", cwd=place)
    now = {ref: oid for ref, oid in made.refs().items() if "annex" not in ref}
    assert now == {ref: oid for ref, oid in before.items() if "annex" not in ref}, "no ref of the mirror moved"
    archive.dandisets["000123"].add_asset("last.nwb", archive.add_blob(b"last"))
    assert made.sync().status == "ok", "the next sync is not in its way"
    assert not (folder / "last.nwb").exists()


def test_ours_are_at_home_in_it_too(made: MirrorOfTest, tmp_path: Path) -> None:
    folder, before = tmp_path / "side", made.refs()["refs/heads/git-annex"]
    run("dandi-mirror", "worktree", f"000123@{FIRST}", str(folder), cwd=made.path)
    got = run("dandi-mirror", "get", FILE, cwd=folder)
    assert got.stdout.startswith("got 1 file")
    assert (folder / FILE).read_bytes() == (made.path / "000123" / FILE).read_bytes() == b"content 2"
    assert made.git("merge-base", "--is-ancestor", before, "git-annex") == "", "what it said before is kept"
    quiet("git", "annex", "fsck", FILE, cwd=folder)
    listed = [
        json.loads(line) for line in run("dandi-mirror", "ls", FILE, "-f", "json", cwd=folder).stdout.splitlines()
    ]
    assert [(entry["version"], entry["here"]) for entry in listed[:-1]] == [(FIRST, True)]
    assert run("dandi-mirror", "ls", "000123@draft", "--links", cwd=folder).stdout.startswith("000123@draft")


def test_a_second_time_there_is_nothing_to_do_and_a_deleted_one_comes_again(made: MirrorOfTest, tmp_path: Path) -> None:
    folder = tmp_path / "side"
    command = ["dandi-mirror", "worktree", f"000123@{SECOND}", str(folder), "-d", str(made.path)]
    run(*command)
    (folder / "notes.txt").write_text("mine")
    assert run(*command).stdout == ""
    again, summary = map(json.loads, run(*command, "-f", "json").stdout.splitlines())
    assert summary["action"] == "summary"
    assert (again["status"], again["version"]) == ("notneeded", SECOND)
    assert (folder / "notes.txt").read_text() == "mine"
    shutil.rmtree(folder)
    assert json.loads(run(*command, "-f", "json").stdout.splitlines()[0])["status"] == "ok"
    assert (folder / "dandiset.yaml").is_file()


def test_what_would_be_in_the_way_is_refused_and_left_as_it_is(made: MirrorOfTest, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.tex").write_text("mine")
    for folder, version, hint in (
        (full, f"@{FIRST}", "not empty"),
        (made.path / "side", f"@{FIRST}", "is inside"),
        (made.path / "000123" / "side", f"@{FIRST}", "is inside"),
        (tmp_path / "side", "", "name a version"),
        (tmp_path / "side", "@0.990101.0000", "is not in"),
    ):
        done = run("dandi-mirror", "worktree", f"000123{version}", str(folder), cwd=made.path, code=2)
        assert hint in done.stderr
        assert done.stderr.count("\n") == 1
    assert [path.name for path in full.iterdir()] == ["thesis.tex"]
    assert not (made.path / "side").exists() and not (tmp_path / "side").exists()
    assert made.git("worktree", "list").count("\n") == 0


def test_a_clone_lays_out_versions_as_a_mirror_does(made: MirrorOfTest, tmp_path: Path) -> None:
    quiet("datalad", "clone", str(made.path / "000123"), "clone", cwd=tmp_path)
    run("dandi-mirror", "worktree", f"000123@{FIRST}", "side", "-d", "clone", cwd=tmp_path)
    quiet("datalad", "get", FILE, cwd=tmp_path / "side")
    assert (tmp_path / "clone" / FILE).read_bytes() == b"content 2"


def test_a_work_tree_whose_repository_was_moved_says_so_and_can_be_made_again(
    made: MirrorOfTest, tmp_path: Path
) -> None:
    folder, there = tmp_path / "my side", tmp_path / "moved"
    run("dandi-mirror", "worktree", f"000123@{FIRST}", str(folder), cwd=made.path)
    made.path.rename(there)
    told = f"{folder} is a work tree of a repository that is not there any more, {made.path}/000123/.git"
    for command in ("ls", "get", "log", "cite", "diff"):
        said = run("dandi-mirror", command, str(folder), code=2).stderr
        assert told in said, command
        assert said.rstrip().endswith("make it again from the new place: dandi-mirror worktree")
    shutil.rmtree(folder)
    run("dandi-mirror", "worktree", f"000123@{FIRST}", str(folder), cwd=there)
    run("dandi-mirror", "ls", str(folder), "-i", made.server.api_url)


def test_in_a_view_of_git_annex_it_is_said_how_to_end_it(made: MirrorOfTest, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    quiet("datalad", "clone", str(made.path / "000123"), str(folder), cwd=tmp_path)
    run("git", "annex", "view", "subject=*", cwd=folder)
    for command in (["ls", "."], ["get", "."], ["get", "sub-1"], ["upload", "-n"], ["cite", "."], ["log", "."]):
        told = run("dandi-mirror", *command, cwd=folder, code=2).stderr
        assert f"{folder} shows a view of git-annex" in told, command
        assert told.endswith(f"to end the view: git -C {folder} switch draft\n")
    run("git", "switch", "-q", "draft", cwd=folder)
    run("dandi-mirror", "ls", ".", cwd=folder)
