"""Where files would go: nothing leaves the Dandiset, nothing is called like another, whatever a file says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.upload.organize.naming import fields_in_use, is_url, nameable, naming_steps, refuse_name

pytestmark = pytest.mark.quick

TEXT = st.text(max_size=40)


def facts(path: str, subject: str | None = "m1", media: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    described = [{"id": "0-1", "field": "external_file", "files": list(media)}] if media else []
    return {"path": path, "subject_id": subject, "object_id": path, "media": described, **more}


@given(st.lists(TEXT, min_size=1, max_size=4).map("/".join))
def test_a_path_that_is_fit_stays_in_the_dandiset_and_can_be_printed(path: str) -> None:
    if not refuse_name(path):
        root = Path("/dandiset")
        assert (root / path).resolve().is_relative_to(root)
        assert path.isprintable() and not any(part.startswith((".", "-")) for part in path.split("/"))
        assert all(len(part.encode()) <= 255 for part in path.split("/"))


@pytest.mark.parametrize(
    "path", ["../x.nwb", "/x.nwb", "a//b.nwb", "sub-a\x1b[31m/a.nwb", ".git/x.nwb", "-rf.nwb", "a" * 256]
)
def test_hostile_names_are_refuse_name(path: str) -> None:
    assert refuse_name(path)
    assert str(refuse_name(path)).isprintable()


@given(st.dictionaries(TEXT.map(lambda name: f"/lab/{name}"), TEXT.map(lambda name: f"sub-{name}/x.nwb"), max_size=6))
def test_every_file_goes_somewhere_of_its_own_or_is_refused_with_a_reason(names: dict[str, str]) -> None:
    made, refused = naming_steps([facts(path) for path in names], names)
    assert {str(step.source) for step in made} | {str(one.source) for one in refused} == {
        str(Path(path)) for path in names
    }
    targets = [step.target.casefold() for step in made]
    assert len(set(targets)) == len(targets)
    assert all(one.reason for one in refused)


def test_two_names_that_differ_in_case_alone_are_both_refused() -> None:
    made, refused = naming_steps(
        [facts("/a"), facts("/b"), facts("/c")], {"/a": "sub-X/x.nwb", "/b": "sub-x/x.nwb", "/c": "y.nwb"}
    )
    assert [step.target for step in made] == ["y.nwb"]
    assert len(refused) == 2


def test_files_without_a_subject_and_twins_have_no_name() -> None:
    named, refused = nameable(
        [facts("/a"), facts("/b", None), facts("/c", " "), facts("/d"), facts("/e") | {"object_id": "/d"}]
    )
    assert [one["path"] for one in named] == ["/a"]
    assert {str(one.source): one.reason[:15] for one in refused} == {
        "/b": "it has no subje", "/c": "it has no subje", "/d": "its metadata eq", "/e": "its metadata eq",
    }  # fmt: skip


def test_media_files_are_named_as_dandi_does_and_urls_stay() -> None:
    references = ("films/left.MP4", "https:/example.org/x.mp4", "../right.avi")
    (step,), _ = naming_steps([facts("/lab/a.nwb", media=references)], {"/lab/a.nwb": "sub-1/sub-1_image.nwb"})
    assert [(str(one.source), one.target) for one in step.media] == [
        ("/lab/films/left.MP4", "sub-1/sub-1_image/0-1_external_file_0.mp4"),
        ("/lab/../right.avi", "sub-1/sub-1_image/0-1_external_file_2.avi"),
    ]
    assert step.references[0]["renamed"] == [
        "sub-1_image/0-1_external_file_0.mp4", references[1], "sub-1_image/0-1_external_file_2.avi",
    ]  # fmt: skip
    assert is_url("s3://bucket/x.mp4") and not is_url("C:/films/x.mp4") and not is_url("films/x.mp4")


def test_new_names_have_the_fields_that_names_have_already() -> None:
    assert fields_in_use(["sub-1/sub-1_ses-2_slice-3_ecephys.nwb", "x_cell-1.txt", "README"]) == [
        "session_id",
        "slice_id",
    ]


def test_only_twins_that_differ_in_nothing_but_path_and_media_have_no_name_of_their_own() -> None:
    alike = [facts(path, object_id="1") for path in ("/c", "/a", "/b")]
    alike[0]["media"] = [{"id": "x", "files": ["v.mp4"]}]
    named, refused = nameable([facts("/z"), facts("/y"), *alike, facts("/x", object_id="2")])
    assert [one["path"] for one in named] == ["/x", "/y", "/z"]
    others = {str(one.source): one.reason.partition(",")[0] for one in refused}
    reason = "its metadata equal those of"
    assert others == {"/c": f"{reason} /a", "/a": f"{reason} /c", "/b": f"{reason} /c"}


def test_the_file_of_a_reference_is_the_one_that_was_found_for_it() -> None:
    media = facts("/lab/a.nwb", media=("raw\\v.MP4", "w.avi"), found={"raw\\v.MP4": "raw/v.MP4"})
    ((step,), _) = naming_steps([media], {"/lab/a.nwb": "sub-1/a.nwb"})
    assert [(str(one.source), one.target) for one in step.media] == [
        ("/lab/raw/v.MP4", "sub-1/a/0-1_external_file_0.mp4"), ("/lab/w.avi", "sub-1/a/0-1_external_file_1.avi"),
    ]  # fmt: skip


def test_a_file_whose_media_are_all_elsewhere_is_not_written_again() -> None:
    ((step,), _) = naming_steps([facts("/a.nwb", media=("https://h/v.mp4",))], {"/a.nwb": "sub-1/a.nwb"})
    assert (step.media, step.references) == ((), ())


def test_a_name_is_refused_by_the_first_reason_that_counts() -> None:
    for path in ("/a.nwb", "a//b.nwb", "a/./b.nwb", "a/../b.nwb", "sub-1/.a.nwb", "sub-1/-a.nwb"):
        assert refuse_name(path) == f"it would be called {path!a}, which is not a valid path in a Dandiset"
    long = "a\n" * 200
    assert refuse_name(long) == f"it would be called {long[:300]!a}, which has unprintable characters"
    assert (
        refuse_name(f"/{long}") == f"it would be called {f'/{long}'[:300]!a}, which is not a valid path in a Dandiset"
    )
    fits = "a" * 236 + ".nwb"
    assert refuse_name(fits) is None
    assert str(refuse_name(f"a{fits}")).startswith("its name would be longer than 240 bytes; shorten its subject_id, ")
    assert str(refuse_name("sub-ä/a.nwb")).startswith(
        "it would be called sub-ä/a.nwb, and the archive does not accept ä"
    )


def test_a_field_is_in_use_by_the_names_of_files_and_not_of_folders() -> None:
    assert fields_in_use(["sub-1_ses-2/sub-1_slice-3.nwb", "a/b/c_cell-1.nwb", "x_tis-1.mp4"]) == [
        "slice_id",
        "cell_id",
    ]
