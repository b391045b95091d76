"""What commands say instead of an invented example, or of nothing; and that they say it before they do anything."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from dandi_mirror.cli.output import draft_line
from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.fetch.download_plan import PARTIALS
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.verify.memories import check_index
from dandi_mirror.model import ListedDandiset, ListedVersion, Report
from dandi_mirror.upload.read.findings import short_message
from tests.conftest import MirrorOfTest, run
from tests.support.terminal import on_terminal

VERSIONS = ("0.220101.0000", "0.230202.0000", "0.240303.0000")


@pytest.fixture
def published(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A Dandiset with three versions, each with another file, and a draft like the last."""
    dandiset = archive.create_dandiset("000123")
    for number, version in enumerate(VERSIONS):
        dandiset.add_asset(f"sub-{number}/a.nwb", archive.add_blob(b"x" * (number + 1)))
        dandiset.publish(version, created=f"202{number}-01-01T00:00:00Z")
    mirror.sync()
    mirror.server.requests.clear()
    return mirror


def told(*arguments: str, code: int = 0, cwd: Path | None = None) -> str:
    done = run("dandi-mirror", *arguments, code=code, cwd=cwd)
    return done.stdout + done.stderr


@pytest.mark.parametrize(("count", "said"), [(1, "1 file, 5 bytes"), (1200, "1,200 files, 5 bytes")])
def test_a_question_about_a_draft_counts_its_files_and_cannot_move_the_cursor(count: int, said: str) -> None:
    time = datetime(2024, 1, 1, tzinfo=UTC)
    draft = ListedVersion("draft", "A \x1b[2Jtest", count, 5, "Valid", time, time)
    line = draft_line(ListedDandiset("000123", "OPEN", draft, None))
    assert line.endswith(f"test: {said}") and "\x1b" not in line


def test_an_older_version_has_its_title_from_the_archive_too(
    archive: Archive, published: MirrorOfTest, tmp_path: Path
) -> None:
    (first, *_) = archive.dandisets["000123"].published
    for version in (*VERSIONS, "draft"):
        line, *_ = told("ls", f"000123@{version}", "-i", published.server.api_url, cwd=tmp_path).splitlines()
        assert line == f"000123@{version}  {first.name}  (from the archive)"


def test_a_branch_that_is_lost_has_no_commit_in_words_either(published: MirrorOfTest) -> None:
    published.git("checkout", "-q", "--detach")
    published.git("update-ref", "-d", "refs/heads/draft")
    (found,) = check_index(Mirror(published.path))
    assert found.what.endswith(", and its branch has no commit")


