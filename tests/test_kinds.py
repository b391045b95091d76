"""What goes up by itself and what does not, as paths alone tell."""

from __future__ import annotations

import pytest

from dandi_mirror.upload.kinds import (
    LEFTOVER,
    LONGEST_PATH,
    UNKNOWN,
    ZARR_NAME,
    Kinds,
    in_zarrs,
    is_included,
    is_junk,
    refuse_upload,
    refuse_zarr,
    why_unasked,
)

pytestmark = pytest.mark.quick

LONG = f"{'a' * 250}/{'b' * 250}/{'c' * (LONGEST_PATH - 502)}"
PATHS = [
    "sub-1/sub-1.nwb", "sub-1/sub-1/left.mp4", "sub-1/other/left.mp4", "notes.txt",
    "raw/dataset_description.json", "raw/sub-1/anat/sub-1_T1w.nii.gz", "raw/sub-1/img/zarr.json", "raw/sub-1/img/c/0/0",
    "sub-z/img.ome.zarr/0/0", "sub-z/two/.zgroup", "sub-z/two/0/.zarray", "sub-z/two/0/0", "deep/x.NGFF/y.zarr/0",
]  # fmt: skip


def test_a_zarr_is_known_by_what_it_holds_and_by_its_name_and_is_one_thing() -> None:
    kinds = Kinds.of(PATHS)
    assert {path: zarr for path in PATHS if (zarr := kinds.zarr(path))} == {
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
    assert Kinds.of(["a/b.zarr/c/d"]).zarr("a/b.zarr/c/d") == "a/b.zarr", "by its own name, not that of a folder above"
    assert Kinds.of(["a.zarr.old/b/c"]).zarr("a.zarr.old/b/c") == ""


def test_dandi_knows_nwb_files_with_their_media_and_what_is_in_a_bids_dataset() -> None:
    kinds = Kinds.of(PATHS)
    known = {path for path in PATHS if not kinds.zarr(path) and kinds.is_known(path)}
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
    assert is_included("X", ["X/"]) and not is_included("XX", ["/"])


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("sub-1/A_z(0),&#+~=-.nwb", None),
        (LONG, None),
        (LONG + "a", f"the archive does not accept a path of more than {LONGEST_PATH} characters"),
        ("a@b/c%.nwb", "the archive does not accept % @ in a path"),
        ("zürich/Z.nwb", "the archive does not accept ü in a path"),
        ("a\u00a0b.nwb", "the archive does not accept U+00A0 in a path"),
        ("a..b.nwb", "the archive does not accept these dots in a path"),
        (".dandi/x", "the name .dandi is the mirror's own"),
    ],
)
def test_a_path_that_the_archive_does_not_take_is_refused_with_what_is_wrong(path: str, reason: str | None) -> None:
    assert refuse_upload(path) == reason


def test_a_new_file_goes_up_if_dandi_knows_it_or_somebody_asked_for_it() -> None:
    kinds = Kinds.of(["a.nwb"])
    assert why_unasked("a.nwb", kinds, [], []) is None
    assert why_unasked("my notes.txt", kinds, [], []) == UNKNOWN.format("'my notes.txt'")
    assert why_unasked("my notes.txt", kinds, [], ["*.txt"]) is None
    assert why_unasked(".b.nwb", kinds, [".b.nwb"], []) == LEFTOVER.format(".b.nwb"), "a program left it"
    assert why_unasked(".b.nwb", kinds, [".b.nwb"], [".b.nwb"]) is None


def test_only_a_name_that_says_so_makes_an_asset_a_zarr() -> None:
    """The dandi client tells Zarrs by their name in small letters, whatever they hold."""
    assert [refuse_zarr(path) for path in ("a/x.zarr", "a/x.OME.zarr", "x.ngff")] == [None, None, None]
    others = ("a.zarr/x", "x", "a/zarr", "x.zarr/", "x.Zarr", "x.NGFF")
    assert {refuse_zarr(path) for path in others} == {ZARR_NAME}


def test_the_new_files_that_are_part_of_a_zarr_are_known_together() -> None:
    inside = {"raw/sub-1/img/zarr.json", "raw/sub-1/img/c/0/0", "sub-z/img.ome.zarr/0/0", "sub-z/two/.zgroup",
              "sub-z/two/0/.zarray", "sub-z/two/0/0", "deep/x.NGFF/y.zarr/0"}  # fmt: skip
    assert in_zarrs(path for path in PATHS) == inside
    assert in_zarrs(["zarr.json", "0/0"]) == {"zarr.json"}
    assert in_zarrs([]) == set()


def test_a_folder_is_no_zarr_because_a_folder_above_it_is_called_like_one() -> None:
    assert Kinds.of([]).zarr("my.zarr.backup/x/y") == ""
    assert Kinds.of([]).zarr("a/b.zarr/c") == "a/b.zarr"
    assert Kinds.of([]).zarr("a.b/c.d/e") == ""
