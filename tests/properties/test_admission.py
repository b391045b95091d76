"""Which list entries become assets: one rule for each reason, without an archive."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dandi_mirror.archive.http.response import MissingRecord
from dandi_mirror.mirror.format.admission import (
    LARGEST_RECORD,
    ContentHosts,
    Refusal,
    admit_entry,
    canonical_record,
    shown_path,
    size_and_digest,
    zarr_size,
)
from dandi_mirror.model import Asset, FindingKind, Instance
from dandi_mirror.repo.annex.keys import annex_key

pytestmark = pytest.mark.quick

API = "https://api.dandiarchive.org/api"
DANDI = Instance("DANDI", API)
HOSTS = ContentHosts(DANDI)
ID, ZARR = "0f1e2d3c-0000-4000-8000-000000000001", "0f1e2d3c-0000-4000-8000-000000000002"
SHA, S3 = "ab" * 32, "https://dandiarchive.s3.amazonaws.com/blobs/abc"
CHECKSUM = f"{'0' * 32}-1--5"


def entry(**changes: Any) -> dict[str, Any]:
    metadata = {
        "contentSize": 5, "digest": {"dandi:sha2-256": SHA}, "contentUrl": [f"{API}/assets/{ID}/download/", S3],
    }  # fmt: skip
    return {
        "asset_id": ID, "path": "sub-1/a.nwb", "size": 5, "created": "c", "modified": "m", "blob": "b",
        "metadata": metadata,
    } | changes  # fmt: skip


def record(**changes: Any) -> dict[str, Any]:
    return entry(metadata=entry()["metadata"] | changes)


def zarr(**changes: Any) -> dict[str, Any]:
    about = {"digest": {"dandi:dandi-zarr-checksum": CHECKSUM}, "contentUrl": [S3]}
    return entry(path="a.zarr", zarr=ZARR, metadata=about) | changes


def refused(given: object) -> Refusal:
    found = admit_entry(given, HOSTS)
    assert isinstance(found, Refusal)
    return found


def admitted(given: object, hosts: ContentHosts = HOSTS) -> tuple[Asset, dict[str, Any]]:
    found = admit_entry(given, hosts)
    assert not isinstance(found, Refusal), found
    return found[0], json.loads(found[1])


def test_an_entry_becomes_an_asset_and_its_record_without_urls() -> None:
    asset, kept = admitted(entry())
    key = annex_key(5, SHA, "sub-1/a.nwb")
    fields = asset.fields
    length = len(json.dumps(kept, separators=(",", ":"), sort_keys=True))
    assert asset == Asset("sub-1/a.nwb", ID, "m", 5, key, S3, "", None, length, fields, False, "", "")
    metadata = {"contentSize": 5, "digest": {"dandi:sha2-256": SHA}}
    assert kept == {"asset_id": ID, "created": "c", "metadata": metadata, "path": "sub-1/a.nwb", "size": 5}
    assert kept == canonical_record(entry(), entry()["metadata"])


def test_a_record_that_a_published_version_holds_says_so_and_an_odd_time_is_none() -> None:
    assert admitted(record(datePublished="2024"))[0].published
    assert admitted(entry(modified=5))[0].modified == ""
    assert ("subject", "m1") in admitted(record(wasAttributedTo=[{"schemaKey": "Participant", "identifier": "m1"}]))[
        0
    ].fields


def test_a_zarr_becomes_an_asset_without_a_key_and_with_its_checksum() -> None:
    asset, _ = admitted(zarr())
    assert (asset.zarr, asset.zarr_checksum, asset.key, asset.size) == (ZARR, CHECKSUM, "", 5)
    assert asset.content_url == S3
    assert admitted(zarr(metadata={"digest": {"dandi:dandi-zarr-checksum": None}}))[0].zarr_checksum == ""


@pytest.mark.parametrize(
    ("given", "kind", "reason"),
    [
        (5, FindingKind.REFUSED, "the row is not an object"),
        (entry(asset_id="x"), FindingKind.REFUSED, "the asset id is not a UUID of version 4"),
        (
            entry(metadata=MissingRecord()),
            FindingKind.PENDING,
            "its record did not come; the next run asks for it again",
        ),
        (entry(metadata=None), FindingKind.REFUSED, "the record has no metadata that can be read"),
        (entry(path=".git/x"), FindingKind.REFUSED, None),
        (entry(path=5), FindingKind.REFUSED, None),
        (record(digest={}), FindingKind.PENDING, "the archive has no SHA-256 for it yet"),
        (
            record(digest={"dandi:sha2-256": "x"}),
            FindingKind.REFUSED,
            "the SHA-256 is not 64 lower-case hexadecimal digits",
        ),
        (entry(size=-1), FindingKind.REFUSED, "the size is not a number of bytes up to 5 TiB"),
        (entry(size=True), FindingKind.REFUSED, "the size is not a number of bytes up to 5 TiB"),
        (record(contentSize=6), FindingKind.REFUSED, "the size differs between the row and its record"),
        (record(x=float("nan")), FindingKind.REFUSED, None),
        (record(x="x" * LARGEST_RECORD), FindingKind.REFUSED, "the record is larger than 8 MiB"),
        (zarr(zarr="x"), FindingKind.REFUSED, "the Zarr's id is not a UUID of version 4"),
        (zarr(size=-1), FindingKind.REFUSED, "the size is not a number of bytes"),
        (zarr(metadata={}), FindingKind.PENDING, "its record does not say yet that it is a Zarr"),
    ],
)
def test_what_is_not_admitted_has_a_reason(given: object, kind: FindingKind, reason: str | None) -> None:
    found = refused(given)
    assert found.kind is kind and found.reason
    assert reason is None or found.reason == reason
    facts = given if isinstance(given, dict) else {}
    assert found.path == (facts["path"] if isinstance(facts.get("path"), str) else "")
    assert found.asset_id == (ID if facts.get("asset_id") == ID else "")
    assert (found.finding("v").version, found.finding("v").reason) == ("v", found.reason)


def test_the_content_of_a_refused_asset_can_be_kept() -> None:
    found = refused(entry(path=".git/x"))
    assert (found.size, found.sha256, found.content_url) == (5, SHA, S3)
    assert json.loads(found.record or b"")["path"] == ".git/x"
    found = refused(record(x="x" * LARGEST_RECORD))
    assert (found.size, found.sha256, found.record) == (5, SHA, None)
    found = refused(record(x=float("nan")))
    assert (found.size, found.sha256, found.record) == (5, SHA, None)
    assert found.reason.startswith("the record: ")
    pending = refused(record(digest={}))
    assert (pending.size, pending.sha256) == (5, None) and pending.record


def test_a_record_that_is_too_deep_is_refused_for_one_reason_everywhere() -> None:
    deep: Any = "x"
    for _ in range(2000):
        deep = [deep]
    found = refused(record(x=deep))
    assert (found.reason, found.size) == ("the record has no metadata that can be read", None)


def test_a_path_is_refused_before_a_record_that_cannot_be_written() -> None:
    bad = record(x=float("nan")) | {"path": ".git/x"}
    assert refused(bad).reason == refused(entry(path=".git/x")).reason
    assert refused(record(x=float("nan")) | {"size": -1}).reason == "the size is not a number of bytes up to 5 TiB"


def test_sizes_and_digests_are_what_their_types_say() -> None:
    assert size_and_digest({"size": 0}, {}) == (0, None, None)
    assert size_and_digest({"size": 5 * 2**40}, {"digest": {"dandi:sha2-256": SHA}}) == (5 * 2**40, SHA, None)
    for size, about in ((5 * 2**40 + 1, {}), (1, {"contentSize": True}), (None, {}), (5.0, {})):
        assert size_and_digest({"size": size}, about)[:2] == (None, None)  # type: ignore[arg-type]
    assert [zarr_size({"size": size})[0] for size in (0, 5, -1, True, None)] == [0, 5, None, None, None]
    assert [shown_path({"path": path}) for path in ("a", 5, None)] == ["a", "", ""]


def test_content_comes_from_admitted_hosts_and_under_embargo_from_the_api_alone() -> None:
    other = "https://files.example.org/abc"
    assert admitted(record(contentUrl=[5, other, S3]))[0].content_url == S3
    asset, _ = admitted(record(contentUrl=[other]))
    assert (asset.content_url, asset.unknown_host) == (None, "files.example.org")
    asset, _ = admitted(record(contentUrl=[other]), ContentHosts(DANDI, frozenset({"files.example.org"})))
    assert (asset.content_url, asset.unknown_host) == (other, "")
    for urls in (S3, None, [f"{API}/assets/{ID}/download/"], []):
        asset, _ = admitted(record(contentUrl=urls))
        assert (asset.content_url, asset.unknown_host) == (None, "")
    asset, _ = admitted(entry(), ContentHosts(DANDI, closed=True))
    assert (asset.content_url, asset.unknown_host) == (None, "")
