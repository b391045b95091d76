"""What a sync cannot take."""

from __future__ import annotations

import json

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Request
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest
from tests.support.dandisets import kinds, seed


@pytest.mark.quick
def test_an_asset_without_sha256_is_pending_and_the_next_run_completes_it(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    late = archive.add_blob(b"late", sha256_known=False)
    dandiset.add_asset("late.nwb", late)
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (3, [(FindingKind.PENDING, "late.nwb")])
    assert len(mirror.asset_paths()) == 3
    archive.compute_sha256(late)  # moves no timestamp
    report = mirror.sync()
    assert (report.exit_code, report.added) == (0, 1)
    assert "late.nwb" in mirror.asset_paths()


def test_a_mirrored_file_whose_replacement_is_pending_stays_as_it_was(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.sync()
    path = "sub-0/sub-0_ses-1_ecephys.nwb"
    before = mirror.keys(), mirror.records()
    late = archive.add_blob(b"late", sha256_known=False)
    dandiset.replace_asset(path, late)
    report = mirror.sync()
    assert kinds(report) == [(FindingKind.PENDING, path)]
    assert (mirror.keys(), mirror.records()) == before
    archive.compute_sha256(late)
    assert mirror.sync().changed == 1


def test_a_text_that_does_not_come_stays_a_link_and_holds_its_version_back(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    text = archive.add_blob(b"a\tb\n")
    dandiset.add_asset("table.tsv", text)
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")

    def broken(request: Request) -> Response | None:
        return Response("other bytes") if "/blobs/" in request.path else None

    mirror.server.intercept = broken
    report = mirror.sync()
    assert report.exit_code == 3
    assert {finding.kind for finding in report.findings} == {FindingKind.TEXT, FindingKind.HELD}
    assert "refs/tags/0.240101.0000" not in mirror.refs()
    assert mirror.tree()["table.tsv"][0] == b"120000"
    mirror.server.intercept = None
    report = mirror.sync()
    assert (report.exit_code, report.tags) == (0, ["0.240101.0000"])
    assert mirror.git("show", "draft:table.tsv") == "a\tb"


def test_a_zarr_without_a_checksum_is_named_and_the_others_go_on(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.add_asset("x.zarr", zarr=dandiset.add_zarr("x.zarr"))
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (3, [(FindingKind.PENDING, "x.zarr")])
    assert len(mirror.asset_paths()) == 3


def test_a_refused_asset_is_kept_as_a_link_with_its_record_and_reason(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    asset = dandiset.add_asset(".git/config", archive.add_blob(b"[core]\n"), metadata={}, unchecked=True)
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (3, [(FindingKind.REFUSED, ".git/config")])
    assert len(mirror.asset_paths()) == 3
    name = f".dandi/refused/{asset.asset_id}"
    assert len(mirror.urls(mirror.keys()[name])) == 2
    facts = json.loads(mirror.git("show", f"draft:{name}.json"))
    assert facts["path"] == ".git/config"
    assert "git's own" in facts["reason"]
    assert facts["record"]["asset_id"] == asset.asset_id
