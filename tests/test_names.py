"""Every form of a name, as one table; and what is wrong, with the nearest right one."""

from __future__ import annotations

import socket
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.archive.instances import KNOWN, agreed, check_called
from dandi_mirror.archive.names import Name, parse
from dandi_mirror.errors import UsageError
from dandi_mirror.model import Instance

DANDI, SANDBOX, DOCKER = KNOWN["dandi"], KNOWN["dandi-sandbox"], KNOWN["dandi-api-local-docker-tests"]
LINC, EMBER = KNOWN["linc"], KNOWN["ember-dandi"]
SITE, API = "https://dandiarchive.org", DANDI
TAG = "0.220126.1852"
ID = "0a748f90-d497-4a9c-822e-9c63811db412"
OURS = "https://archive.example.org/api"
S3 = "https://dandiarchive.s3.amazonaws.com"


def of(instance: str | None = None, dandiset: str | None = None, version: str | None = None, **more: Any) -> Name:
    return Name("", instance, dandiset, version, **more)


FORMS: dict[str, Name] = {
    # short
    "000004": of(None, "000004"),
    " 000004 ": of(None, "000004"),
    "000004/": of(None, "000004"),
    f"000004@{TAG}": of(None, "000004", TAG),
    "000004@draft": of(None, "000004", "draft"),
    "000004@Draft": of(None, "000004", "draft"),
    f"000004/{TAG}": of(None, "000004", TAG),
    f"000004@{TAG}/sub-P10HMH": of(None, "000004", TAG, path="sub-P10HMH"),
    f"000004/{TAG}/sub-P10HMH/": of(None, "000004", TAG, path="sub-P10HMH/"),
    "000004/sub-P10HMH/a b.nwb": of(None, "000004", path="sub-P10HMH/a b.nwb"),
    "000004/100%25.nwb": of(None, "000004", path="100%25.nwb"),
    "000004//sub-1/./a.nwb": of(None, "000004", path="sub-1/a.nwb"),
    "000004@draft/sub-*/é.nwb": of(None, "000004", "draft", glob="sub-*/é.nwb"),
    # identifiers, in any case
    "DANDI:000004": of("dandi", "000004"),
    "dandi:000004/DRAFT": of("dandi", "000004", "draft"),
    f"Dandi:000004/{TAG}": of("dandi", "000004", TAG),
    f"DANDI:000004@{TAG}": of("dandi", "000004", TAG),
    f"DANDI:000004/{TAG}/sub-1/": of("dandi", "000004", TAG, path="sub-1/"),
    "DANDI-SANDBOX:000029": of("dandi-sandbox", "000029"),
    "DANDI-API-LOCAL-DOCKER-TESTS:000029": of("dandi-api-local-docker-tests", "000029"),
    "LINC:000029/draft": of("linc", "000029", "draft"),
    "LINC-STAGING:000029": of("linc-staging", "000029"),
    f"EMBER-DANDI:000029/{TAG}": of("ember-dandi", "000029", TAG),
    "EMBER-DANDI-SANDBOX:000029/draft": of("ember-dandi-sandbox", "000029", "draft"),
    "OURS:000029": of("ours", "000029"),
    # dandi://
    "dandi://dandi/000004": of("dandi", "000004"),
    f"dandi://dandi/000004@{TAG}/sub-P10HMH/": of("dandi", "000004", TAG, path="sub-P10HMH/"),
    "DANDI://DANDI/000004@draft/sub-1/a.nwb": of("dandi", "000004", "draft", path="sub-1/a.nwb"),
    "dandi://dandi/000004/sub-1%2Fa%20b.nwb": of("dandi", "000004", path="sub-1/a b.nwb"),
    "dandi://linc/000004/f*/bar.nwb": of("linc", "000004", glob="f*/bar.nwb"),
    "dandi://dandi-api-local-docker-tests/000002@draft/path": of(
        "dandi-api-local-docker-tests", "000002", "draft", path="path"
    ),
    "dandi://dandi/000108/sub-1/file.ome.zarr/0/0/0": of("dandi", "000108", path="sub-1/file.ome.zarr", entry="0/0/0"),
    "dandi://dandi/000108@draft/file.ngff/scale0/": of("dandi", "000108", "draft", path="file.ngff", entry="scale0/"),
    "dandi://dandi/000108/sub-1/file.ome.zarr": of("dandi", "000108", path="sub-1/file.ome.zarr"),
    # registries of identifiers
    "https://identifiers.org/DANDI:000004": of("dandi", "000004"),
    f"http://identifiers.org/dandi:000004/{TAG}": of("dandi", "000004", TAG),
    "https://identifiers.org/DANDI:000004/draft": of("dandi", "000004", "draft"),
    f"10.48324/dandi.000004/{TAG}": of("dandi", "000004", TAG),
    f"doi:10.48324/DANDI.000004/{TAG}": of("dandi", "000004", TAG),
    f"https://doi.org/10.48324/dandi.000004/{TAG}": of("dandi", "000004", TAG),
    "https://dx.doi.org/10.48324/dandi.000004": of("dandi", "000004"),
    f"https://doi.org/10.48324%2Fdandi.000004%2F{TAG}": of("dandi", "000004", TAG),
    f"10.80507/dandi.000004/{TAG}": of("dandi-sandbox", "000004", TAG),
    f"10.80507/dev-dandi.000003/{TAG}": of("dev-dandi", "000003", TAG),
    # web pages
    f"{SITE}/dandiset/000004": of(DANDI, "000004"),
    f"{SITE}/dandiset/000004?search=ophys&pos=8": of(DANDI, "000004"),
    f"{SITE}/dandiset/000004/{TAG}": of(DANDI, "000004", TAG),
    f"{SITE}/dandiset/000004/{TAG}/": of(DANDI, "000004", TAG),
    f"{SITE}/dandiset/000004/{TAG}/files": of(DANDI, "000004", TAG),
    f"{SITE}/dandiset/000004/draft/files?location=": of(DANDI, "000004", "draft"),
    f"{SITE}/dandiset/000004/draft/files?location=%2Fsub-1%2F": of(DANDI, "000004", "draft", path="sub-1/"),
    f"{SITE}/dandiset/000004/{TAG}/files?location=sub-1&page=2": of(DANDI, "000004", TAG, path="sub-1"),
    f"{SITE}/dandiset/000004/draft/files?location=sub-1%2Fa.nwb": of(DANDI, "000004", "draft", path="sub-1/a.nwb"),
    f"{SITE}/dandiset/000004/draft/files?location=sub-1/*.nwb": of(DANDI, "000004", "draft", glob="sub-1/*.nwb"),
    f"{SITE}/dandiset/000004/files?location=sub-1": of(DANDI, "000004", path="sub-1"),
    f"{SITE}/dandiset/000004/draft/metadata": of(DANDI, "000004", "draft"),
    f"{SITE}/#/dandiset/000001": of(DANDI, "000001"),
    f"{SITE}/#/dandiset/000006/{TAG}/files?location=%2Fsub-1": of(DANDI, "000006", TAG, path="sub-1"),
    "http://dandiarchive.org/dandiset/000004": of(DANDI, "000004"),
    f"{SITE}/api/dandiset/000004": of(DANDI, "000004"),
    "https://gui.dandiarchive.org/#/dandiset/000003": of(DANDI, "000003"),
    "https://sandbox.dandiarchive.org/#/dandiset/000018": of(SANDBOX, "000018"),
    "https://lincbrain.org/dandiset/000010/draft": of(LINC, "000010", "draft"),
    "https://dandi.emberarchive.org/dandiset/000010": of(EMBER, "000010"),
    "http://localhost:8085/dandiset/000002": of(DOCKER, "000002"),
    "https://deploy-preview-854--gui-dandiarchive-org.netlify.app/#/dandiset/000018": of(SANDBOX, "000018"),
    "https://gui-dandiarchive-org.netlify.app/#/dandiset/000018": of(DANDI, "000018"),
    "https://example.org/dandiset/000123/draft": of(None, "000123", "draft", ask="https://example.org"),
    # the API
    f"{API}/dandisets/000004": of(API, "000004"),
    f"{API}/dandisets/000004/": of(API, "000004"),
    "https://api.dandiarchive.org/dandisets/000004/": of(API, "000004"),
    f"{API}/dandisets/000004/versions/": of(API, "000004"),
    f"{API}/dandisets/000004/versions/draft": of(API, "000004", "draft"),
    f"{API}/dandisets/000004/versions/{TAG}/": of(API, "000004", TAG),
    f"{API}/dandisets/000004/versions/{TAG}/info/": of(API, "000004", TAG),
    f"{API}/dandisets/000004/versions/draft/assets/": of(API, "000004", "draft"),
    f"{API}/dandisets/000004/versions/draft/assets/?path=sub-P10HMH%2Fa": of(
        API, "000004", "draft", prefix="sub-P10HMH/a"
    ),
    f"{API}/dandisets/000004/versions/draft/assets?path=sub-1&page_size=20": of(API, "000004", "draft", prefix="sub-1"),
    f"{API}/dandisets/000004/versions/draft/assets/?order=path&path=sub-Yuta*": of(
        API, "000004", "draft", prefix="sub-Yuta*"
    ),
    f"{API}/dandisets/000004/versions/draft/assets/?glob=sub-%2A.nwb": of(API, "000004", "draft", glob="sub-*.nwb"),
    f"{API}/dandisets/000004/versions/draft/assets/paths/?path_prefix=sub-1%2F": of(
        API, "000004", "draft", path="sub-1/"
    ),
    f"{API}/dandisets/000004/versions/draft/assets/{ID}/": of(API, "000004", "draft", asset=ID),
    f"{API}/dandisets/000004/versions/draft/assets/{ID}/download": of(API, "000004", "draft", asset=ID),
    f"{API}/dandisets/000004/versions/draft/assets/{ID}/info/": of(API, "000004", "draft", asset=ID),
    f"{API}/assets/{ID}": of(API, asset=ID),
    f"{API}/assets/{ID}/download/": of(API, asset=ID),
    f"{API}/assets/{ID.upper()}/info/": of(API, asset=ID),
    f"{API}/zarr/{ID}/": of(API, zarr=ID),
    f"{API}/zarr/{ID}/files/?prefix=0%2F0": of(API, zarr=ID, entry="0/0"),
    "http://localhost:8000/api/dandisets/000002/versions/draft/": of(DOCKER, "000002", "draft"),
    f"{OURS}/dandisets/000004/": of(OURS, "000004"),
    "https://example.org/own/api/dandisets/000004/": of("https://example.org/own/api", "000004"),
    f"http://127.0.0.1:8311/api/assets/{ID}/download/": of("http://127.0.0.1:8311/api", asset=ID),
    ID: of(asset=ID),
    f"dandiasset:{ID}": of(asset=ID),
    # S3
    f"{S3}/blobs/0a7/48f/{ID}": of(DANDI, blob=ID),
    f"{S3}/blobs/0a7/48f/{ID}?versionId=abc": of(DANDI, blob=ID),
    f"https://s3.amazonaws.com/dandiarchive/blobs/0a7/48f/{ID}": of(DANDI, blob=ID),
    f"https://dandiarchive.s3.us-east-2.amazonaws.com/blobs/0a7/48f/{ID}": of(DANDI, blob=ID),
    f"s3://dandiarchive/blobs/0a7/48f/{ID}": of(DANDI, blob=ID),
    f"{S3}/zarr/{ID}/": of(DANDI, zarr=ID),
    f"https://linc-brain-mit-prod-us-east-2.s3.amazonaws.com/zarr/{ID}/": of(KNOWN["linc"], zarr=ID),
    f"s3://linc-brain-mit-staging-us-east-2/zarr/{ID}/0": of(KNOWN["linc-staging"], zarr=ID, entry="0"),
    f"https://ember-open-data.s3.us-east-2.amazonaws.com/blobs/0a7/48f/{ID}": of(KNOWN["ember-dandi"], blob=ID),
    f"https://s3.amazonaws.com/ember-open-data-sandbox/blobs/0a7/48f/{ID}": of(KNOWN["ember-dandi-sandbox"], blob=ID),
    f"s3://dandiarchive/zarr/{ID}/0/0/.zarray": of(DANDI, zarr=ID, entry="0/0/.zarray"),
    f"{S3}/dandisets/000004/{TAG}/assets.yaml": of(DANDI, "000004", TAG),
    f"https://another-bucket.s3.amazonaws.com/blobs/0a7/48f/{ID}": of(blob=ID),
    f"http://127.0.0.1:9000/dandi-dandisets/blobs/0a7/48f/{ID}": of(blob=ID),
    f"http://127.0.0.1:9000/dandi-dandisets/zarr/{ID}/0": of(zarr=ID, entry="0"),
    # what only a request can tell
    "https://bit.ly/dandi12": of(ask="https://bit.ly/dandi12"),
    "https://gui.dandiarchive.org/": of(ask="https://gui.dandiarchive.org/"),
}


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
    "000004@": "nothing is not a version",
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
