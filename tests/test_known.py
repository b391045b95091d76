"""A change of a large draft costs its change, and gives what reading everything would give."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset, Refused, Server
from tests.conftest import MirrorOfTest
from tests.support.dandisets import participant


def large(archive: Archive, files: int = 300) -> Dandiset:
    dandiset = archive.create_dandiset("000123", name="A test")
    prose = "word " * 400  # so that the records fill several parts
    for number in range(files):
        metadata = participant(f"m{number // 10}") | {"description": prose}
        path = f"sub-{number // 10}/sub-{number // 10}_ses-{number}.nwb"
        dandiset.add_asset(path, archive.add_blob(f"content {number}".encode()), metadata=metadata)
    return dandiset


def whole_listings(server: Server) -> int:
    """How often a page of the draft was asked for with all its metadata."""
    pages = [request for request in server.requests if request.path.endswith("/versions/draft/assets/")]
    return len([page for page in pages if "metadata" in page.params and page.params["page_size"] == "1000"])


def test_a_change_is_read_without_the_metadata_of_what_has_not_changed(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset = large(archive)
    mirror.sync()
    parts = [path for path in mirror.tree() if path.startswith(".dandi/assets/")]
    assert len(parts) > 3
    dandiset.replace_asset("sub-0/sub-0_ses-0.nwb", archive.add_blob(b"other"))
    dandiset.delete_asset("sub-1/sub-1_ses-10.nwb")
    dandiset.rename_asset("sub-2/sub-2_ses-20.nwb", "sub-2/moved.nwb")
    mirror.server.requests.clear()
    report = mirror.sync()
    assert (report.added, report.changed, report.removed) == (1, 1, 2)
    assert whole_listings(mirror.server) == 0
    fresh = MirrorOfTest(tmp_path / "fresh", mirror.server)
    fresh.sync()
    assert fresh.git("rev-parse", "draft^{tree}") == mirror.git("rev-parse", "draft^{tree}")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
def test_any_sequence_of_changes_gives_the_refs_of_a_mirror_that_reads_everything(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, seed: int
) -> None:
    choose = random.Random(seed)
    dandiset = large(archive, 60)
    whole = MirrorOfTest(tmp_path / "whole", mirror.server)
    for step in range(8):
        for _ in range(choose.randrange(1, 8)):
            change(archive, dandiset, choose, step)
        reports = [mirror.sync(allow_deletes=True), whole.sync(mode="force", allow_deletes=True)]
        assert reports[0].findings == reports[1].findings
        assert mirror.git("rev-parse", "draft") == whole.git("rev-parse", "draft")
        assert mirror.git("rev-parse", "git-annex") == whole.git("rev-parse", "git-annex")
        assert mirror.git("status", "--porcelain") == ""


def change(archive: Archive, dandiset: Dandiset, choose: random.Random, step: int) -> None:
    """One of the things that can happen to a draft."""
    paths = [asset.path for asset in dandiset.draft]
    path = choose.choice(paths)
    content = archive.add_blob(choose.randbytes(8), sha256_known=choose.random() > 0.2)
    new = f"new-{step}-{choose.randrange(1000)}"
    what = choose.randrange(9)
    try:
        if what == 0:
            dandiset.add_asset(f"{new}.nwb", content, metadata=participant("new"))
        elif what == 1:
            dandiset.replace_asset(path, content)
        elif what == 2:
            dandiset.replace_asset(path, metadata=participant("changed"))  # the same content under a new id
        elif what == 3:
            dandiset.rename_asset(path, f"{new}.nwb")
        elif what == 4 and len(paths) > 30:
            dandiset.delete_asset(path)
        elif what == 5:
            dandiset.add_asset(f"{new}.json", archive.add_blob(b'{"a": %d}\n' % step))
        elif what == 6:
            dandiset.add_asset(f".git/{new}", content, unchecked=True)
        elif what == 7:
            dandiset.add_asset(f"{path}/below", content, unchecked=True)  # a file that is a folder, too
        else:
            late = [asset.blob for asset in dandiset.draft if asset.blob and not asset.blob.sha256]
            for blob in late:
                archive.compute_sha256(blob)
    except Refused:
        pass


def test_a_version_published_of_known_assets_is_tagged_as_by_a_mirror_made_afresh(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset = large(archive, 30)
    mirror.sync()
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    mirror.sync()
    fresh = MirrorOfTest(tmp_path / "fresh", mirror.server)
    fresh.sync()
    assert fresh.refs()["refs/tags/0.240101.0000"] == mirror.refs()["refs/tags/0.240101.0000"]
    assert fresh.git("rev-parse", "draft^{tree}") == mirror.git("rev-parse", "draft^{tree}")


def test_what_is_known_can_be_spoilt_or_deleted_at_any_time(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = large(archive, 30)
    mirror.sync()
    known = mirror.path / ".dandi-mirror" / "known" / "000123.sqlite"
    for spoil in (lambda: known.write_bytes(b"not a database"), known.unlink):
        assert known.exists()
        spoil()
        dandiset.replace_asset("sub-0/sub-0_ses-0.nwb", archive.add_blob(str(spoil).encode()))
        mirror.server.requests.clear()
        assert mirror.sync().changed == 1
        assert whole_listings(mirror.server) == 1


def test_a_record_that_changed_behind_its_timestamp_is_found_by_force(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = large(archive, 30)
    mirror.sync()
    asset = dandiset.draft.asset_at("sub-0/sub-0_ses-0.nwb")
    other = dandiset.draft.asset_at("sub-1/sub-1_ses-10.nwb")
    assert asset
    assert other
    entry = {
        "asset_id": asset.asset_id, "blob": asset.blob.blob_id if asset.blob else "", "zarr": None, "path": asset.path,
        "size": asset.size, "created": asset.created.isoformat(), "modified": asset.modified.isoformat(),
        "metadata": {"digest": {"dandi:sha2-256": asset.blob.sha256 if asset.blob else ""}, "changed": True},
    }  # fmt: skip
    dandiset.delete_asset(asset.path)
    dandiset.add_asset(entry=entry)
    assert mirror.sync().changed == 0, "the archive says that it is as it was"
    mirror.sync(mode="force")
    assert mirror.records()[0]["metadata"]["changed"] is True
