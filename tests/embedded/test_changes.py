"""What each change moves, and what it leaves alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dandi_mirror.embedded import Archive, Dandiset, Refused, Server
from tests.support.asking import draft_of, get, paths_of, seed

# --- what changes when


def test_late_sha256_moves_no_timestamp(server: Server, archive: Archive, dandiset: Dandiset) -> None:
    blob = archive.add_blob(b"content", sha256_known=False)
    asset = dandiset.add_asset("a.txt", blob)
    assert draft_of(server)["status"] == "Pending"
    assert "dandi:sha2-256" not in get(server, f"/assets/{asset.asset_id}/").json()["digest"]
    before = get(server, f"/assets/{asset.asset_id}/info/").json(), draft_of(server)
    sha256 = archive.compute_sha256(blob)
    after = get(server, f"/assets/{asset.asset_id}/info/").json(), draft_of(server)
    assert after[0]["metadata"]["digest"]["dandi:sha2-256"] == sha256
    assert (after[0]["modified"], after[1]["modified"]) == (before[0]["modified"], before[1]["modified"])
    assert after[1]["status"] == "Valid"


def test_an_added_asset_moves_the_draft_and_not_the_dandiset(server: Server, dandiset: Dandiset) -> None:
    before = get(server, "/dandisets/000004/").json()
    seed(dandiset, "a")
    after = get(server, "/dandisets/000004/").json()
    assert after["draft_version"]["modified"] > before["draft_version"]["modified"]
    assert after["modified"] == before["modified"]


def test_a_replaced_asset_is_new_and_goes_to_the_end(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "a", "b")
    old = dandiset.draft.asset_at("a")
    new = dandiset.replace_asset("a", dandiset.archive.add_blob(b"new"))
    assert old is not None
    assert new.asset_id != old.asset_id
    assert paths_of(server) == ["b", "a"]
    assert get(server, f"/assets/{old.asset_id}/").json()["contentSize"] == 1
    assert get(server, f"/assets/{old.asset_id}/download/").status_code == 302


def test_a_replacement_by_metadata_keeps_the_blob(dandiset: Dandiset) -> None:
    seed(dandiset, "a")
    old = dandiset.draft.asset_at("a")
    new = dandiset.replace_asset("a", metadata={"encodingFormat": "text/plain"})
    assert old is not None
    assert new.blob is old.blob
    assert new.metadata["encodingFormat"] == "text/plain"


def test_a_renamed_asset_keeps_its_blob_under_a_new_id(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "a", "b")
    old = dandiset.draft.asset_at("a")
    new = dandiset.rename_asset("a", "dir/c")
    assert old is not None
    assert new.blob is old.blob
    assert new.asset_id != old.asset_id
    assert new.metadata["path"] == "dir/c"
    assert paths_of(server) == ["b", "dir/c"]


def test_a_refused_rename_changes_nothing(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "a", "b")
    before = draft_of(server)
    with pytest.raises(Refused, match="already exists"):
        dandiset.rename_asset("a", "b")
    assert draft_of(server) == before
    assert paths_of(server) == ["a", "b"]


def test_a_published_version_shares_ids_with_the_draft_and_marks_the_assets(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "a")
    before = get(server, "/dandisets/000004/versions/draft/assets/").json()["results"][0]
    version = dandiset.publish(release_notes="First")
    entries = get(server, f"/dandisets/000004/versions/{version.version}/assets/?metadata=1").json()["results"]
    assert entries == get(server, "/dandisets/000004/versions/draft/assets/?metadata=1").json()["results"]
    assert entries[0]["asset_id"] == before["asset_id"]
    assert entries[0]["created"] == before["created"]
    assert entries[0]["modified"] > before["modified"]
    assert {"publishedBy", "datePublished"} <= entries[0]["metadata"].keys()
    assert draft_of(server)["status"] == "Published"


def test_a_second_publication_leaves_the_assets_of_the_first_alone(dandiset: Dandiset) -> None:
    seed(dandiset, "a")
    dandiset.publish()
    first = dandiset.draft.asset_at("a")
    assert first is not None
    before = first.modified, first.metadata
    seed(dandiset, "b")
    version = dandiset.publish()
    assert (first.modified, first.metadata) == before
    assert [asset.path for asset in version] == ["a", "b"]


def test_a_published_version_stays_when_the_draft_changes(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "a", "b")
    name = dandiset.publish().version
    dandiset.delete_asset("a")
    dandiset.rename_asset("b", "c")
    assert paths_of(server, name) == ["a", "b"]
    assert paths_of(server) == ["c"]


def test_names_of_versions_count_up_past_the_hour(archive: Archive) -> None:
    archive = Archive(clock=lambda: datetime(2026, 12, 31, 23, 58, 30, tzinfo=UTC))
    dandiset = archive.create_dandiset("000001")
    seed(dandiset, "a")
    names = [dandiset.publish(unchecked=True).version for _ in range(3)]
    assert names == ["0.261231.2358", "0.261231.2359", "0.270101.0000"]


def test_publishing_is_refused_as_the_server_refuses_it(archive: Archive, dandiset: Dandiset) -> None:
    with pytest.raises(Refused, match="metadata is not valid"):
        dandiset.publish()
    blob = archive.add_blob(b"x", sha256_known=False)
    dandiset.add_asset("a", blob)
    with pytest.raises(Refused, match="pending"):
        dandiset.publish()
    archive.compute_sha256(blob)
    dandiset.publish()
    with pytest.raises(Refused, match="no changes"):
        dandiset.publish()
    dandiset.add_zarr("x.zarr")
    seed(dandiset, "b")
    with pytest.raises(Refused, match="contain zarrs"):
        dandiset.publish()


def test_a_recorded_version_is_replayed_word_for_word(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "a")
    record = {"id": "DANDI:000004/0.220126.1852", "name": "Old", "anything": [1, {"x": None}]}
    dandiset.publish("0.220126.1852", "2022-01-26T18:52:00Z", record)
    assert get(server, "/dandisets/000004/versions/0.220126.1852/").json() == record
    entry = get(server, "/dandisets/000004/").json()["most_recent_published_version"]
    assert (entry["name"], entry["created"]) == ("Old", "2022-01-26T18:52:00Z")


def test_a_deleted_version_is_gone(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "a")
    name = dandiset.publish().version
    dandiset.delete_version(name)
    assert get(server, f"/dandisets/000004/versions/{name}/").status_code == 404
    assert get(server, "/dandisets/000004/").json()["most_recent_published_version"] is None


def test_a_deleted_dandiset_is_gone_and_its_assets_answer_on(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "a")
    asset = next(iter(dandiset.draft))
    server.archive.delete_dandiset("000004")
    assert get(server, "/dandisets/000004/").json() == {"detail": "Not found."}
    assert get(server, f"/assets/{asset.asset_id}/").status_code == 200


def test_the_same_metadata_again_changes_nothing(server: Server, dandiset: Dandiset) -> None:
    dandiset.set_metadata({"name": "Other", "description": "x"})
    before = draft_of(server)
    dandiset.set_metadata({"name": "Other", "description": "x"})
    assert draft_of(server) == before
    assert before["name"] == "Other"


def test_modified_of_the_draft_may_be_set(server: Server, dandiset: Dandiset) -> None:
    dandiset.draft.modified = "2020-01-02T03:04:05Z"
    assert draft_of(server)["modified"] == "2020-01-02T03:04:05Z"


def test_a_zarr_under_rewriting_has_no_digest_while_the_draft_stays_valid(server: Server, dandiset: Dandiset) -> None:
    zarr = dandiset.add_zarr("x.zarr", size=250, checksum="bb8a411ae7a7059a8683bf4b4f431ad2-5--250")
    asset = dandiset.add_asset("x.zarr", zarr=zarr)
    before = draft_of(server)
    zarr.status = "Pending"
    record = get(server, f"/assets/{asset.asset_id}/info/").json()
    assert record["size"] == 0
    assert record["metadata"]["digest"] == {"dandi:dandi-zarr-checksum": None}
    assert draft_of(server) == before
    assert before["status"] == "Valid"
