"""``organize`` and ``validate`` of NWB-Zarrs: as of NWB files, but that a Zarr stays a plain folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.nwb import write_nwb
from tests.support.nwb_zarr import edit_attributes, nwb_zarr, pickled_text, write_text
from tests.support.working import Working, clone
from tests.support.zarrs import files_of, made_by_zarr

__all__ = ["clone"]

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])
PLACE = "sub-m1/sub-m1_ses-s1_ecephys.nwb.zarr"


@FORMATS
def test_an_nwb_zarr_gets_the_name_that_an_nwb_file_gets_and_stays_a_plain_folder(
    zarr_format: int, clone: Working, tmp_path: Path
) -> None:
    lab = tmp_path / "lab"
    zarr, file = nwb_zarr(lab / "deep/a.zarr", zarr_format), write_nwb(lab / "b.nwb", "m2", "s2")
    before, head = files_of(zarr), clone.git("rev-parse", "HEAD")
    clone.cli("organize", str(lab))
    placed = clone.path / PLACE
    assert files_of(placed) == before == files_of(zarr)
    assert file.exists()
    assert not any(path.is_symlink() for path in placed.rglob("*"))
    assert not clone.git("ls-files", "sub-m1"), "upload sends it as it is, git does not take it in"
    assert clone.git("rev-parse", "HEAD") == head
    assert clone.cli("validate", PLACE) == "1 file checked: nothing found\n"


@FORMATS
def test_names_tell_nwb_zarrs_apart_as_they_do_with_nwb_files(zarr_format: int, clone: Working, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    nwb_zarr(lab / "1.nwb.zarr", zarr_format, subject="m 2", session="c.d")
    nwb_zarr(lab / "2.nwb", zarr_format, session=None)
    write_nwb(lab / "4.nwb", "m1", "s3")
    for number, name in enumerate(("one", "twin")):
        zarr = nwb_zarr(lab / f"{name}.zarr", zarr_format, subject="m3")
        edit_attributes(zarr, object_id=f"0f0f0f0f-0000-4000-8000-00000000000{number}")
    before = sorted(clone.path.rglob("*"))
    records = clone.json("organize", str(lab), "-n", "--format", "json")[:-1]
    names = {Path(record["source"]).name: record["file"] for record in records}
    twins = {names.pop("one.zarr"), names.pop("twin.zarr")}
    assert len(twins) == 2 and all(name.startswith("sub-m3/sub-m3_ses-s1_obj-") for name in twins)
    assert names == {
        "1.nwb.zarr": "sub-m-2/sub-m-2_ses-c-d_ecephys.nwb.zarr",
        "2.nwb": "sub-m1/sub-m1_ses-20240202T090000_ecephys.nwb.zarr",
        "4.nwb": "sub-m1/sub-m1_ses-s3.nwb",
    }
    assert sorted(clone.path.rglob("*")) == before, "a dry run writes nothing"


def test_a_moved_zarr_is_whole_at_its_new_place_and_gone_from_the_old_one(clone: Working, tmp_path: Path) -> None:
    zarr = nwb_zarr(tmp_path / "lab/a.zarr", 2)
    before, inode = files_of(zarr), (zarr / ".zgroup").stat().st_ino
    inside = nwb_zarr(clone.path / "new.zarr", 3, session="s2")
    clone.cli("organize", str(zarr), str(inside), "-f", "move")
    assert files_of(clone.path / PLACE) == before
    assert not inside.exists() and (clone.path / PLACE.replace("s1", "s2")).is_dir()
    assert (clone.path / PLACE / ".zgroup").stat().st_ino == inode, "on one disk, nothing is copied"
    assert list((tmp_path / "lab").iterdir()) == []
    again = nwb_zarr(tmp_path / "lab/again.zarr", 2)
    clone.cli("organize", str(again), "-f", "move")
    assert not again.exists(), "what is in its place already goes, too"


def test_a_zarr_is_moved_to_another_disk_by_a_copy_that_is_verified(clone: Working, tmp_path: Path) -> None:
    here = clone.path.stat().st_dev
    disks = [disk for disk in map(Path, ("/dev/shm", "/var/tmp")) if disk.is_dir() and disk.stat().st_dev != here]
    if not disks:
        pytest.skip("there is no second file system")
    zarr = nwb_zarr(disks[0] / f"organize-{os.getpid()}/a.zarr", 3)
    before = files_of(zarr)
    try:
        clone.cli("organize", str(zarr), "-f", "move")
        assert files_of(clone.path / PLACE) == before
        assert list(zarr.parent.iterdir()) == []
    finally:
        shutil.rmtree(zarr.parent)


def test_a_hardlink_shares_the_bytes_and_a_symlink_leads_to_the_folder(clone: Working, tmp_path: Path) -> None:
    hard, soft = nwb_zarr(tmp_path / "lab/a.zarr", 2), nwb_zarr(tmp_path / "lab/b.zarr", 3, session="s2")
    clone.cli("organize", str(hard), "-f", "hardlink")
    assert all((clone.path / PLACE / path).samefile(hard / path) for path in files_of(hard))
    clone.cli("organize", str(soft), "-f", "symlink")
    assert (clone.path / PLACE.replace("s1", "s2")).readlink() == soft


def test_nothing_is_overwritten_and_what_changed_stays(clone: Working, tmp_path: Path) -> None:
    zarr = nwb_zarr(tmp_path / "lab/a.zarr", 3)
    shutil.copytree(zarr, clone.path / PLACE)
    assert clone.cli("organize", str(zarr)) == "nothing to organize: 1 file is there already\n"
    write_text(zarr / "session_description", "another one")
    for mode in ("move", "dry"):
        said = clone.cli("organize", str(zarr), "-f", mode, code=3)
        assert "exists and is another file; nothing is overwritten" in said
    assert zarr.exists()
    assert files_of(clone.path / PLACE) != files_of(zarr)


def test_what_cannot_be_organized_is_told_and_stays(clone: Working, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    ome = made_by_zarr(lab / "image.ome.zarr", 2)
    nobody = nwb_zarr(lab / "nobody.zarr", 3, subject=None)
    linked = nwb_zarr(lab / "linked.zarr", 2)
    edit_attributes(linked / "acquisition", zarr_link=[{"name": "x", "path": "/x", "source": "../other.zarr"}])
    number = nwb_zarr(lab / "number.zarr", 3)
    shutil.rmtree(number / "general/subject/subject_id")
    _number(number / "general/subject/subject_id")
    strange = nwb_zarr(lab / "strange.zarr", 2)
    (strange / "link").symlink_to("/etc/passwd")
    film = nwb_zarr(lab / "film.zarr", 2)
    pickled_text(film / "acquisition/camera/external_file", "left.mp4")
    (film / "acquisition/camera/.zgroup").write_text('{"zarr_format": 2}')
    cut = nwb_zarr(lab / "cut.zarr", 2)
    (cut / "general/subject/subject_id/0").write_bytes(b"\x02\x01\x01")
    good = nwb_zarr(lab / "good.zarr", 2, subject="m3")
    said = clone.cli("organize", str(lab), str(good / "acquisition"), code=3)
    for source, reason in (
        (ome, "it is a Zarr without the metadata of NWB"),
        (nobody, "it has no subject"),
        (linked, "acquisition has a link to another file, which does not go with it: ../other.zarr"),
        (number, "general/subject/subject_id is a number (7), and NWB has text there"),
        (strange, "link in it is a link or not a file"),
        (film, "it refers to the media file left.mp4"),
        (cut, "it cannot be read"),
        (good / "acquisition", "it is in a Zarr; name the folder that is the Zarr"),
    ):
        assert any(str(source) in line and reason in line for line in said.splitlines()), (source.name, said)
    assert (clone.path / PLACE.replace("m1", "m3")).is_dir()
    assert all(source.exists() for source in (ome, nobody, linked, number, strange, film, cut, good))


def test_a_pickled_text_is_read_and_a_pickle_that_would_run_a_program_is_not(clone: Working, tmp_path: Path) -> None:
    import numpy as np

    plain, harmful = nwb_zarr(tmp_path / "lab/plain.zarr", 2), nwb_zarr(tmp_path / "lab/harmful.zarr", 2)
    pickled_text(plain / "general/session_id", "from a pickle")
    values = np.empty(1, dtype=object)
    values[0] = _Harm(str(tmp_path / "harm"))
    pickled_text(harmful / "general/session_id", values)
    said = clone.cli("organize", str(tmp_path / "lab"), code=3)
    assert (clone.path / PLACE.replace("s1", "from-a-pickle")).is_dir()
    assert "it is pickled, and would run posix.mkdir" in said
    assert not (tmp_path / "harm").exists()
    shutil.copytree(harmful, clone.path / "harmful.zarr")
    said = clone.cli("validate", "harmful.zarr", code=3)
    assert "DANDI_MIRROR.NWB_ZARR" in said and "would run posix.mkdir" in said


def test_validate_names_what_an_nwb_zarr_lacks(clone: Working) -> None:
    nwb_zarr(clone.path / "sub-m2/a.nwb.zarr", 3)
    nwb_zarr(clone.path / "sub-m3/b.nwb.zarr", 2, subject=None)
    cut = nwb_zarr(clone.path / "sub-m1/c.nwb.zarr", 3)
    (cut / "identifier/zarr.json").write_bytes(b"{")
    found = clone.json("validate", "-f", "json", code=3)[:-1]
    assert {(record["file"], record["id"], record["severity"]) for record in found} == {
        ("sub-m2/a.nwb.zarr", "DANDI.METADATA_MISMATCH_SUBJECT", "warning"),
        ("sub-m3/b.nwb.zarr", "DANDI_MIRROR.NWB_ZARR", "warning"),
        ("sub-m1/c.nwb.zarr", "DANDI_MIRROR.NWB_ZARR", "error"),
        ("sub-m1/c.nwb.zarr/identifier/zarr.json", "zarr.invalid_zarr_json", "error"),
    }


class _Harm:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self._folder,)


def _number(array: Path) -> None:
    import zarr

    zarr.create_array(str(array), shape=(), dtype="int64")[...] = 7
