"""What git-annex is told by a sync."""

from __future__ import annotations

import json
from pathlib import Path

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import participant, seed


def test_every_current_asset_has_its_s3_url_and_the_api_url_of_its_current_id(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    mirror.sync()
    dandiset.replace_asset("sub-0/sub-0_ses-1_ecephys.nwb")  # the same content under a new id
    mirror.sync()
    for asset in dandiset.draft:
        urls = mirror.urls(mirror.keys()[asset.path])
        assert f"{mirror.server.api_url}/assets/{asset.asset_id}/download/" in urls
        assert len([url for url in urls if "/blobs/" in url]) == 1
        assert len(urls) == 2, "the URL of an id that is no more is marked dead"


def test_the_url_of_a_published_assets_id_stays_alive_when_the_draft_moves_on(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive, files=1)
    dandiset.publish()
    path = "sub-0/sub-0_ses-1_ecephys.nwb"
    old = dandiset.draft.asset_at(path)
    assert old
    mirror.sync()
    dandiset.replace_asset(path)
    mirror.sync()
    assert f"{mirror.server.api_url}/assets/{old.asset_id}/download/" in mirror.urls(mirror.keys()[path])


def test_metadata_fields_can_be_searched_and_viewed(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.sync()
    found = mirror.git("annex", "find", "--not", "--in", "here", "--metadata", "subject=m1")
    assert found == "sub-1/sub-1_ses-1_ecephys.nwb"
    assert mirror.git("annex", "find", "--not", "--in", "here", "--metadata", "dandiset=000123").count("\n") == 2
    mirror.git("annex", "view", "sex=*", "subject=*")
    assert (mirror.path / "000123" / "Female" / "m2").is_dir()


def test_changed_metadata_replaces_the_archives_fields_and_keeps_a_persons_own(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive, files=1)
    mirror.sync()
    path = "sub-0/sub-0_ses-1_ecephys.nwb"
    mirror.git("annex", "metadata", f"--key={mirror.keys()[path]}", "-s", "seen=yes", "-s", "subject+=mine")
    dandiset.replace_asset(path, metadata=participant("renamed"))
    mirror.sync()
    said = json.loads(mirror.git("annex", "metadata", "--json", f"--key={mirror.keys()[path]}"))["fields"]
    assert sorted(said["subject"]) == ["mine", "renamed"]
    assert said["seen"] == ["yes"]


def test_a_clones_own_records_survive_a_sync(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    dandiset = seed(archive)
    mirror.sync()
    path = "sub-0/sub-0_ses-1_ecephys.nwb"
    key = mirror.keys()[path]
    clone = mirror.git_clone(tmp_path / "clone")
    run("git", "annex", "init", "-q", "lab", cwd=clone)
    lab = run("git", "config", "annex.uuid", cwd=clone).stdout.strip()
    run("git", "annex", "setpresentkey", key, lab, "1", cwd=clone)
    run("git", "annex", "registerurl", key, "http://lab.example.org/x", cwd=clone)
    # git-annex lets nothing be pushed from a clone until its owner has looked at the remote it enabled by itself
    run("git", "push", "-q", "--no-verify", "origin", "git-annex", cwd=clone)
    dandiset.replace_asset(path)
    mirror.sync()
    assert lab in mirror.git("annex", "whereis", f"--key={key}")
    assert "http://lab.example.org/x" in mirror.urls(key)
    run("git", "fetch", "-q", cwd=clone)
    run("git", "annex", "merge", "-q", cwd=clone)
    assert lab in run("git", "annex", "whereis", f"--key={key}", cwd=clone).stdout
