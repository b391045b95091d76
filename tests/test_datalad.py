"""The result is DataLad's: everything works with stock tools, and none of them has a complaint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Dandiset, Request
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import participant
from tests.support.datalad import content_requests, quiet

TAG = "0.240101.0000"
FILE = "sub-1/sub-1_ses-1.nwb"


@pytest.fixture
def dandiset(archive: Archive) -> Dandiset:
    made = archive.create_dandiset("000123", name="A test")
    for number in (1, 2):
        content = archive.add_blob(f"content {number}".encode() * 1000)
        made.add_asset(f"sub-{number}/sub-{number}_ses-1.nwb", content, metadata=participant(f"m{number}"))
    made.add_asset("README", archive.add_blob(b"read me\n"))
    made.publish(TAG, created="2024-01-01T00:00:00Z")
    made.rename_asset("sub-2/sub-2_ses-1.nwb", "sub-2/sub-2_ses-2.nwb")
    return made


@pytest.fixture
def made(dandiset: Dandiset, mirror: MirrorOfTest) -> MirrorOfTest:
    report = mirror.sync()
    assert report.exit_code == 0
    mirror.server.requests.clear()
    return mirror


def test_a_fresh_clone_gets_from_s3_first_without_any_set_up(made: MirrorOfTest, tmp_path: Path) -> None:
    quiet("datalad", "clone", str(made.path / "000123"), "clone", cwd=tmp_path)
    clone = tmp_path / "clone"
    quiet("datalad", "get", "sub-1", cwd=clone)
    assert (clone / FILE).read_bytes() == b"content 1" * 1000
    asked = content_requests(made.server)
    assert asked
    assert all("/blobs/" in path for path in asked), "the API was not asked"
    quiet("git", "annex", "fsck", FILE, cwd=clone)
    quiet("datalad", "drop", "sub-1", cwd=clone)
    assert "nothing to save" in quiet("datalad", "status", cwd=clone)


def test_a_get_falls_back_to_the_api_when_s3_fails(made: MirrorOfTest, tmp_path: Path) -> None:
    quiet("datalad", "clone", str(made.path / "000123"), "clone", cwd=tmp_path)
    first = []

    def no_plain_s3(request: Request) -> Response | None:
        if "/blobs/" in request.path and "X-Amz" not in request.query:
            first.append(request.path)
            return Response("gone", 403)
        return None

    made.server.intercept = no_plain_s3
    run("datalad", "get", FILE, cwd=tmp_path / "clone")
    assert (tmp_path / "clone" / FILE).read_bytes() == b"content 1" * 1000
    assert first, "S3 was asked first"


def test_a_clone_of_a_tag_and_a_checkout_of_one_hold_that_version(made: MirrorOfTest, tmp_path: Path) -> None:
    quiet("datalad", "clone", str(made.path / "000123"), "tagged", "--branch", TAG, cwd=tmp_path)
    assert (tmp_path / "tagged" / "sub-2" / "sub-2_ses-1.nwb").is_symlink()
    quiet("datalad", "get", "sub-2/sub-2_ses-1.nwb", cwd=tmp_path / "tagged")
    quiet("datalad", "clone", str(made.path / "000123"), "clone", cwd=tmp_path)
    assert not (tmp_path / "clone" / "sub-2" / "sub-2_ses-1.nwb").is_symlink()
    run("git", "-c", "advice.detachedHead=false", "checkout", "-q", TAG, cwd=tmp_path / "clone")
    quiet("datalad", "get", "sub-2/sub-2_ses-1.nwb", cwd=tmp_path / "clone")
    assert (tmp_path / "clone" / "sub-2" / "sub-2_ses-1.nwb").read_bytes() == b"content 2" * 1000
    assert (tmp_path / "clone" / "README").read_text() == "read me\n"


def test_a_clone_of_the_superdataset_gets_recursively(made: MirrorOfTest, tmp_path: Path) -> None:
    quiet("datalad", "clone", str(made.path), "super", cwd=tmp_path)
    clone = tmp_path / "super"
    quiet("datalad", "get", "-n", "000123", cwd=clone)
    assert "000123" in quiet("datalad", "subdatasets", cwd=clone)
    quiet("datalad", "get", "-r", ".", cwd=clone)
    assert (clone / "000123" / FILE).read_bytes() == b"content 1" * 1000
    assert "nothing to save" in quiet("datalad", "status", "-r", cwd=clone)


def test_the_mirror_itself_is_clean_and_git_annex_finds_nothing_wrong(made: MirrorOfTest) -> None:
    assert "nothing to save" in quiet("datalad", "status", "-r", cwd=made.path)
    quiet("git", "annex", "fsck", "--fast", cwd=made.path / "000123")
    quiet("git", "fsck", "--strict", cwd=made.path / "000123")
    quiet("git", "fsck", "--strict", cwd=made.path)
    assert made.git("status", "--porcelain") == ""


def test_stock_tools_push_from_the_mirror_without_having_its_remote_verified(
    made: MirrorOfTest, tmp_path: Path
) -> None:
    # git-annex 10.2026 holds a push from a repository with a remote that enabled itself until somebody looks at it
    for number, push in enumerate(("git push -q", "git annex sync --no-pull --no-content", "datalad push --to")):
        target = tmp_path / f"target{number}.git"
        run("git", "init", "-q", "--bare", "-b", "draft", str(target))
        made.git("remote", "add", f"target{number}", str(target))
        made.git("config", "push.default", "current")
        run(*push.split(), f"target{number}", cwd=made.path / "000123")
        arrived = run("git", "for-each-ref", "--format=%(objectname)", "refs/heads", cwd=target).stdout.split()
        assert made.git("rev-parse", "draft") in arrived, push


def test_a_mirror_that_holds_content_gives_it_to_its_clones(made: MirrorOfTest, tmp_path: Path) -> None:
    quiet("datalad", "get", f"000123/{FILE}", cwd=made.path)
    quiet("datalad", "clone", str(made.path / "000123"), "clone", cwd=tmp_path)
    made.server.requests.clear()
    assert "from origin" in quiet("datalad", "get", FILE, cwd=tmp_path / "clone")
    assert content_requests(made.server) == []


def test_find_and_view_in_a_clone_select_by_the_archives_metadata(made: MirrorOfTest, tmp_path: Path) -> None:
    quiet("datalad", "clone", str(made.path / "000123"), "clone", cwd=tmp_path)
    clone = tmp_path / "clone"
    found = quiet("git", "annex", "find", "--not", "--in", "here", "--metadata", "subject=m2", cwd=clone)
    assert found == "sub-2/sub-2_ses-2.nwb\n"
    quiet("git", "annex", "view", "session=*", cwd=clone)
    assert len(list((clone / "2").iterdir())) == 1


def test_an_update_of_the_mirror_reaches_a_clone(made: MirrorOfTest, dandiset: Dandiset, tmp_path: Path) -> None:
    quiet("datalad", "clone", str(made.path / "000123"), "clone", cwd=tmp_path)
    dandiset.add_asset("later.nwb", dandiset.archive.add_blob(b"later"))
    made.sync()
    quiet("datalad", "update", "--how", "ff-only", cwd=tmp_path / "clone")
    quiet("datalad", "get", "later.nwb", cwd=tmp_path / "clone")
    assert (tmp_path / "clone" / "later.nwb").read_bytes() == b"later"


def test_a_persons_edits_follow_the_text_rule(made: MirrorOfTest, tmp_path: Path) -> None:
    quiet("datalad", "clone", str(made.path / "000123"), "clone", cwd=tmp_path)
    clone = tmp_path / "clone"
    (clone / "notes.md").write_text("small text\n")
    (clone / "large.tsv").write_text("x" * 1024 * 1024 + "y")
    (clone / "exact.tsv").write_text("x" * 1024 * 1024)
    (clone / "new.nwb").write_bytes(b"\x89HDF")
    quiet("datalad", "save", "-m", "mine", cwd=clone)
    annexed = [path.name for path in clone.iterdir() if path.is_symlink()]
    assert sorted(annexed) == ["large.tsv", "new.nwb"]


@pytest.mark.parametrize("count", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_a_superdataset_of_many_is_cloned_and_installed_without_a_complaint(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, count: int
) -> None:
    ids = [f"{number:06d}" for number in range(1, count + 1)]
    for identifier in ids:
        archive.create_dandiset(identifier).add_asset("a.nwb", archive.add_blob(identifier.encode()))
    mirror.cli("sync", "--all")
    quiet("datalad", "clone", str(mirror.path), "super", cwd=tmp_path)
    clone = tmp_path / "super"
    quiet("datalad", "get", "-n", "000004", cwd=clone)
    assert [path.parent.name for path in clone.glob("*/.datalad")] == ["000004"]
    listed = quiet("datalad", "-f", "json", "subdatasets", cwd=clone).splitlines()
    assert sorted(Path(json.loads(line)["path"]).name for line in listed) == ids
    quiet("datalad", "get", "-n", "-r", ".", cwd=clone)
    assert sorted(path.parent.name for path in clone.glob("*/.datalad")) == ids
    quiet("datalad", "get", f"{ids[-1]}/a.nwb", cwd=clone)
    assert (clone / ids[-1] / "a.nwb").read_bytes() == ids[-1].encode()
    assert "nothing to save" in quiet("datalad", "status", "-r", cwd=clone)
    assert "nothing to save" in quiet("datalad", "status", "-r", cwd=mirror.path)
