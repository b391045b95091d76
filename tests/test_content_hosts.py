"""Content at a host of the archive's own: what a sync says of it, and what a change of ``content-hosts`` does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest, run

HOST = "data.example.org"
FAR, OLD = f"https://{HOST}/blobs/far", f"https://{HOST}/blobs/old"
REASON = (
    f"host {HOST} is not known to serve this archive's content; if it does, add it to content-hosts in "
    "dandi-mirror.toml"
)
VERSION = "0.240101.0000"


def add(archive: Archive, dandiset: Dandiset, path: str, url: str, digest: str) -> None:
    entry = {"asset_id": archive.new_id(), "path": path, "size": 5, "created": "2024-01-01T00:00:00Z"}
    metadata: dict[str, Any] = {"path": path, "contentSize": 5, "digest": {"dandi:sha2-256": digest * 32}}
    metadata |= {"contentUrl": [url], "schemaKey": "Asset"}
    blob = archive.add_blob_record(5, digest * 32)
    dandiset.add_asset(entry=entry | {"modified": entry["created"], "metadata": metadata}, blob=blob, verbatim=True)


@pytest.fixture
def far(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """An empty mirror of a draft and a version with content at ``HOST``; only the version has ``old.nwb``."""
    dandiset = archive.create_dandiset("000123", name="A test")
    add(archive, dandiset, "far.nwb", FAR, "ab")
    add(archive, dandiset, "old.nwb", OLD, "cd")
    dandiset.publish(VERSION, created="2024-01-01T00:00:00Z")
    dandiset.delete_asset("old.nwb")
    return mirror


def known(mirror: MirrorOfTest) -> set[str]:
    """The URLs at ``HOST`` that git-annex knows for the files of the version."""
    return {url for key in mirror.keys(VERSION).values() for url in mirror.urls(key) if HOST in url}


def test_a_finding_names_the_host_that_is_not_known_and_the_setting_that_would_name_it(far: MirrorOfTest) -> None:
    done = far.cli("sync", "000123", code=3)
    assert REASON in done.stderr
    assert known(far) == set()
    status = run("dandi-mirror", "status", "-d", str(far.path), "-f", "json", code=None).stdout
    assert REASON in json.loads(status.splitlines()[0])["findings"][0]["reason"]


@pytest.mark.parametrize("versions", ["all", "published"])
def test_a_host_that_the_settings_name_after_the_first_sync_counts_at_the_next_one(
    far: MirrorOfTest, versions: str
) -> None:
    report = far.sync(versions=versions)
    assert {(finding.kind, finding.reason) for finding in report.findings} == {("url", REASON)}
    before = far.refs()
    report = far.sync(versions=versions, hosts=frozenset({HOST}))
    assert (report.exit_code, report.findings) == (0, [])
    assert known(far) == {FAR, OLD}
    changed = {ref for ref, oid in far.refs().items() if before[ref] != oid}
    assert changed == {"refs/heads/git-annex"}, "the content of no commit depends on the setting"
    far.server.requests.clear()
    assert far.sync(versions=versions, hosts=frozenset({HOST})).exit_code == 0
    assert not [request for request in far.server.requests if request.path.endswith("/assets/")]


def test_a_host_that_the_settings_name_no_longer_serves_nothing_after_the_next_sync(far: MirrorOfTest) -> None:
    far.sync(hosts=frozenset({HOST}))
    assert known(far) == {FAR, OLD}
    report = far.sync()
    assert REASON in {finding.reason for finding in report.findings}
    assert known(far) == set()
    assert far.sync(hosts=frozenset({HOST})).findings == []
    assert known(far) == {FAR, OLD}


def test_a_run_over_all_dandisets_reads_again_what_was_mirrored_with_other_content_hosts(far: MirrorOfTest) -> None:
    far.cli("sync", "--all", code=3)
    (far.path / "dandi-mirror.toml").write_text(f'content-hosts = ["{HOST}"]\n')
    far.cli("sync", "--all")
    assert known(far) == {FAR, OLD}
    far.server.requests.clear()
    far.cli("sync", "--all")
    assert not [request for request in far.server.requests if request.path.endswith("/assets/")]


def test_a_draft_of_which_little_changed_still_names_the_unknown_host(far: MirrorOfTest, archive: Archive) -> None:
    far.sync()
    archive.dandisets["000123"].add_asset("new.nwb", archive.add_blob(b"new"))
    report = far.sync()
    assert report.added == 1
    assert [(finding.path, finding.reason) for finding in report.findings if finding.version == "draft"] == [
        ("far.nwb", REASON)
    ]
