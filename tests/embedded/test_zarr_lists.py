"""The embedded bucket lists Zarrs as S3 does: pages, markers, folders, names, refusals."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

import pytest
import requests

from dandi_mirror.embedded import Archive, Dandiset, Server, Zarr
from tests.support.asking import get
from tests.support.recorded import load
from tests.support.s3_lists import page, shown, versions
from tests.support.zarrs import SMALL, a_zarr, change, checksum, in_parts


@pytest.fixture
def zarr(dandiset: Dandiset) -> Zarr:
    return a_zarr(dandiset, "x.ome.zarr")


def test_a_page_may_have_less_than_a_client_asks_for(server: Server, archive: Archive, zarr: Zarr) -> None:
    archive.own_bucket.most_keys = 2
    assert len(shown(page(archive.s3_url, versions="", prefix=zarr.key))) == 2
    assert len(list(versions(archive.s3_url, prefix=zarr.key))) == len(SMALL)


def test_a_deleted_file_is_told_by_its_marker_and_an_unknown_version_by_its_error(
    archive: Archive, server: Server, zarr: Zarr
) -> None:
    change(zarr, {"arr/0/0": None})
    url = f"{archive.s3_url}/{zarr.key}arr/0/0"
    now = requests.get(url)
    assert (now.status_code, now.headers["x-amz-delete-marker"]) == (404, "true")
    marker = requests.get(url, params={"versionId": now.headers["x-amz-version-id"]})
    assert (marker.status_code, marker.headers["x-amz-delete-marker"]) == (405, "true")
    assert "NoSuchVersion" in requests.get(url, params={"versionId": "0" * 32}).text


def test_a_list_does_not_leave_its_zarr_and_knows_all_of_them(
    server: Server, dandiset: Dandiset, archive: Archive
) -> None:
    made = sorted((a_zarr(dandiset, f"{n}.zarr", {"a": b"1", "b/c": b"2"}) for n in range(3)), key=lambda z: z.key)
    assert {entry["Key"] for entry in versions(archive.s3_url, prefix=made[1].key)} == {
        made[1].key + "a",
        made[1].key + "b/c",
    }
    every = [zarr.key + path for zarr in made for path in ("a", "b/c")]
    assert [entry["Key"] for entry in versions(archive.s3_url, prefix="zarr/", **{"max-keys": 2})] == every
    assert [entry["Prefix"] for entry in versions(archive.s3_url, prefix="zarr/", delimiter="/")] == [
        zarr.key for zarr in made
    ]
    assert list(versions(archive.s3_url, prefix="zarr/00000000-0000-4000-8000-000000000000/")) == []


def test_names_that_xml_cannot_hold_come_as_in_urls(archive: Archive, server: Server, dandiset: Dandiset) -> None:
    names = ["a b", "a+b", "a%2eb", "a\nb", "\x01", "é", "a&b<c>", "a/b*c"]
    zarr = a_zarr(dandiset, "x.zarr", dict.fromkeys(names, b"x"))
    found = versions(archive.s3_url, prefix=zarr.key, **{"encoding-type": "url"})
    assert {unquote_plus(entry["Key"]).removeprefix(zarr.key) for entry in found} == set(names)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"version-id-marker": "x"}, "without a key marker"),
        ({"max-keys": "x"}, "max-keys"),
        ({"max-keys": "-1"}, "max-keys"),
        ({"list-type": "2", "continuation-token": "x"}, "continuation token"),
        ({"key-marker": "{key}.zgroup", "version-id-marker": "x"}, "Invalid version id"),
    ],
)
def test_wrong_parameters_are_refused(
    archive: Archive, server: Server, zarr: Zarr, query: dict[str, str], words: str
) -> None:
    sent = {name: text.format(key=zarr.key) for name, text in query.items()}
    which = {} if "list-type" in sent else {"versions": ""}
    answer = requests.get(archive.s3_url, params={**which, "prefix": zarr.key, **sent})
    assert answer.status_code == 400
    assert words in answer.text
    assert "<Code>InvalidArgument</Code>" in answer.text


def test_a_bucket_may_refuse_to_be_listed_and_still_be_read(server: Server, archive: Archive, zarr: Zarr) -> None:
    archive.own_bucket.lists = False
    for query in ({"versions": ""}, {"list-type": "2"}):
        answer = requests.get(archive.s3_url, params={"prefix": zarr.key, **query})
        assert (answer.status_code, "AccessDenied" in answer.text) == (403, True)
    assert requests.get(f"{archive.s3_url}/{zarr.key}.zgroup").content == SMALL[".zgroup"]
    assert len(get(server, f"/zarr/{zarr.zarr_id}/files/").json()["results"]) == len(SMALL)


def test_the_list_reads_as_the_recorded_one(archive: Archive, server: Server, dandiset: Dandiset) -> None:
    """What the archive's server answered after a rewrite and a deletion, apart from ids, times and the owner."""
    recorded = shown(load("listing")["versions"])
    sizes: dict[str, list[dict[str, str]]] = {}
    for entry in recorded:
        sizes.setdefault(entry["Key"].split("/", 2)[2], []).insert(0, entry)
    zarr = a_zarr(dandiset, "x.zarr", {path: b"." * int(found[0]["Size"]) for path, found in sizes.items()})
    for path, found in sizes.items():
        for entry in found[1:]:
            change(zarr, {path: b"." * int(entry["Size"]) if "Size" in entry else None})
    answered = list(versions(archive.s3_url, prefix=zarr.key))

    def plain(entry: dict[str, str]) -> tuple[str, ...]:
        kept = ("", "IsLatest", "Size", "StorageClass")
        return (entry["Key"].split("/", 2)[2], *(entry.get(name, "") for name in kept), *sorted(entry))

    assert [plain(entry) for entry in answered] == [plain(entry) for entry in recorded]


def test_a_file_that_came_in_parts_has_no_md5(archive: Archive, server: Server, dandiset: Dandiset) -> None:
    zarr = a_zarr(dandiset, "x.zarr", {"0": in_parts(b"x" * 2500)})
    entry = next(versions(archive.s3_url, prefix=zarr.key))
    assert re.fullmatch(r'"[0-9a-f]{32}-3"', entry["ETag"])
    assert requests.get(f"{archive.s3_url}/{entry['Key']}").content == b"x" * 2500
    assert zarr.checksum == checksum({"0": in_parts(b"x" * 2500)})
