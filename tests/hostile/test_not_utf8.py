"""Names that are no UTF-8, and terminals that cannot show every letter: no command ends because of one."""

from __future__ import annotations

import json
import os
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Server
from dandi_mirror.mirror.format.records import path_digest
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import TEMPORARY, Dataset
from dandi_mirror.repo.git.git_folder import UntrustedRepository
from dandi_mirror.repo.git.stream import quote
from tests.conftest import MirrorOfTest, run
from tests.support.clones import Hostile, record, text
from tests.support.looking import files_below

STRANGE = "sub-1/\udcff\udcfe.nwb"
"""As Python reads bytes that are no UTF-8."""
GOOD = "sub-1/日本.txt"
LATIN_1 = {"PYTHONIOENCODING": "latin-1"}
LEGACY = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
"""A locale in which Python would write file names in ASCII."""


@pytest.fixture(autouse=True)
def elsewhere(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANDI_INSTANCE", server.api_url)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """One good file, and one in whose name are bytes that are no UTF-8."""
    return Hostile([record(GOOD)], {GOOD: text(), STRANGE: text()}).make(tmp_path / "work" / "clone")


def said(clone: Path, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> str:
    done = run("dandi-mirror", *arguments, cwd=clone, code=code, env=env)
    assert "unexpected" not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.quick
def test_the_bytes_of_a_name_stay_as_git_has_them() -> None:
    assert quote(STRANGE) == b"sub-1/\xff\xfe.nwb"
    assert path_digest(STRANGE) == sha256(b"sub-1/\xff\xfe.nwb").hexdigest()


@pytest.mark.parametrize("name", ["000123@draft/sub-*", "000123@draft/sub-1/", "."])
def test_a_download_of_several_files_brings_the_good_one(clone: Path, tmp_path: Path, name: str) -> None:
    said(clone, "download", name, "-d", ".", "-o", str(tmp_path / "out"))
    found = [path for path in files_below(tmp_path / "out") if path.endswith((".txt", ".nwb"))]
    assert [path.rpartition("/")[2] for path in found] == ["日本.txt"]


def test_a_download_of_that_file_alone_says_that_no_record_has_it(clone: Path, tmp_path: Path) -> None:
    assert r"no sub-1/\udcff\udcfe.nwb" in said(clone, "download", "-o", str(tmp_path / "out"), "--", STRANGE, code=3)
    assert not files_below(tmp_path / "out")


def test_every_way_to_list_names_only_what_has_a_record(clone: Path) -> None:
    records = [json.loads(line) for line in said(clone, "ls", "-r", ".", "-f", "json").splitlines()][:-1]
    assert [found["file"] for found in records] == [GOOD]
    assert "日本.txt" in said(clone, "ls", "-r", ".")


@pytest.fixture
def synced(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    dandiset = archive.create_dandiset("000123")
    dandiset.add_asset("sub-1/a.nwb", archive.add_blob(b"0" * 2000))
    mirror.sync()
    return mirror


def test_a_sync_takes_such_a_file_off_the_branch_and_leaves_the_others(synced: MirrorOfTest) -> None:
    dataset = Dataset(synced.path / "000123")
    before = set(dataset.tree("refs/heads/draft"))
    put_on_the_branch(dataset, STRANGE)
    report = synced.sync(mode="verify")
    assert report.status == "ok", report.message
    assert set(dataset.tree("refs/heads/draft")) == before


def test_a_temporary_ref_with_such_a_name_is_cleared_away(archive: Archive, synced: MirrorOfTest) -> None:
    dataset = Dataset(synced.path / "000123")
    head = dataset.ref("refs/heads/draft")
    stray = dataset.git_dir / TEMPORARY / "x\udcff"
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_text(f"{head}\n")
    archive.dandisets["000123"].add_asset("sub-2/a.nwb", archive.add_blob(b"1" * 2000))
    report = synced.sync()
    assert report.status == "ok", report.message
    assert not stray.exists()


GARBAGE = b"\xff\xfe\0" * 20


@pytest.mark.parametrize("name", ["packed-refs", "annex/mergedrefs", "commondir"])
def test_a_file_of_git_s_that_is_no_text_ends_get_in_plain_words(clone: Path, name: str) -> None:
    file = clone / ".git" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(GARBAGE)
    for command in (["get", "-n", "."], ["get", "."]):
        done = run("dandi-mirror", *command, cwd=clone, code=None)
        assert "unexpected" not in done.stderr + done.stdout, done.stderr


@pytest.mark.parametrize("name", ["packed-refs", "annex/mergedrefs", "commondir", "config"])
def test_a_pipe_in_the_place_of_a_file_of_git_s_is_not_read_by_us_either(clone: Path, name: str) -> None:
    file = clone / ".git" / name
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    dataset = Dataset(clone)
    assert dataset.ref("refs/heads/none") is None
    with pytest.raises(UntrustedRepository, match=f"{name} is a pipe"):
        AnnexRepository(clone).api()


@pytest.mark.parametrize("variables", [LATIN_1, LEGACY], ids=["terminal", "locale"])
def test_where_letters_are_missing_they_are_escaped_and_files_keep_their_names(
    clone: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    assert "1 file" in said(clone, "ls", "-r", ".", env=variables)
    said(clone, "download", ".", "-o", str(tmp_path / "out"), env=variables)
    assert f"000123/{GOOD}" in files_below(tmp_path / "out")


def test_a_terminal_without_a_letter_shows_its_number(clone: Path) -> None:
    assert r"sub-1/\u65e5\u672c.txt" in said(clone, "ls", "-r", ".", env=LATIN_1)


def put_on_the_branch(dataset: Dataset, path: str) -> None:
    """Let somebody put a file of this name on the mirror's branch, as if a sync had."""

    def git(*arguments: str, stdin: bytes = b"") -> str:
        command = ["git", "-C", str(dataset.path), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout.decode().strip()

    oid = git("hash-object", "-w", "--stdin", stdin=b"x")
    git("update-index", "-z", "--add", "--index-info", stdin=f"100644 {oid}\t".encode() + os.fsencode(path) + b"\0")
    tree, message = git("write-tree"), git("log", "-1", "--format=%B", "draft")
    git("update-ref", "refs/heads/draft", git("commit-tree", tree, stdin=message.encode()))