def test_cite_names_versions_that_there_are_the_nearest_first_in_a_mirror_and_in_a_clone(
    published: MirrorOfTest, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    run("datalad", "clone", str(published.path / "000123"), str(clone))
    for where in (published.path, clone):
        here = ["-d", str(where)]
        newest = ", ".join(f"000123@{version}" for version in reversed(VERSIONS))
        assert f"name the version to cite; there are {newest}\n" in told("cite", "000123", *here, code=2)
        tip = run("git", "-C", str(published.path / "000123"), "rev-parse", "draft").stdout.strip()
        assert f"In git: commit {tip}, the draft of " in told("cite", "000123@draft", *here)
        assert f"In git: commit {tip}" in told("cite", f"000123@{tip[:9]}", *here)
        said = told("cite", "000123@0.230202.0001", *here, code=2)
        assert "000123@0.230202.0001 is not in" in said and f"did you mean 000123@{VERSIONS[1]}" in said
        assert VERSIONS[0] in told("cite", f"000123@{VERSIONS[0]}", *here)
    assert "000889 is not in" in told("cite", "000889", "-d", str(published.path), code=2)
    assert (
        f"000889 is not in {clone}, which is in a clone of 000123; name a mirror that has it: -d DIR; or make one: "
        in (told("cite", "000889", "-d", str(clone), code=2))
    )
    said = told("worktree", "000123", str(tmp_path / "w"), "-d", str(published.path), code=2)
    assert f"name a version; there are 000123@draft, 000123@{VERSIONS[2]}, " in said
    assert published.server.requests == []


def test_a_folder_that_is_no_mirror_is_named_and_a_mirror_is_listed_from_anywhere(
    published: MirrorOfTest, tmp_path: Path
) -> None:
    assert f"{tmp_path / 'typo'} is not a mirror" in told("runs", "-d", str(tmp_path / "typo"), code=2)
    assert "no run has left a log" in told("runs", "-d", str(published.path))
    for folder in (tmp_path, published.path):
        assert told("ls", ".", "-d", str(published.path), cwd=folder).startswith("000123    3 versions")


def test_get_says_that_another_version_is_checked_out(published: MirrorOfTest, tmp_path: Path) -> None:
    run("datalad", "clone", str(published.path / "000123"), str(tmp_path / "000123"))
    said = told("get", f"000123@{VERSIONS[0]}", "-n", "-d", str(published.path), cwd=tmp_path)
    assert f"has draft checked out, not {VERSIONS[0]}; content comes, but to see the files of that version: git" in said
    for same in ("000123@draft", f"000123@{VERSIONS[2]}"):
        assert "checked out" not in told("get", same, "-n", "-d", str(published.path), cwd=tmp_path)


def test_metrics_that_nobody_reads_are_refused_before_anything_is_done(published: MirrorOfTest, tmp_path: Path) -> None:
    done = published.cli("sync", "000123", "--metrics", str(tmp_path / "x.txt"), code=2)
    assert f"call it {tmp_path / 'x.prom'}" in done.stderr
    assert not list(tmp_path.glob("x.*")) and published.server.requests == []


def test_download_reads_all_names_before_it_fetches_anything(published: MirrorOfTest, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    where = ["-d", str(published.path), "-i", published.server.api_url]
    said = told("download", "DANDI:000123", ".", *where, cwd=here, code=2)
    assert "to download into that folder: -o ." in said
    assert "names no Dandiset" in told("download", "DANDI:000123", "nonsense", *where, cwd=here, code=2)
    assert list(here.iterdir()) == [] and published.server.requests == []


def test_two_dots_after_a_link_are_the_folder_above_its_target(published: MirrorOfTest, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(published.path / "000123" / "sub-0")
    assert not (tmp_path / "dandiset.yaml").exists()
    found = clone_at(str(tmp_path / "link/../sub-1/a.nwb"))
    assert found and (found.folder, found.name.path) == (published.path / "000123", "sub-1/a.nwb")
    assert clone_at(str(tmp_path / "link/.."))
    assert told("ls", str(tmp_path / "link/../sub-1")).startswith("000123@draft")


def test_one_file_is_one_file_and_yes_is_spelt_as_in_the_file(tmp_path: Path) -> None:
    from dandi_mirror.cli.output import report_line

    assert report_line(Report("000123", files=1, size=5, brought=1, brought_size=5), False) == (
        "000123  1 file, 5 bytes  got 1 file, 5 bytes"
    )
    settings = told("config", "-d", str(tmp_path))
    assert re.search(r"^embargoed +false ", settings, re.M) and "False" not in settings
    records = [json.loads(line) for line in told("config", "-d", str(tmp_path), "-f", "json").splitlines()]
    assert [one["value"] for one in records if one.get("name") == "embargoed"] == [False]


def test_an_error_of_the_system_has_no_name_of_a_class() -> None:
    assert short_message(OSError("unable to open file")) == "unable to open file"
    assert short_message(ValueError("not an HDF5 file")) == "not an HDF5 file"
    assert short_message(KeyError("x")) == "'x' (KeyError)"


def test_an_empty_archive_suggests_what_it_can_do() -> None:
    with on_terminal("archive", "serve", "--empty") as terminal:
        terminal.answer("serving until Ctrl-C", "\x03")
        terminal.end()
    assert "try: dandi-mirror create --name NAME -i http://127.0.0.1:" in terminal.output
    assert "000004" not in terminal.output


def test_download_goes_on_after_a_run_that_was_cut_off_and_overwrites_nothing(
    published: MirrorOfTest, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    where = ["-o", str(here), "-d", str(published.path), "-i", published.server.api_url]
    told("download", "000123", *where)
    assert "it is there already; add -e skip, overwrite, overwrite-different or refresh" in told(
        "download", "000123", *where, code=3
    )
    (here / "000123/sub-1/a.nwb").unlink()
    (here / PARTIALS).mkdir()
    (here / PARTIALS / sha256(b"xx").hexdigest()).write_bytes(b"x")  # as if that was under way
    assert "downloaded 1 file, 2 bytes; 2 were there" in told("download", "000123", *where)
    assert (here / "000123/sub-1/a.nwb").read_bytes() == b"xx"
    (here / "000123/sub-1/a.nwb").write_bytes(b"mine")
    (here / PARTIALS).mkdir()
    (here / PARTIALS / "something").write_bytes(b"x")
    said = told("download", "000123", *where, code=3)
    assert "sub-1/a.nwb: another file is there already; add -e skip, overwrite, overwrite-different or refresh" in said
    assert (here / "000123/sub-1/a.nwb").read_bytes() == b"mine"


@pytest.mark.parametrize("how", [["--single-branch"], ["--depth", "1"]])
@pytest.mark.parametrize("init", [False, True])
def test_get_in_a_clone_without_the_git_annex_branch_fetches_it(
    published: MirrorOfTest, tmp_path: Path, how: list[str], init: bool
) -> None:
    source, clone = published.path / "000123", tmp_path / "clone"
    run("git", "clone", "-q", *how, f"file://{source}", str(clone))
    if init:
        run("git", "annex", "init", cwd=clone)
    said = told("get", "sub-1", cwd=clone)
    assert f"{clone} was cloned without origin/git-annex, which says where content is; it is fetched" in said
    assert (clone / "sub-1/a.nwb").read_bytes() == b"xx"
    assert "cloned without" not in told("get", "sub-0", cwd=clone)
    assert "cloned without" not in told("get", "sub-0", "-n", "-d", str(published.path), cwd=source)


def test_get_in_a_clone_that_cannot_fetch_the_git_annex_branch_says_what_to_type(
    published: MirrorOfTest, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    run("git", "clone", "-q", "--single-branch", f"file://{published.path / '000123'}", str(clone))
    run("git", "remote", "set-url", "origin", str(tmp_path / "moved"), cwd=clone)
    said = told("get", "sub-1", cwd=clone, code=3)
    assert (
        f"fetch it yourself: git -C {clone} fetch --quiet origin +refs/heads/git-annex:refs/remotes/origin/git-annex"
        in said
    )


def test_a_word_for_a_failure_is_red_on_a_terminal_and_nowhere_else(published: MirrorOfTest, archive: Archive) -> None:
    archive.create_dandiset("000124")
    where = ["status", "000123", "000124", "-d", str(published.path), "-i", published.server.api_url]
    assert "\x1b[" not in told(*where, code=3)
    with on_terminal(*where) as terminal:
        assert terminal.end() == 3
    assert "000124  \x1b[31mnot mirrored\x1b[0m" in terminal.output
    assert "000123  up to date  3 versions" in terminal.output
    with on_terminal(*where, env={"NO_COLOR": "1"}) as terminal:
        assert terminal.end() == 3
    assert "\x1b[" not in terminal.output
