"""How a sync is asked for."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

from dandi_mirror.embedded import Archive, Server
from tests.conftest import MirrorOfTest
from tests.support.dandisets import seed


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    report = mirror.sync(dry_run=True)
    assert (report.added, report.tags) == (4, ["0.240101.0000"])
    assert not mirror.path.exists()
    assert not [request for request in mirror.server.requests if "/blobs/" in request.path]


def test_versions_published_follows_the_newest_version_on_a_branch_of_its_own(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    dandiset.add_asset("draft-only.nwb", archive.add_blob(b"x"))
    mirror.sync(versions="published")
    assert "refs/heads/draft" not in mirror.refs()
    assert len(mirror.asset_paths("published")) == 3
    dandiset.publish("0.240202.0000", created="2024-02-02T00:00:00Z")
    assert mirror.sync(versions="published").tags == ["0.240202.0000"]
    assert len(mirror.asset_paths("HEAD")) == 4
    assert mirror.sync(versions="published").status == "notneeded"


def test_a_version_that_has_to_wait_is_not_on_the_branch_of_published_versions(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    dandiset.add_asset("table.tsv", archive.add_blob(b"a\tb\n"))
    dandiset.publish("0.240202.0000", created="2024-02-02T00:00:00Z")
    mirror.server.intercept = lambda request: Response("gone", 404) if "/blobs/" in request.path else None
    report = mirror.sync(versions="published")
    assert (report.exit_code, report.tags) == (3, ["0.240101.0000"])
    assert "table.tsv" not in mirror.asset_paths("published")
    mirror.server.intercept = None
    assert mirror.sync(versions="published").tags == ["0.240202.0000"]
    assert "table.tsv" in mirror.asset_paths("published")


def test_versions_latest_and_draft_take_what_they_say(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    dandiset.add_asset("b.nwb", archive.add_blob(b"b"))
    dandiset.publish("0.240202.0000", created="2024-02-02T00:00:00Z")
    assert mirror.sync(versions="latest").tags == ["0.240202.0000"]
    other = MirrorOfTest(tmp_path / "other", mirror.server)
    assert other.sync(versions="draft").tags == []
    assert len(other.asset_paths()) == 4
    assert other.sync(versions="all").tags == ["0.240101.0000", "0.240202.0000"]


def test_a_deleted_index_is_rebuilt_and_changes_nothing(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive).publish()
    mirror.sync()
    before = mirror.refs()
    (mirror.path / ".dandi-mirror" / "index.sqlite").write_bytes(b"not a database")
    assert mirror.sync().status == "notneeded"
    assert mirror.refs() == before
    mirror.server.requests.clear()
    mirror.sync()
    assert len(mirror.server.requests) == 2


def test_the_server_moving_its_bucket_gives_new_urls_and_marks_the_old_ones_dead(
    archive: Archive, server: Server, mirror: MirrorOfTest
) -> None:
    dandiset = archive.create_dandiset("000123", name="A test")
    bucket = "https://dandiarchive.s3.amazonaws.com"
    asset = dandiset.add_asset("a.nwb", archive.add_blob(b"a"))
    entry = {
        "asset_id": asset.asset_id, "blob": asset.blob.blob_id if asset.blob else "", "zarr": None, "path": "a.nwb",
        "size": 1, "created": "2024-01-01T00:00:00Z", "modified": "2024-01-01T00:00:00Z",
    }  # fmt: skip
    dandiset.delete_asset("a.nwb")
    digest = {"dandi:sha2-256": asset.blob.sha256 if asset.blob else ""}
    dandiset.add_asset(
        entry=entry | {"metadata": {"contentUrl": [f"{bucket}/blobs/a"], "digest": digest}}, verbatim=True
    )
    mirror.sync()
    key = mirror.keys()["a.nwb"]
    assert f"{bucket}/blobs/a" in mirror.urls(key)
    dandiset.delete_asset("a.nwb")
    moved = "https://dandiarchive.s3.us-east-2.amazonaws.com/blobs/a"
    dandiset.add_asset(entry=entry | {"metadata": {"contentUrl": [moved], "digest": digest}}, verbatim=True)
    draft = mirror.git("rev-parse", "draft")
    mirror.sync()
    assert mirror.urls(key) == {moved, f"{server.api_url}/assets/{asset.asset_id}/download/"}
    assert mirror.git("rev-parse", "draft") == draft, "where the bucket is hosted is no fact of the draft"
