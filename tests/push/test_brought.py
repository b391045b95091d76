"""What push brings to a sibling, and what it never forces."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.conftest import run
from tests.support.published import TAG
from tests.support.pushing import Published, codes, refuse_to_answer, type_in

ALL = [TAG, "draft", "git-annex"]


def test_branches_tags_and_the_git_annex_branch_are_brought_and_nothing_else(two: Published) -> None:
    two.mirror.git("branch", "mine", "draft")
    two.mirror.git("tag", "-a", "-m", "mine", "mine", "draft")
    done = two.cli()
    parts = [
        *(f"{dandiset}  backup  {TAG}, draft, git-annex" for dandiset in two.dandisets),
        "superdataset  backup  draft",
    ]
    assert done.stdout.splitlines() == parts
    assert two.there("000027") == two.here("000027")
    assert two.there("000123") == {ref: oid for ref, oid in two.here("000123").items() if "mine" not in ref}
    assert two.there("") == two.here("")
    asked = sorted(request.path for request in two.mirror.server.requests)
    assert asked[0].startswith("/api/dandisets/"), "whether they are open"
    assert asked[-1] == "/api/info/"
    assert not any("assets" in path or "blobs" in path for path in asked), "no content was fetched"
    assert not list(two.target.rglob("annex")), "nor brought"


def test_a_clone_of_the_sibling_finds_its_subdatasets_and_their_content(two: Published, tmp_path: Path) -> None:
    two.push()
    two.mirror.path.rename(tmp_path / "away")
    run("datalad", "clone", str(two.target), "clone", cwd=tmp_path)
    run("datalad", "get", "000123/a.nwb", cwd=tmp_path / "clone")
    assert (tmp_path / "clone" / "000123" / "a.nwb").read_bytes() == b"content of 000123"
    run("git", "clone", "-q", "--recurse-submodules", str(two.target), "plain", cwd=tmp_path)
    assert run("git", "tag", cwd=tmp_path / "plain" / "000027").stdout == f"{TAG}\n"


def test_a_push_with_nothing_to_do_is_silent_asks_nobody_and_starts_no_git(two: Published) -> None:
    two.cli()
    before = two.mirror.refs()
    two.mirror.server.requests.clear()
    done = two.cli("-l", "debug")
    assert (done.stdout, done.stderr) == ("", "")
    assert two.mirror.server.requests == []
    assert two.mirror.refs() == before
    done = two.cli("-f", "json")
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["notneeded"] * 3 + ["ok"]


def test_only_what_moved_is_asked_about_and_pushed(two: Published) -> None:
    two.cli()
    two.change("000123")
    two.mirror.server.requests.clear()
    done = two.cli("-l", "debug")
    assert done.stdout == "000123  backup  draft, git-annex\nsuperdataset  backup  draft\n"
    commands = [line for line in done.stderr.splitlines() if " git -C " in line]
    assert len([line for line in commands if " ls-remote " in line]) == 4
    assert len([line for line in commands if " push " in line]) == 2
    assert not any(f"git -C {two.mirror.path}/000027" in line for line in commands)
    assert [request.path for request in two.mirror.server.requests] == ["/api/info/", "/api/dandisets/000123/"]
    assert two.there("000123") == two.here("000123")


def test_the_memory_of_what_was_pushed_may_be_deleted_or_spoilt(two: Published) -> None:
    two.push()
    memory = two.mirror.path / ".dandi-mirror" / "pushed.sqlite"
    for spoil in (memory.unlink, lambda: memory.write_bytes(b"no database" * 100)):
        spoil()
        assert {report.status for report in two.push().values()} == {"notneeded"}
    assert two.push(ask=refuse_to_answer)["000123"].status == "notneeded"


def test_a_dry_run_names_what_moved_and_touches_nothing(two: Published) -> None:
    before = (two.mirror.path / "000123" / ".git" / "config").read_text()
    done = two.cli("-n")
    assert f"000123  backup  {TAG}, draft, git-annex  (nothing was pushed: --dry-run)" in done.stdout
    assert two.mirror.server.requests == []
    assert not two.target.exists()
    assert (two.mirror.path / "000123" / ".git" / "config").read_text() == before
    assert not (two.mirror.path / ".dandi-mirror" / "pushed.sqlite").exists()


def test_a_sibling_that_moves_is_set_up_anew(two: Published, tmp_path: Path) -> None:
    two.push()
    two.target = tmp_path / "elsewhere"
    assert codes(two.push()) == {"000027": 0, "000123": 0, "": 0}
    assert two.there("000123") == two.here("000123")
    assert two.mirror.git("remote", "get-url", "backup") == f"{two.target}/000123"


def test_a_sibling_that_is_wiped_is_filled_again_when_its_remotes_are_removed(two: Published, tmp_path: Path) -> None:
    two.push()
    two.target.rename(tmp_path / "wiped")
    assert codes(two.push(verify=True)) == {"000027": 3, "000123": 3, "": 3}
    for part in ("", "000027", "000123"):
        two.mirror.git("remote", "remove", "backup", dandiset=part)
    assert set(codes(two.push(verify=True)).values()) == {0}
    assert two.there("000123") == two.here("000123")


def test_a_tag_deleted_at_the_sibling_stays_so_until_a_person_brings_it_back(two: Published) -> None:
    two.push()
    run("git", "-C", str(two.target / "000123"), "tag", "-d", TAG)
    two.change("000123")
    for again in (False, True):
        reports = two.push()
        assert codes(reports) == {"000027": 0, "000123": 3, "": 0}
        assert f"{TAG} was deleted there" in reports["000123"].message
        assert reports["000123"].refs == ([] if again else ["draft", "git-annex"]), "the rest goes on"
        assert f"refs/tags/{TAG}" not in two.there("000123")
    type_in(reports["000123"], "git -C")
    assert codes(two.push()) == {"000027": 0, "000123": 0, "": 0}
    assert two.there("000123") == two.here("000123")


@pytest.mark.quick
def test_another_tag_and_a_rewritten_branch_at_the_sibling_are_left_alone(two: Published) -> None:
    two.push()
    there = two.target / "000123"
    run("git", "-C", str(there), "tag", "-f", "-a", "-m", "other", TAG, "git-annex")
    tree = run("git", "-C", str(there), "rev-parse", "draft^{tree}").stdout.strip()
    other = run("git", "-C", str(there), "commit-tree", "-m", "other", tree).stdout.strip()
    run("git", "-C", str(there), "update-ref", "refs/heads/draft", other)
    before = two.there("000123")
    two.change("000123")
    reports = two.push()
    assert codes(reports) == {"000027": 0, "000123": 3, "": 0}
    assert "draft has commits there that are not here" in reports["000123"].message
    assert f"{TAG} is a different tag there" in reports["000123"].message
    assert "\n" not in reports["000123"].message
    after = two.there("000123")
    assert {ref for ref in after if after[ref] != before[ref]} == {"refs/heads/git-annex"}
    assert "it waits for" in reports[""].message, "it would name a commit that nobody can get"
    assert two.there("")["refs/heads/draft"] != two.here("")["refs/heads/draft"]


def test_a_git_annex_branch_with_logs_of_others_is_merged_by_what_the_line_says(two: Published, tmp_path: Path) -> None:
    two.push()
    run("git", "clone", "-q", "-b", "git-annex", str(two.target / "000123"), "other", cwd=tmp_path)
    (tmp_path / "other" / "uuid.log").write_text("8c5b25a3-4d5f-4a0e-8f41-0f4a8c4b3f5e somebody else's timestamp=1s\n")
    run("git", "add", "uuid.log", cwd=tmp_path / "other")
    run("git", "commit", "-q", "-m", "update", cwd=tmp_path / "other")
    run("git", "push", "-q", "origin", "git-annex", cwd=tmp_path / "other")
    theirs = two.there("000123")["refs/heads/git-annex"]
    two.change("000123")
    report = two.push()["000123"]
    assert report.exit_code == 3
    assert report.refs == ["draft"]
    assert two.there("000123")["refs/heads/git-annex"] == theirs
    type_in(report, "git -C")
    run(*shlex.split(report.message.partition("then ")[2]))
    assert two.push()["000123"].exit_code == 0
    assert "somebody else's" in two.mirror.git("show", "git-annex:uuid.log")
    assert two.there("000123") == two.here("000123")


@pytest.mark.quick
def test_what_no_sync_made_is_not_published(two: Published) -> None:
    two.mirror.git("commit", "-q", "--allow-empty", "-m", "mine")
    two.mirror.git("tag", "0.250101.0000", dandiset="000027")
    reports = two.push()
    assert codes(reports) == {"000027": 3, "000123": 3, "": 0}
    assert "commits that no sync made" in reports["000123"].message
    assert "was not made by a sync" in reports["000027"].message
    assert not (two.target / "000123").exists()
    assert not (two.target / "000027").exists()
