"""``organize``: NWB files come to their places as content of git-annex, and none is ever lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from dandi_mirror.repo.annex.adding import NotAdded, adding
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.lock import hold
from dandi_mirror.upload.organize import organize, sources
from dandi_mirror.upload.read.worker import Worker
from tests.conftest import run
from tests.support.nwb import truncated, videos_of, write_nwb
from tests.support.working import THERE, Working, clone

__all__ = ["clone"]


def test_organized_files_are_annexed_and_staged_and_nothing_is_committed(clone: Working, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    one, two = write_nwb(lab / "a.nwb", session="s1"), write_nwb(lab / "deep" / "b.nwb", session="s2")
    before, head = one.read_bytes(), clone.git("rev-parse", "HEAD")
    said = clone.cli("organize", str(lab))
    assert said.startswith("organized 2 files")
    assert clone.status() == ["A  sub-m1/sub-m1_ses-s1.nwb", "A  sub-m1/sub-m1_ses-s2.nwb"]
    assert clone.git("rev-parse", "HEAD") == head
    placed = clone.path / "sub-m1" / "sub-m1_ses-s1.nwb"
    assert placed.is_symlink() and "SHA256E-s" in str(placed.readlink())
    assert placed.read_bytes() == before == one.read_bytes()
    assert run("git", "-C", str(clone.path), "annex", "fsck", "sub-m1").returncode == 0
    assert two.exists()
    assert clone.cli("organize", str(lab)) == "nothing to organize: 2 files are there already\n"
    assert len(clone.status()) == 2


def test_a_dry_run_writes_nothing(clone: Working, tmp_path: Path) -> None:
    write_nwb(tmp_path / "lab" / "a.nwb")
    before = sorted(str(path) for path in clone.path.rglob("*"))
    said = clone.cli("organize", str(tmp_path / "lab"), "-f", "dry")
    assert "a.nwb -> sub-m1/sub-m1_ses-s1.nwb" in said
    assert "would organize 1 file" in said
    assert sorted(str(path) for path in clone.path.rglob("*")) == before


def test_a_folder_with_nothing_to_organize_is_named(clone: Working, tmp_path: Path) -> None:
    (tmp_path / "wrong folder").mkdir()
    (tmp_path / "wrong folder" / "notes.txt").write_text("mine")
    said = clone.cli("organize", str(tmp_path / "wrong folder"), "-f", "dry")
    assert said == f"nothing to organize: no NWB file or NWB-Zarr that is new to git in {tmp_path / 'wrong folder'}\n"


def test_what_cannot_be_organized_is_explained_file_by_file_and_the_rest_is_done(
    clone: Working, tmp_path: Path
) -> None:
    lab = tmp_path / "lab"
    good, nobody = write_nwb(lab / "good.nwb"), write_nwb(lab / "nobody.nwb", subject=None)
    twin = lab / "twin1.nwb"
    write_nwb(twin, subject="m2")
    (lab / "twin2.nwb").write_bytes(twin.read_bytes())
    truncated(lab / "cut.nwb")
    (lab / "empty.nwb").touch()
    (lab / "gone.nwb").symlink_to(".git/annex/objects/nowhere")
    os.mkfifo(lab / "pipe.nwb")
    (lab / "z.zarr").mkdir()
    records = {
        Path(one["source"]).name: one for one in clone.json("organize", str(lab), "--format", "json", code=3)[:-1]
    }
    assert records["good.nwb"]["status"] == "ok" and good.exists()
    assert "has no subject" in records["nobody.nwb"]["message"] and nobody.exists()
    assert "twin2.nwb" in records["twin1.nwb"]["message"]
    assert "twin1.nwb" in records["twin2.nwb"]["message"]
    assert "truncated" in records["cut.nwb"]["message"]
    assert records["empty.nwb"]["message"] == "it is empty"
    assert "its content is not here" in records["gone.nwb"]["message"]
    assert records["pipe.nwb"]["message"] == "it is not a regular file"
    assert "Zarr" in records["z.zarr"]["message"]
    assert clone.status() == ["A  sub-m1/sub-m1_ses-s1.nwb"]


def test_nothing_is_overwritten(clone: Working, tmp_path: Path) -> None:
    source = write_nwb(tmp_path / "a.nwb")
    place = clone.path / "sub-m1" / "sub-m1_ses-s1.nwb"
    place.parent.mkdir()
    place.write_bytes(b"somebody's own")
    said = clone.cli("organize", str(source), "-f", "move", code=3)
    assert "exists and is another file" in said
    assert place.read_bytes() == b"somebody's own" and source.exists()
    theirs = write_nwb(tmp_path / "b.nwb", subject="m0", session="day1")
    assert "is another file" in clone.cli("organize", str(theirs), "-f", "move", code=3)
    assert (clone.path / THERE).is_symlink() and theirs.exists()


def test_a_moved_file_goes_when_its_copy_is_kept_and_a_media_file_goes_with_it(clone: Working, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    (lab / "films").mkdir(parents=True)
    (lab / "films" / "left.MP4").write_bytes(b"a film" * 1000)
    source = write_nwb(lab / "a.nwb", videos=("films/left.MP4", "https://example.org/right.mp4"))
    plain = write_nwb(lab / "b.nwb", session="s2")
    content = plain.read_bytes()
    clone.cli("organize", str(lab), "-f", "move")
    assert not source.exists() and not plain.exists() and not (lab / "films" / "left.MP4").exists()
    assert (clone.path / "sub-m1" / "sub-m1_ses-s2_image.nwb").exists() is False
    assert (clone.path / "sub-m1" / "sub-m1_ses-s2.nwb").read_bytes() == content
    placed = clone.path / "sub-m1" / "sub-m1_ses-s1_image.nwb"
    film, url = videos_of(placed)
    assert film.startswith("sub-m1_ses-s1_image/") and film.endswith("_external_file_0.mp4")
    assert url.startswith("https:/")
    assert (placed.parent / film).read_bytes() == b"a film" * 1000
    assert (placed.parent / film).is_symlink(), "it is in the annex"
    assert run("git", "-C", str(clone.path), "annex", "fsck", "sub-m1").returncode == 0


def test_names_are_those_of_dandi_organize(clone: Working, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    for number, (subject, session) in enumerate([("m 1", "a_b"), ("m 1", "c.d"), ("m2", "a_b"), ("m2", "a_b")]):
        write_nwb(lab / f"{number}.nwb", subject, session, day=number)
    write_nwb(lab / "5.nwb", "m3", None, day=5)
    run("dandi", "organize", "-d", str(tmp_path / "theirs"), "-f", "symlink", "-J", "1", str(lab))
    theirs = {path.resolve().name: str(path.relative_to(tmp_path / "theirs")) for path in tmp_path.glob("theirs/*/*")}
    records = clone.json("organize", str(lab), "-n", "--format", "json")[:-1]
    assert {Path(record["source"]).name: record["file"] for record in records} == theirs
    assert len(theirs) == 5
    assert clone.status() == []


def test_a_hardlink_shares_its_bytes_and_a_symlink_is_no_content(clone: Working, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    hard, soft = write_nwb(lab / "hard.nwb"), write_nwb(lab / "soft.nwb", subject="m2")
    film = write_nwb(lab / "film.nwb", subject="m3", videos=("left.mp4",))
    clone.cli("organize", str(hard), "-f", "hardlink")
    assert (clone.path / "sub-m1" / "sub-m1_ses-s1.nwb").samefile(hard)
    assert "sub-m1/sub-m1_ses-s1.nwb" in clone.git("annex", "find", "--in", "here")
    said = clone.cli("organize", str(soft), str(film), "-f", "symlink", code=3)
    assert "film.nwb: it refers to media files that get new names" in said
    (link,) = (clone.path / "sub-m2").iterdir()
    assert link.readlink() == soft
    assert clone.status() == ["A  sub-m1/sub-m1_ses-s1.nwb", f"?? sub-m2/{link.name}"]
    run("dandi-mirror", "organize", str(lab), "-f", "simulate", "--to", str(tmp_path / "new"), code=3)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"sub-m1", "sub-m2"}
    missing = clone.cli("organize", str(film), code=3)
    assert f"it refers to {lab / 'left.mp4'}, which does not exist" in missing


def test_what_git_has_already_is_renamed_by_git(clone: Working, tmp_path: Path) -> None:
    source = write_nwb(clone.path / "rec.nwb")
    clone.git("annex", "add", "rec.nwb")
    assert clone.cli("organize", ".") == "nothing to organize: no NWB file or NWB-Zarr that is new to git in .\n"
    said = clone.cli("organize", "rec.nwb", "-f", "move", code=3)
    assert f"rename it: git -C {clone.path} mv rec.nwb sub-m1/sub-m1_ses-s1.nwb" in said
    assert source.exists()
    assert clone.status() == ["A  rec.nwb"]


def test_another_run_at_work_and_no_clone_and_no_dandi_are_said_in_one_line(clone: Working, tmp_path: Path) -> None:
    source = write_nwb(tmp_path / "a.nwb")
    said = run("dandi-mirror", "organize", str(source), "--to", str(tmp_path), code=2).stderr
    assert "is not in a clone of a Dandiset" in said and said.count("\n") == 1
    with hold(clone.path / ".git" / "dandi-mirror" / "locks" / "000123.lock", "000123"):
        assert "000123 is held by" in clone.cli("organize", str(source), code=75)
    assert clone.status() == [] and source.exists()
    program = (
        "import sys, importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *more: None if name == 'dandi' else find(name, *more);"
        "sys.argv = ['dandi-mirror', 'organize', 'a.nwb']; from dandi_mirror.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=clone.path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "dandi-mirror: this needs the dandi client; type in the clone of dandi-mirror: pip install '.[upload]'\n"
    )


def test_the_mirrors_own_dataset_takes_files_under_the_mirrors_own_lock(clone: Working, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    shutil.copytree(clone.mirror, mirror, symlinks=True)
    source = write_nwb(tmp_path / "a.nwb")
    with hold(mirror / ".dandi-mirror" / "locks" / "000123.lock", "000123"):
        run("dandi-mirror", "organize", str(source), "--to", str(mirror / "000123"), code=75)
    run("dandi-mirror", "organize", str(source), "--to", str(mirror / "000123"))
    shown = run("git", "-C", str(mirror / "000123"), "status", "--porcelain").stdout
    assert shown == "A  sub-m1/sub-m1_ses-s1.nwb\n"


@pytest.mark.parametrize(
    "where",
    [pytest.param("everywhere", marks=pytest.mark.slow), pytest.param("exclude", marks=pytest.mark.slow), "here"],
)
def test_a_file_that_git_ignores_is_named_and_its_source_stays(clone: Working, tmp_path: Path, where: str) -> None:
    rules = {"everywhere": tmp_path / "rules", "exclude": clone.path / ".git/info/exclude"}
    file = rules.get(where, clone.path / "sub-m1" / ".gitignore")
    file.parent.mkdir(exist_ok=True)
    file.write_text("*_ses-s2.nwb\n")
    if where == "everywhere":
        run("git", "config", "--global", "core.excludesFile", str(file))
    lab = tmp_path / "lab"
    lab.mkdir()
    ignored, fine = write_nwb(lab / "a.nwb", session="s2"), write_nwb(lab / "b.nwb", session="s3")
    content = ignored.read_bytes()
    for mode in ("dry", "copy", "move"):
        said = clone.cli("organize", str(lab), "-f", mode, code=3)
        assert "git ignores it, by the rule '*_ses-s2.nwb' in line 1 of " in said
        assert "organized 2" not in said
        assert ignored.read_bytes() == content
        assert not (clone.path / "sub-m1/sub-m1_ses-s2.nwb").exists()
    assert not fine.exists() and (clone.path / "sub-m1/sub-m1_ses-s3.nwb").is_symlink()


def test_a_source_is_kept_when_git_annex_did_not_take_its_copy_in(
    clone: Working, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: Worker
) -> None:
    (clone.path / ".git/info/exclude").write_text("*.nwb\n")
    # as if the rule came after it was looked at
    monkeypatch.setattr(organize, "ignored", lambda folder, paths: {})
    source = write_nwb(tmp_path / "lab.nwb", session="s2")
    repository = AnnexRepository(clone.path)
    repository.prepare()
    steps, _ = sources.plan(worker, [source], [], [])
    (told,) = organize.carry_out_steps(repository, worker, steps, sources.MOVE)
    assert told.exit_code == 3 and "git-annex did not add it; the source is kept" in told.message
    assert source.exists()


def test_validate_names_a_file_that_git_ignores(clone: Working) -> None:
    (clone.path / ".git/info/exclude").write_text("*.nwb\n")
    write_nwb(clone.path / "sub-m1_ses-s9.nwb")
    said = clone.cli("validate", "sub-m1_ses-s9.nwb", code=3)
    assert "git ignores it, by the rule '*.nwb'" in said and "write the file again" not in said


def test_what_cannot_be_named_is_told_with_its_file_and_its_reason(clone: Working, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    number, long = write_nwb(lab / "number.nwb"), write_nwb(lab / "long.nwb", subject="m" * 240)
    with h5py.File(number, "a") as file:
        del file["general/subject/subject_id"]
        file["general/subject/subject_id"] = 12
    write_nwb(lab / "good.nwb", session="s2")
    said = clone.cli("organize", str(lab), code=3)
    assert f"{number}: it cannot be read: " in said
    assert "general/subject/subject_id is a number (12), and NWB has text there" in said
    assert f"{long}: its name would be longer than 240 bytes; shorten its subject_id" in said
    assert [line[:9] for line in clone.status()] == ["A  sub-m1"]


def test_one_file_that_git_annex_does_not_take_in_is_that_files_error(clone: Working) -> None:
    (clone.path / "one.dat").write_bytes(b"one")
    (clone.path / "two.dat").write_bytes(b"two")
    long = clone.path / ("m" * 251 + ".dat")  # as long as a name may be, and git-annex makes a longer one of it
    long.write_bytes(b"long")
    with adding(clone.path) as adder:
        adder.add("one.dat")
        took = "A "
        try:
            adder.add(long.name)
        except NotAdded:  # nearly always; whether its name fits depends on the number of git-annex's process
            took = "??"
        adder.add("two.dat")
    assert sorted(clone.status()) == sorted(["A  one.dat", "A  two.dat", f"{took} {long.name}"])


def test_media_files_whose_names_were_written_on_windows_are_found(clone: Working, tmp_path: Path) -> None:
    film = tmp_path / "lab" / "films" / "left.mp4"
    film.parent.mkdir(parents=True)
    film.write_bytes(b"a film")
    write_nwb(tmp_path / "lab" / "a.nwb", videos=("films\\left.mp4",))
    clone.cli("organize", str(tmp_path / "lab"))
    placed = clone.path / "sub-m1" / "sub-m1_ses-s1_image.nwb"
    (name,) = videos_of(placed)
    assert (placed.parent / name).read_bytes() == b"a film"
    assert "\\" not in name
