"""Versions and draft of one Dandiset, as git sees them."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
import yaml

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest
from tests.support import reading
from tests.support.dandisets import seed


@pytest.mark.quick
def test_a_published_version_becomes_an_annotated_tag_on_a_commit_without_parents(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    seed(archive).publish("0.240101.0000", created="2024-01-01T00:00:05.123456Z")
    report = mirror.sync()
    assert report.tags == ["0.240101.0000"]
    tag = reading.tag(mirror.path / "000123", "0.240101.0000")
    assert reading.history(mirror.path / "000123", "0.240101.0000") == {tag.commit: ()}
    dates = mirror.git("log", "-1", "--format=%ad %cd", "--date=raw", "0.240101.0000")
    assert dates == "1704067205 +0000 1704067205 +0000"
    assert "DOI: 10.48324/dandi.000123/0.240101.0000" in tag.message


def test_the_draft_has_the_versions_as_parents_oldest_first_by_creation_not_by_name(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240102.0001", created="2024-01-02T00:00:00Z")
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    dandiset.publish("0.240102.0000", created="2024-01-02T00:00:30Z")
    mirror.sync()
    folder = mirror.path / "000123"
    tags = [reading.tag(folder, version).commit for version in ("0.240102.0001", "0.240102.0000")]
    draft = mirror.refs()["refs/heads/draft"]
    assert reading.history(folder, "draft")[draft] == tuple(tags)


@pytest.mark.quick
def test_a_second_run_makes_two_requests_starts_no_git_and_makes_no_commit(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive).publish()
    mirror.sync()
    before = mirror.refs()
    mirror.server.requests.clear()
    # a git and a git-annex that leave a trace when they are started
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in ("git", "git-annex", "datalad"):
        (shims / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
        (shims / name).chmod(0o755)
    done = mirror.cli("sync", "000123", env={"PATH": str(shims)})
    assert (done.stdout, done.stderr) == ("", "")
    assert [request.path for request in mirror.server.requests] == ["/api/info/", "/api/dandisets/000123/"]
    assert not (tmp_path / "started").exists()
    assert mirror.refs() == before


def test_nothing_is_committed_when_only_a_timestamp_moved(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.sync()
    before = mirror.refs()
    dandiset.draft.modified = "2030-01-01T00:00:00Z"
    assert mirror.sync().status == "notneeded"
    assert mirror.refs() == before


def test_a_change_is_a_child_of_the_draft_before_it(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    first = mirror.sync().commit
    dandiset.replace_asset("sub-0/sub-0_ses-1_ecephys.nwb", archive.add_blob(b"other"))
    dandiset.rename_asset("sub-1/sub-1_ses-1_ecephys.nwb", "sub-1/sub-1_ses-2_ecephys.nwb")
    dandiset.delete_asset("sub-2/sub-2_ses-1_ecephys.nwb")
    report = mirror.sync()
    assert (report.added, report.changed, report.removed) == (1, 1, 2)
    assert mirror.git("rev-list", "--parents", "-1", "draft").split()[1:] == [first]
    assert mirror.asset_paths() == ["sub-0/sub-0_ses-1_ecephys.nwb", "sub-1/sub-1_ses-2_ecephys.nwb"]
    assert mirror.git("status", "--porcelain") == ""


def test_a_version_published_later_is_tagged_and_merged_without_listing_the_older_one(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    mirror.sync()
    dandiset.add_asset("new.nwb", archive.add_blob(b"new"))
    dandiset.publish("0.240202.0000", created="2024-02-02T00:00:00Z")
    mirror.server.requests.clear()
    assert mirror.sync().tags == ["0.240202.0000"]
    assert not [request for request in mirror.server.requests if "0.240101.0000" in request.path]
    assert mirror.git("rev-parse", "0.240202.0000^{commit}") in mirror.git("rev-list", "draft")


def test_the_tree_holds_the_record_the_links_and_the_asset_records(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.sync()
    dandiset = yaml.safe_load(mirror.git("show", "draft:dandiset.yaml"))
    assert dandiset["identifier"] == "DANDI:000123"
    assert json.loads(mirror.git("show", "draft:dandiset.yaml")) == dandiset
    assert "manifestLocation" not in dandiset
    record = mirror.records()[0]
    assert record["path"] == "sub-0/sub-0_ses-1_ecephys.nwb"
    assert "modified" not in record
    assert "contentUrl" not in record["metadata"]
    config = mirror.git("config", "--blob", "draft:.datalad/config", "datalad.dataset.id")
    assert config == str(uuid.uuid5(uuid.NAMESPACE_URL, "https://identifiers.org/DANDI:000123"))


def test_no_content_is_downloaded_but_small_text(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.add_asset("dataset_description.json", archive.add_blob(b'{"Name": "x"}\n'))
    mirror.sync()
    fetched = [request.path for request in mirror.server.requests if "/blobs/" in request.path]
    assert len(fetched) == 1
    assert mirror.git("show", "draft:dataset_description.json") == '{"Name": "x"}'
    mirror.server.requests.clear()
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    mirror.sync()
    assert not [request.path for request in mirror.server.requests if "/blobs/" in request.path]
