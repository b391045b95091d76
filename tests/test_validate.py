"""``validate``: findings are values, said in groups; a clone is asked for what has changed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import run
from tests.support.nwb import truncated, write_nwb
from tests.support.terminal import on_terminal
from tests.support.working import THERE, Working, clone

__all__ = ["clone"]


def test_only_what_has_changed_is_checked_and_an_unchanged_clone_at_once(clone: Working) -> None:
    said = clone.cli("validate")
    assert said == "nothing has changed since the last sync; to check all files, add --all\n"
    write_nwb(clone.path / "sub-m1" / "sub-m1_ses-s1.nwb")
    clone.git("annex", "add", "sub-m1")
    clone.git("commit", "--quiet", "-m", "mine")
    said = clone.cli("validate")
    assert said == "1 file checked: nothing found\n", "committed by hand is changed all the same"
    said = clone.cli("validate", "--all")
    assert "1 file checked: nothing found" in said
    assert "1 more file by name only, because the content is not here" in said


def test_errors_are_grouped_with_what_to_do_and_end_with_3(clone: Working) -> None:
    for number in range(11):
        truncated(clone.path / f"cut{number}.nwb")
    (clone.path / "notes.txt").write_text("notes")
    (clone.path / "empty.nwb").touch()
    said = clone.cli("validate", code=3)
    assert said.count("ERROR  HDF5.UNREADABLE") == 1
    assert "truncated file" in said
    assert "… and 1 more (-f json names all)" in said
    assert "what to do: write or copy the file again" in said
    assert "WARNING  DANDI.UNKNOWN_FILE" in said and "notes.txt" in said
    assert "empty.nwb: it is empty" in said or "it is empty; the archive does not accept empty files" in said
    assert clone.cli("validate", "--min-severity", "error", "notes.txt") == "1 file checked: 1 warning\n"


def test_records_have_the_keys_of_all_records_and_a_summary(clone: Working) -> None:
    write_nwb(clone.path / "rec.nwb", subject=None)
    *records, summary = clone.json("validate", "-f", "json", code=3)
    by_id = {record["id"]: record for record in records}
    subject = by_id["NWBI.check_subject_exists"]
    assert subject["status"] == "error" and subject["severity"] == "error" and subject["action"] == "validate"
    assert subject["path"] == str(clone.path / "rec.nwb") and subject["refds"] == str(clone.path)
    assert subject["file"] == "rec.nwb" and subject["remedy"].startswith("set subject")
    assert "DANDI.NON_DANDI_FILENAME" in by_id
    assert summary["action"] == "summary" and summary["exit_code"] == 3 and summary["checked"] == 1
    assert summary["found"]["error"] == sum(record["severity"] == "error" for record in records)
    *records, summary = clone.json("validate", "-f", "json", "--ignore", ".", code=0)
    assert not records and summary["status"] == "ok"


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that is not below /dev, where the validator of BIDS may read nothing."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def test_a_bids_dataset_is_checked_as_a_whole_where_its_description_is(clone: Working, readable: Path) -> None:
    clone = replace(clone, path=Path(shutil.move(clone.path, readable / "clone")))
    bids = clone.path / "raw"
    (bids / "sub-01" / "anat").mkdir(parents=True)
    (bids / "dataset_description.json").write_text('{"Name": "a study", "BIDSVersion": "1.9.0"}')
    (bids / "README").write_text("a study\n")
    (bids / "sub-01" / "anat" / "strange.txt").write_text("not BIDS")
    key = f"SHA256E-s1000--{'0' * 64}.nii.gz"
    image = bids / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    image.symlink_to(f"../../../.git/annex/objects/aa/bb/{key}/{key}")
    *records, _ = clone.json("validate", "raw/README", "-f", "json", code=3)
    errors = {(record["id"], record["file"]) for record in records if record["severity"] == "error"}
    assert ("BIDS.NOT_INCLUDED", "raw/sub-01/anat/strange.txt") in errors
    assert not any(path.endswith(".nii.gz") for _, path in errors), "no word of content that is not here"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="this system has no folder in memory")
def test_a_validator_that_cannot_run_is_an_error_not_silence() -> None:
    # the validator of BIDS may read nothing below /dev
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        (Path(folder) / "dataset_description.json").write_text('{"Name": "a study", "BIDSVersion": "1.9.0"}')
        said = run("dandi-mirror", "validate", folder, code=3).stdout
    assert "ERROR  BIDS.VALIDATOR_ERROR" in said
    assert "it was not checked" in said


def test_a_folder_that_is_no_clone_is_checked_too(tmp_path: Path) -> None:
    write_nwb(tmp_path / "lab" / "rec.nwb")
    done = run("dandi-mirror", "validate", str(tmp_path / "lab"), code=3)
    assert "ERROR  DANDI.NON_DANDI_FILENAME" in done.stdout
    assert "let dandi-mirror organize name it" in done.stdout
    assert done.stderr == ""


def test_what_is_not_here_is_counted_once_and_its_name_is_still_looked_at(clone: Working) -> None:
    clone.git("mv", THERE, "wrong.nwb")
    said = clone.cli("validate", code=3)
    assert "DANDI.NON_DANDI_FILENAME" in said
    assert said.count("the content is not here") == 1
    assert "0 files checked" in said


def test_on_a_terminal_it_shows_from_the_start_what_is_checked(clone: Working) -> None:
    write_nwb(clone.path / "sub-m1" / "sub-m1_ses-s1.nwb")
    with on_terminal("validate", "--all", str(clone.path)) as terminal:
        terminal.wait_for("looking for files")
        terminal.wait_for("0 of 2 files")
        terminal.wait_for("2 of 2 files")
        assert terminal.end() == 0
    assert terminal.lines[0] == "1 file checked: nothing found"
