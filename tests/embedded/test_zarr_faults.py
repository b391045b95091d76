"""The faults of Zarrs' lists are what their names say: a list that meets one does not have the checksum."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
import requests

from dandi_mirror.embedded import Archive, Dandiset, Server, Zarr
from dandi_mirror.embedded.rules.computed import zarr_checksum
from tests.support import zarr_faults
from tests.support.asking import get
from tests.support.zarrs import a_zarr, change

S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"
FILES = {f"arr/{number}": b"%d" % number for number in range(7)}
HARMLESS = {"lists one twice"}
"""Whoever keeps entries by key does not notice these."""


@pytest.fixture
def zarr(dandiset: Dandiset) -> Zarr:
    return a_zarr(dandiset, "x.ome.zarr", FILES)


def s3_pages(archive: Archive, zarr: Zarr) -> Iterator[ElementTree.Element]:
    """The pages as a client reads them that trusts what it gets, ten at most."""
    query = {"versions": "", "prefix": zarr.key, "max-keys": "3"}
    for _ in range(10):
        answer = requests.get(archive.s3_url, params=query)
        answer.raise_for_status()
        yield (page := ElementTree.fromstring(answer.text))
        if page.findtext(S3 + "IsTruncated") != "true":
            return
        query["key-marker"] = page.findtext(S3 + "NextKeyMarker") or ""
        query["version-id-marker"] = page.findtext(S3 + "NextVersionIdMarker") or ""


def s3_checksum(archive: Archive, zarr: Zarr) -> str:
    found = {}
    for page in s3_pages(archive, zarr):
        for version in page.iterfind(S3 + "Version"):
            field = {child.tag.removeprefix(S3): child.text or "" for child in version}
            if field["IsLatest"] == "true":
                found[field["Key"].removeprefix(zarr.key)] = (int(field["Size"]), field["ETag"].strip('"'))
    return zarr_checksum((path, *found[path]) for path in sorted(found))


def api_checksum(server: Server, zarr: Zarr) -> str:
    found: dict[str, Any] = {}
    url = f"/zarr/{zarr.zarr_id}/files/?limit=3"
    for _ in range(10):
        answer = get(server, url)
        answer.raise_for_status()
        found |= {entry["Key"]: (entry["Size"], entry["ETag"]) for entry in answer.json()["results"]}
        if not (url := answer.json()["next"]):
            break
    return zarr_checksum((path, *found[path]) for path in sorted(found))


@pytest.mark.parametrize("name", zarr_faults.S3)
def test_a_list_of_s3_that_meets_a_fault_is_not_the_zarrs(
    server: Server, archive: Archive, zarr: Zarr, name: str
) -> None:
    assert s3_checksum(archive, zarr) == zarr.checksum
    struck = zarr_faults.strike(server, name)
    try:
        same = s3_checksum(archive, zarr) == zarr.checksum
    except (requests.HTTPError, ElementTree.ParseError):
        same = False
    assert struck.struck >= 1
    assert same == (name in HARMLESS)
    struck.times = struck.struck
    assert s3_checksum(archive, zarr) == zarr.checksum, "the fault is over"


@pytest.mark.parametrize("name", zarr_faults.API)
def test_a_list_of_the_api_that_meets_a_fault_is_not_the_zarrs(server: Server, zarr: Zarr, name: str) -> None:
    assert api_checksum(server, zarr) == zarr.checksum
    struck = zarr_faults.strike(server, name, api=True)
    try:
        same = api_checksum(server, zarr) == zarr.checksum
    except (requests.HTTPError, json.JSONDecodeError):
        same = False
    assert struck.struck >= 1
    assert same == (name in HARMLESS)


def test_a_zarr_that_is_rewritten_in_the_middle_has_no_list_with_a_checksum(
    server: Server, archive: Archive, zarr: Zarr
) -> None:
    before = zarr.checksum
    zarr_faults.rewritten_in_the_middle(server, zarr, lambda: change(zarr, {"arr/0": b"new", "arr/6": b"new"}))
    assert s3_checksum(archive, zarr) not in (before, zarr.checksum)
    assert zarr.checksum != before
    assert s3_checksum(archive, zarr) == zarr.checksum


def test_wrong_counts_are_wrong(server: Server, zarr: Zarr) -> None:
    zarr_faults.wrong_counts(server, file_count=1, size=-1)
    one = get(server, f"/zarr/{zarr.zarr_id}/").json()
    [entry] = get(server, "/zarr/").json()["results"]
    assert one == entry
    assert (one["file_count"], one["size"]) == (len(FILES) + 1, zarr.size - 1)
    assert one["checksum"] == zarr.checksum
