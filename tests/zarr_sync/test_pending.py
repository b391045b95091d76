"""A Zarr that has to wait."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Dandiset, Request, Zarr
from dandi_mirror.mirror.sync import zarr_listing
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest
from tests.support.dandisets import kinds
from tests.support.zarr_sync import OTHER, PATH, asked, commit_of, gitlinks, manifests, own_bucket
from tests.support.zarrs import SMALL, a_zarr, change, finish


@pytest.mark.quick
@pytest.mark.parametrize("status", ["Pending", "Uploaded", "Ingesting"])
def test_a_zarr_that_a_client_is_changing_stays_as_it_was_and_the_next_run_completes_it(
    zarr: Zarr, mirror: MirrorOfTest, status: str
) -> None:
    mirror.sync()
    before = mirror.refs()
    zarr.files["arr/0/0"] = b"new"
    zarr.change(status)
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (3, [(FindingKind.PENDING, PATH)])
    assert status in report.findings[0].reason
    assert mirror.refs() == before
    finish(zarr)
    assert mirror.sync().exit_code == 0
    assert gitlinks(mirror) == {PATH: commit_of(zarr)}


def test_a_new_zarr_without_a_checksum_is_named_and_the_others_go_on(
    dandiset: Dandiset, zarr: Zarr, mirror: MirrorOfTest
) -> None:
    waiting = dandiset.add_zarr(OTHER, files=SMALL)
    dandiset.add_asset(OTHER, zarr=waiting)
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (3, [(FindingKind.PENDING, OTHER)])
    assert gitlinks(mirror) == {PATH: commit_of(zarr)}
    assert [record["path"] for record in mirror.records() if "zarr" in str(record["path"])] == [PATH]
    finish(waiting)
    assert mirror.sync().exit_code == 0
    assert set(gitlinks(mirror)) == {PATH, OTHER}


@pytest.mark.parametrize("by", ["bucket", "API"])
def test_entries_that_do_not_fit_the_checksum_are_not_believed(
    archive: Archive, zarr: Zarr, mirror: MirrorOfTest, by: str
) -> None:
    own_bucket(archive).lists = by == "bucket"
    mirror.sync()
    before = mirror.refs()
    change(zarr, {"arr/2": b"more"})
    change(zarr, {"arr/3": b"more"}, finalized=False)
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (3, [(FindingKind.PENDING, PATH)])
    assert "checksum" in report.findings[0].reason
    assert gitlinks(mirror) == {PATH: before and gitlinks(mirror)[PATH]}
    assert len(manifests(mirror, zarr)) == 1
    assert list((mirror.path / "zarr").rglob("*.tmp*")) == []
    change(zarr, {"arr/3": None}, finalized=False)
    assert mirror.sync().exit_code == 0
    assert gitlinks(mirror) == {PATH: commit_of(zarr)}


def test_a_zarr_that_changes_while_it_is_listed_is_listed_again(zarr: Zarr, mirror: MirrorOfTest) -> None:
    changes = iter([b"1", b"2"])

    def change_it(request: Request) -> Response | None:
        if "versions" in request.query and (content := next(changes, None)):
            change(zarr, {"arr/0/0": content})
        return None

    mirror.server.intercept = change_it
    assert mirror.sync().exit_code == 0
    assert gitlinks(mirror) == {PATH: commit_of(zarr)}
    assert asked(mirror.server).count("bucket") == 3


def test_a_zarr_that_changes_whenever_it_is_listed_waits(zarr: Zarr, mirror: MirrorOfTest) -> None:
    def change_it(request: Request) -> Response | None:
        if "versions" in request.query:
            change(zarr, {"arr/0/0": str(len(mirror.server.requests)).encode()})
        return None

    mirror.server.intercept = change_it
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (3, [(FindingKind.PENDING, PATH)])
    assert gitlinks(mirror) == {}
    assert asked(mirror.server).count("bucket") == zarr_listing.TRIES
    mirror.server.intercept = None
    assert mirror.sync().exit_code == 0


def test_a_bucket_that_does_not_answer_keeps_only_the_new_zarrs_waiting(
    zarr: Zarr, dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    mirror.sync()
    a_zarr(dandiset, OTHER)
    mirror.server.intercept = lambda request: Response(status_code=503) if "versions" in request.query else None
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (3, [(FindingKind.PENDING, OTHER)])
    assert gitlinks(mirror) == {PATH: commit_of(zarr)}
    mirror.server.intercept = None
    assert mirror.sync().exit_code == 0
    assert set(gitlinks(mirror)) == {PATH, OTHER}


def test_a_zarr_at_an_unsafe_path_is_refused(dandiset: Dandiset, zarr: Zarr, mirror: MirrorOfTest) -> None:
    bad = dandiset.add_zarr("bad", files=SMALL)
    bad.complete()
    dandiset.add_asset(".git/x.zarr", zarr=bad, metadata={}, unchecked=True)
    dandiset.add_asset("-x.zarr", zarr=bad, metadata={}, unchecked=True)
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (
        3,
        [(FindingKind.REFUSED, "-x.zarr"), (FindingKind.REFUSED, ".git/x.zarr")],
    )
    assert gitlinks(mirror) == {PATH: commit_of(zarr)}
    assert sum(path.startswith(".dandi/refused/") for path in mirror.tree()) == 2


def test_entries_that_may_not_reach_git_are_named_and_the_zarr_is_mirrored(
    dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    zarr = a_zarr(dandiset, PATH, {**SMALL, ".git/config": b"[core]", "a\nb": b"1"})
    report = mirror.sync()
    named = [(FindingKind.REFUSED, f"{PATH}/.git/config"), (FindingKind.REFUSED, f"{PATH}/a\nb")]
    assert (report.exit_code, kinds(report)) == (3, named)
    assert gitlinks(mirror) == {PATH: commit_of(zarr)}
    # they are still named when something else has changed
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    assert kinds(mirror.sync()) == named


def test_some_of_many_refused_entries_are_named_and_the_others_counted(
    dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    a_zarr(dandiset, PATH, {f".git/{number:03}": b"1" for number in range(50)} | SMALL)
    report = mirror.sync()
    assert len(report.findings) == 21
    assert any(found.path == PATH and found.reason.startswith("30 more") for found in report.findings)
