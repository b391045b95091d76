"""A damaged repository in a mirror: ``status`` and ``sync`` name it and say what to type; the others go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.repo.git.damage import why_damaged
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import DamagedError, GitError, git
from tests.conftest import MirrorOfTest, run

REPAIR = "dandi-mirror verify 000123 --repair"
TAG = "0.240101.0000"


def empty(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(b"")


def objects_of(folder: Path, *names: str) -> list[Path]:
    """The files of loose objects."""
    oids = [run("git", "-C", str(folder), "rev-parse", name).stdout.strip() for name in names]
    return [folder / ".git/objects" / oid[:2] / oid[2:] for oid in oids]


def loosen(folder: Path) -> None:
    """Let every object of a repository be a file of its own."""
    unpack = "for p in .git/packs/*.pack; do git unpack-objects -q < $p; done; rm -rf .git/packs"
    run("sh", "-c", f"mv .git/objects/pack .git/packs; mkdir .git/objects/pack; {unpack}", cwd=folder)


def empty_object(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        loosen(folder)
        (file,) = objects_of(folder, name)
        empty(file)

    return change


def pack(folder: Path) -> Path:
    run("git", "-C", str(folder), "gc", "--quiet")
    (file,) = (folder / ".git/objects/pack").glob("*.pack")
    file.chmod(0o644)
    return file


def lose_pack(folder: Path) -> None:
    pack(folder).unlink()


def lose_pack_and_its_index(folder: Path) -> None:
    file = pack(folder)
    file.with_suffix(".idx").unlink()
    file.unlink()


def truncate_pack(folder: Path) -> None:
    file = pack(folder)
    file.write_bytes(file.read_bytes()[:-100])


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / ".git" / name).write_bytes(content)

    return change


def append(name: str, content: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / ".git" / name
        file.write_bytes((file.read_bytes() if file.exists() else b"") + content)

    return change


DAMAGE: dict[str, Callable[[Path], None]] = {
    "the branch's commit is empty": empty_object("draft"),
    "the branch's tree is empty": empty_object("draft^{tree}"),
    "the tag is empty": empty_object(TAG),
    "a text file is empty": empty_object("draft:README"),
    "the pack is lost": lose_pack,
    "the pack and its index are lost": lose_pack_and_its_index,
    "the pack is truncated": truncate_pack,
    "git's index is cut off": write("index", b"DIRC"),
    "git's index is something else": write("index", b"what somebody has put here by mistake" * 9),
    "the config is no config": append("config", b"[what\n"),
    "the branch holds no object id": write("refs/heads/draft", b"zzz\n"),
    "the branch is empty": write("refs/heads/draft", b""),
    "packed-refs has a line that is none": append("packed-refs", b"what\n"),
    "HEAD is something else": write("HEAD", b"what\n"),
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository with a branch, a tag and an index."""
    folder = tmp_path / "repository"
    run("git", "init", "-q", "-b", "draft", str(folder))
    (folder / "README").write_text("read me\n")
    for command in (("add", "."), ("commit", "-qm", "x"), ("tag", "-am", "x", TAG), ("repack", "-q")):
        run("git", "-C", str(folder), *command)
    return folder


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_seen_in_the_files_or_in_the_words_of_git(damage: str, repository: Path) -> None:
    def seen() -> str:
        if why := why_damaged(repository / ".git"):
            return why
        try:
            git(repository, "for-each-ref", "--format=%(objecttype)")
        except DamagedError as error:
            return error.why
        return ""

    assert seen() == ""
    DAMAGE[damage](repository)
    assert seen() != ""


def test_what_a_killed_git_leaves_and_a_commit_that_is_not_here_are_no_damage(repository: Path) -> None:
    for name in ("refs/heads/draft.lock", "index.lock", "objects/pack/tmp_idx_1", "objects/pack/.tmp-1-pack-1.idx"):
        (repository / ".git" / name).write_bytes(b"")
    (repository / ".git/objects/aa").mkdir(exist_ok=True)
    (repository / ".git/objects/aa/tmp_obj_1").write_bytes(b"")
    assert why_damaged(repository / ".git") == ""
    with pytest.raises(GitError):
        git(repository, "log", "-1", "f" * 40, "--")


