"""Every form of a name, as one table; and what is wrong, with the nearest right one."""

from __future__ import annotations

import socket
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.archive.instances import KNOWN, agreed, check_called
from dandi_mirror.archive.names import parse, split_state
from dandi_mirror.errors import UsageError
from dandi_mirror.model import Instance
from tests.support.name_forms import API, FORMS, ID, OURS, S3, SITE, TAG


@pytest.mark.parametrize("text", FORMS)
def test_every_form_is_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("reading a name asks nobody")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert asdict(parse(text)) == asdict(FORMS[text]) | {"text": text}


WRONG = {
    "4": "did you mean 000004?",
    "00004": "did you mean 000004?",
    "DANDI:27": "did you mean DANDI:000027?",
    "DANDI 000004": "did you mean DANDI:000004?",
    f"dandi 000004 {TAG}": f"did you mean DANDI:000004/{TAG}?",
    "dandi/000004": "did you mean DANDI:000004?",
    f"000004 {TAG}": f"did you mean 000004@{TAG}?",
    f"{SITE}/dandiset/4/{TAG}": f"did you mean 000004@{TAG}?",
    "dandi://dandi/4@draft": "did you mean DANDI:000004?",
    "dandi://000004": "did you mean DANDI:000004?",
    "dandi://127.0.0.1:8000/000004": "did you mean 000004?",
    "dandi://dandi/000004@draft@x": "is not a version",
    "000004@0.220126": "use draft or, for example, 0.220126.1852",
    "000004@": "there is no version behind the @: use draft or",
    "000004@0.220126.185": "0.220126.185 is not a version: use draft or, for example, 0.220126.1852",
    "DANDI:000004/sub-1/x.nwb": "for a file write DANDI:000004@draft/PATH",
    "sub-P10HMH": "outside of a clone, a file is named by the id of its Dandiset and its path: ID/sub-P10HMH",
    "sub-1/x": "and its path: ID/sub-1/x",
    "m9/ses-20240101": "and its path: ID/m9/ses-20240101",
    "./2024/x.nwb": "and its path: ID/2024/x.nwb",
    "dandiset/4": "did you mean 000004?",
    TAG: f"a version stands behind the id of its Dandiset: ID@{TAG}",
    "000004@latest": "latest is not a version",
    "DANDI:000004/0.1.2": "0.1.2 is not a version",
    "DANDI:000004/sub-1": "sub-1 is not a version",
    "٠٠٠٠٠٤": "names no Dandiset",
    "": "names no Dandiset",
    "sub-1\n": "names no Dandiset",
    "0000041": "write 000004",
    "000004/../000005": "cannot have '..'",
    "ftp://dandiarchive.org/dandiset/000004": "did you mean 000004?",
    f"{SITE}/": "this is not the page of a Dandiset",
    f"{API}/": "this is not the page of a Dandiset",
    f"{SITE}/dandiset/search?q=x": "search is not the id of a Dandiset",
    f"{API}/dandisets/": "this is not the page of a Dandiset",
    f"{API}/assets/123/": "123 is not the id of an asset",
    "https://doi.org/10.1101/2020.01.01": "names no Dandiset",
    f"{S3}/girder-assetstore/74/0f/740feade": "not the URL of a blob or a Zarr",
    "http://example.org/dandiset/000004": "use https",
    "http://example.org/api/dandisets/000004/": "use https",
    "https://example.org:99999/dandiset/000004": "it has no valid host",
    "000004" + "/a" * 3000: "names no Dandiset",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_one_gets_the_nearest_right_one(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert WRONG[text] in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text", ["sub-P10HMH", "sub-1/x", "sub-12", "ses-3.nwb", "x_1.nwb", f"{API}/assets/123/", "000004@0.220126", TAG]
)
def test_digits_in_a_path_are_no_id(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "did you mean" not in str(caught.value)


def test_a_password_in_a_link_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        parse("https://me:secret@dandiarchive.org/dandiset/000004")
    assert "secret" not in str(caught.value)


def test_a_path_is_a_file_or_a_folder_and_a_glob_is_as_the_archive_has_it() -> None:
    paths = ["sub-1/a.nwb", "sub-1/a.nwb.bak", "sub-10/a.nwb", "Sub-1x", "sub-1"]
    assert parse("000004/sub-1").chosen(paths) == ["sub-1/a.nwb", "sub-1/a.nwb.bak", "sub-1"]
    assert parse("000004/sub-1/").chosen(paths) == ["sub-1/a.nwb", "sub-1/a.nwb.bak"]
    assert parse("000004/SUB-*/a.nwb").chosen(paths) == ["sub-1/a.nwb", "sub-10/a.nwb"]
    assert parse("000004").chosen(paths) == paths
    listing = f"{API}/dandisets/000004/versions/draft/assets/?path="
    assert parse(listing + "sub-1/a.nwb").chosen(paths) == ["sub-1/a.nwb"]
    assert parse(listing + "SUB-1/").chosen(paths) == ["sub-1/a.nwb", "sub-1/a.nwb.bak"]


def test_a_place_in_a_zarr_is_an_entry_a_folder_or_a_glob_that_stays_in_it() -> None:
    entries = [".zgroup", "3/.zarray", "3/0/0", "3/0/1", "30/0", "3"]
    assert [entry for entry in entries if parse("000108/x.ome.zarr/3").chooses(entry)] == [
        "3/.zarray", "3/0/0", "3/0/1", "3",
    ]  # fmt: skip
    assert [entry for entry in entries if parse("000108/x.ome.zarr/3/").chooses(entry)] == entries[1:4]
    assert [entry for entry in entries if parse("000108/x.ome.zarr/3/0/*").chooses(entry)] == entries[2:4]
    assert [entry for entry in entries if parse("000108/x.ome.zarr/").chooses(entry)] == entries
    several = parse("000108/sub-*/x.ome.zarr/3")
    assert (several.glob, several.entry) == ("sub-*/x.ome.zarr", "3")
    assert parse("000108/*.zarr").glob == "*.zarr" and not parse("000108/*.zarr").entry


def test_a_state_stands_behind_the_path_of_a_zarr() -> None:
    state = f"{'a' * 32}-3--12"
    assert split_state(f"000108@draft/x.ome.zarr@{state}/3") == ("000108@draft/x.ome.zarr/3", state)
    assert split_state(f"x.ome.zarr@{state}") == ("x.ome.zarr", state)
    for text in ("000108@draft/x.zarr", f"x.zarr@{state}0x", f"x.zarr@{state[1:]}", f"x.zarr@{'A' * 32}-3--12"):
        assert split_state(text) == (text, "")


def test_a_name_says_which_archive_where_nothing_else_does() -> None:
    assert agreed(None, None, "dandi") == "dandi"
    assert agreed("linc", None, "dandi") == "linc"
    assert agreed("linc", KNOWN["linc"], "dandi") == KNOWN["linc"]
    assert agreed(KNOWN["linc"], "linc", "dandi") == "linc"
    # what an unknown archive is called, it says itself
    assert agreed("dandi", OURS, "dandi") == OURS
    check_called("dandi", Instance("DANDI", OURS))
    for said, other in (("dandi", "linc"), (KNOWN["linc"], "dandi"), (KNOWN["linc"], OURS), ("ours", "dandi")):
        with pytest.raises(UsageError, match="use one of them"):
            agreed(said, other, "dandi")
    with pytest.raises(UsageError, match="name its API: -i https://HOST/api") as refused:
        agreed("danid", None, "dandi")
    assert "did you mean" not in str(refused.value), "another archive is not proposed: an API key could go there"
    with pytest.raises(UsageError, match="is called DANDI"):
        check_called("linc", Instance("DANDI", OURS))


PIECES = [
    "https://", "http://", "dandi://", "s3://", "doi:10.48324/dandi.", "dandiarchive.org", "127.0.0.1", "/", "dandiset",
    "dandisets", "versions", "api", "assets", "zarr", "blobs", "000004", "@", "draft", TAG, ID, "?", "&", "location=",
    "path=", "%", "%2F", "..", "#", "[", "]", ":", "*", "99999", "DANDI", "\ud800", "İ",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join) | st.text(max_size=30))
def test_any_text_is_a_name_or_a_usage_error(text: str) -> None:
    try:
        name = parse(text)
    except UsageError as error:
        assert len(str(error)) < 600
        return
    assert name.dandiset or name.asset or name.blob or name.zarr or name.ask
    assert sum(map(bool, (name.path, name.prefix, name.glob, name.asset, name.blob, name.zarr))) <= 1
    assert ".." not in name.path.split("/")
