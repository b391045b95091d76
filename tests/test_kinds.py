"""What goes up by itself and what does not, as paths alone tell."""

from __future__ import annotations

import pytest

from dandi_mirror.upload.kinds import Kinds, is_included, is_junk

pytestmark = pytest.mark.quick

PATHS = [
    "sub-1/sub-1.nwb", "sub-1/sub-1/left.mp4", "sub-1/other/left.mp4", "notes.txt",
    "raw/dataset_description.json", "raw/sub-1/anat/sub-1_T1w.nii.gz", "raw/sub-1/img/zarr.json", "raw/sub-1/img/c/0/0",
    "sub-z/img.ome.zarr/0/0", "sub-z/two/.zgroup", "sub-z/two/0/.zarray", "sub-z/two/0/0", "deep/x.NGFF/y.zarr/0",
]  # fmt: skip
KINDS = Kinds.of(PATHS)


def test_a_zarr_is_known_by_what_it_holds_and_by_its_name_and_is_one_thing() -> None:
    assert {path: zarr for path in PATHS if (zarr := KINDS.zarr(path))} == {
        "raw/sub-1/img/zarr.json": "raw/sub-1/img",
        "raw/sub-1/img/c/0/0": "raw/sub-1/img",
        "sub-z/img.ome.zarr/0/0": "sub-z/img.ome.zarr",
        "sub-z/two/.zgroup": "sub-z/two",
        "sub-z/two/0/.zarray": "sub-z/two",
        "sub-z/two/0/0": "sub-z/two",
        "deep/x.NGFF/y.zarr/0": "deep/x.NGFF",
    }
    assert Kinds.of([".zgroup", "0/.zarray", "0/0"]).zarr(".zgroup") == ".zgroup", "at the very top, for itself"
    assert Kinds.of([".zgroup", "a.nwb"]).zarr("a.nwb") == ""


def test_dandi_knows_nwb_files_with_their_media_and_what_is_in_a_bids_dataset() -> None:
    known = {path for path in PATHS if not KINDS.zarr(path) and KINDS.is_known(path)}
    assert known == {
        "sub-1/sub-1.nwb", "sub-1/sub-1/left.mp4", "raw/dataset_description.json", "raw/sub-1/anat/sub-1_T1w.nii.gz",
    }  # fmt: skip
    assert Kinds.of(["dataset_description.json"]).is_known("notes.txt"), "a dataset at the top has all files"


@pytest.mark.parametrize(
    "path",
    [
        "a/x.nwb.dandidownload/file", "x.nwb.dandidownload", "__pycache__/a.cpython-311.pyc", "a/~$x.docx", "a/.x.swp",
        "x~", ".#x", "#x#", "core", "a/core.1234", "a/.DS_Store", "Thumbs.db", "._x.nwb", ".~lock.x.ods#",
    ],
)  # fmt: skip
def test_what_programs_leave_behind_is_junk(path: str) -> None:
    assert is_junk(path)


@pytest.mark.parametrize(
    "path", ["sub-1/sub-1.nwb", "core.tsv", "core/x.nwb", "score", "a~b.nwb", "x.swp.nwb", "sub-1/sub-1_ses-~.nwb"]
)
def test_what_only_looks_so_is_none(path: str) -> None:
    assert not is_junk(path)


def test_a_pattern_means_a_path_a_name_a_folder_or_a_glob() -> None:
    for pattern in ("a/b/notes.txt", "notes.txt", "a", "a/b/", "*.txt", "a/*", "n?tes.*"):
        assert is_included("a/b/notes.txt", [pattern]), pattern
    for pattern in ("b/notes.txt", "notes", "*.csv", "A", "other"):
        assert not is_included("a/b/notes.txt", [pattern]), pattern