@pytest.fixture
def two(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    for name in ("000123", "000124"):
        dandiset = archive.create_dandiset(name, name=f"number {name}")
        dandiset.add_asset("README", archive.add_blob(f"read {name}\n".encode()))
        dandiset.add_asset("sub-1/a.nwb", archive.add_blob(b"a"))
        dandiset.publish(TAG, created="2024-01-01T00:00:00Z")
    mirror.cli("sync", "--all")
    return mirror


def test_a_sync_of_one_dandiset_names_its_damage_also_when_the_archive_has_nothing_new(two: MirrorOfTest) -> None:
    lose_pack(two.path / "000123")
    done = two.cli("sync", "000123", code=7)
    assert f"mv {two.path / '000123'} {two.path / '000123'}.damaged" in done.stderr


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_dataset_is_named_with_what_to_type_and_the_others_go_on(
    damage: str, archive: Archive, two: MirrorOfTest
) -> None:
    folder = two.path / "000123"
    DAMAGE[damage](folder)
    status = two.cli("status", code=7)
    first, *advice, last = status.stdout.splitlines()
    assert first.startswith("000123  damaged")
    assert last == "000124  up to date  1 version"
    aside, again = f"mv {folder} {folder}.damaged", f"dandi-mirror sync 000123 -d {two.path}"
    assert f"{REPAIR} -d {two.path}; if that fails, move it away and sync it again: {aside}, then {again}" in advice[0]
    for name in ("000123", "000124"):
        archive.dandisets[name].add_asset("sub-2/b.nwb", archive.add_blob(b"b"))
    done = two.cli("sync", code=7)
    assert "000124  3 files" in done.stdout
    assert aside in done.stderr and again in done.stderr and "run this again" not in done.stderr
    two.cli("status", code=7)
    run(*aside.split())
    run(*again.split(), "-i", two.server.api_url)
    assert two.cli("status").stdout == "000123  up to date  1 version\n000124  up to date  1 version\n"
    assert two.tree() and f"{TAG}" in two.git("tag")


@pytest.mark.parametrize("damage", ["the tag is empty", "the pack and its index are lost", "the config is no config"])
def test_the_repair_that_is_named_first_keeps_the_content_that_is_here(damage: str, two: MirrorOfTest) -> None:
    folder = two.path / "000123"
    two.git("annex", "get", "-q", ".")
    DAMAGE[damage](folder)
    run(*REPAIR.split(), "-d", str(two.path), "-i", two.server.api_url)
    assert (folder / "sub-1/a.nwb").read_bytes() == b"a"
    assert two.cli("status", "000123").stdout == "000123  up to date  1 version\n"


@pytest.mark.parametrize("lost", [".git", ".git/HEAD"])
def test_a_dataset_that_lost_its_repository_is_named_until_it_is_repaired(lost: str, two: MirrorOfTest) -> None:
    folder, repair = two.path / "000123", f"{REPAIR} -d {two.path}"
    (folder / "notes.txt").write_text("mine")
    shutil.rmtree(folder / lost) if lost == ".git" else (folder / lost).unlink()
    first, advice, last = two.cli("status", code=7).stdout.splitlines()
    assert (first.split()[:2], last.split()[:2]) == (["000123", "damaged"], ["000124", "up"])
    assert ".git is " in advice and repair in advice and f"mv {folder} {folder}.damaged" in advice
    for typed in (["sync"], ["sync", "000123"], ["sync", "--all"], ["status", "--all"]):
        done = two.cli(*typed, code=7)
        assert "000123" in done.stdout + done.stderr, typed
        assert repair in done.stderr or typed[0] == "status"
    done = two.cli("verify", code=7)
    assert "has no git repository" in done.stdout and "git ls-tree" not in done.stdout + done.stderr
    run(*repair.split(), "-i", two.server.api_url)
    assert two.cli("status").stdout == "000123  up to date  1 version\n000124  up to date  1 version\n"
    (kept,) = two.path.rglob("notes.txt")
    assert kept.read_text() == "mine"


def test_a_dandiset_of_which_only_an_empty_folder_is_left_is_no_damage(two: MirrorOfTest, tmp_path: Path) -> None:
    shutil.rmtree(two.path / "000123")
    (two.path / "000123").mkdir()  # as `datalad uninstall` leaves it
    assert two.cli("status").stdout == "000124  up to date  1 version\n"
    how = f"  to mirror it: dandi-mirror sync 000123 -d {two.path}\n"
    assert two.cli("status", "000123", code=3).stdout == f"000123  not mirrored\n{how}"
    two.cli("sync", "000123")
    assert two.cli("status", "000123").stdout == "000123  up to date  1 version\n"


@pytest.mark.parametrize("damage", ["the pack and its index are lost", "the branch's commit is empty"])
def test_a_damaged_superdataset_is_named_with_what_to_type(damage: str, archive: Archive, two: MirrorOfTest) -> None:
    DAMAGE[damage](two.path)
    archive.dandisets["000123"].add_asset("sub-2/b.nwb", archive.add_blob(b"b"))
    done = two.cli("sync", code=7)
    aside = f"mv {two.path}/.git {two.path}/.dandi-mirror/superdataset.git.damaged"
    again = f"dandi-mirror sync -d {two.path}"
    assert aside in done.stderr and again in done.stderr
    run(*aside.split())
    run(*again.split(), "-i", two.server.api_url)
    assert run("git", "-C", str(two.path), "status", "--short").stdout == ""
    assert two.cli("status").stdout == "000123  up to date  1 version\n000124  up to date  1 version\n"


def test_an_empty_object_is_no_missing_file_to_who_reads_it(repository: Path) -> None:
    DAMAGE["a text file is empty"](repository)
    with Dataset(repository).reader() as reader, pytest.raises(DamagedError, match="is empty"):
        list(reader.read(["draft:README"]))
    with Dataset(repository).reader() as reader:
        assert list(reader.read(["draft:nothing"])) == [None]


def test_the_word_for_a_damaged_dataset_is_in_the_json_and_in_the_metrics(
    archive: Archive, two: MirrorOfTest, tmp_path: Path
) -> None:
    lose_pack(two.path / "000123")
    done = two.cli("status", "-f", "json", code=7)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record.get("word") for record in records[:2]] == ["damaged", "up to date"]
    archive.dandisets["000123"].add_asset("sub-2/b.nwb", archive.add_blob(b"b"))
    two.cli("sync", "--metrics", str(tmp_path / "m.prom"), code=7)
    assert "dandi_mirror_dandisets{" in (tmp_path / "m.prom").read_text()
    line = next(line for line in (tmp_path / "m.prom").read_text().splitlines() if 'damaged"' in line)
    assert line.endswith(" 1")


def spoil_page(file: Path) -> None:
    """Overwrite every page but the first of a database."""
    content = file.read_bytes()
    size = int.from_bytes(content[16:18], "big")
    file.write_bytes(content[:size] + b"\xa5" * (len(content) - size))


def test_an_index_with_a_corrupt_page_is_made_anew_and_that_is_said_once(two: MirrorOfTest) -> None:
    index = two.path / ".dandi-mirror/index.sqlite"
    spoil_page(index)
    spoilt = index.read_bytes()
    two.server.requests.clear()
    done = two.cli("sync")
    assert f"{index} was damaged" in done.stdout and "000123" not in done.stdout
    assert index.with_name("index.sqlite.spoilt").read_bytes() == spoilt
    assert len(two.server.requests) == 2, "what the datasets remember is believed"
    assert two.cli("status").stdout == "000123  up to date  1 version\n000124  up to date  1 version\n"
    assert two.cli("sync").stdout == ""


def test_a_dry_run_leaves_an_index_with_a_corrupt_page_alone(two: MirrorOfTest) -> None:
    index = two.path / ".dandi-mirror/index.sqlite"
    spoil_page(index)
    spoilt = index.read_bytes()
    two.cli("sync", "-n")
    assert index.read_bytes() == spoilt and not index.with_name("index.sqlite.spoilt").exists()


def test_one_repair_for_many_differences_is_named_once(two: MirrorOfTest) -> None:
    objects = [file for file in (two.path / "000123/.git/objects").glob("[0-9a-f][0-9a-f]/*") if file.is_file()]
    for file in objects[:6]:
        file.chmod(0o644)
        file.write_bytes(b"")
    said = two.cli("verify", "000123", code=7).stdout
    assert said.count("is empty") >= 6 and said.count("--repair") == 1
