"""Every fault of the lists of a Zarr's files, at S3 and at the API: each ends as the table in ``docs/faults.md`` says.

No state comes by halves, and the next run completes it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Zarr, generated_zarr
from dandi_mirror.embedded.bucket.own import Bucket
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest
from tests.support.dandisets import kinds, seed
from tests.support.zarr_faults import API, S3, rewritten_in_the_middle, strike, wrong_counts
from tests.support.zarrs import a_zarr, change

PATH, OTHER = "sub-0/x.ome.zarr", "sub-1/y.ome.zarr"
LARGE = 2500
"""Entries: three pages."""
BY_API = {"refused", "no bucket", "is a web page", "explodes", "breaks off"}
"""What a bucket that cannot be listed does: the API is asked instead."""
HEADING = "## Lists of a Zarr's entries, by `sync`"


@pytest.fixture
def zarr(archive: Archive) -> Zarr:
    dandiset = seed(archive)
    a_zarr(dandiset, OTHER)
    return generated_zarr(dandiset, PATH, LARGE)


def table(place: str) -> dict[str, tuple[int, int, str]]:
    """Fault → the exit code if it stays, and if it comes once, and what is said; ``place`` is ``bucket`` or ``API``."""
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text().split(HEADING)[1].split("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    column = lines[0].index(place)
    found = {}
    for line in lines[2:]:
        if line[column] != "–":
            stays, once = map(int, line[column].split(", "))
            found[line[0]] = stays, once, line[column + 2].strip("`")
    return found


def test_the_page_has_every_fault() -> None:
    assert (set(table("bucket")), set(table("API"))) == (set(S3), set(API))


def states(mirror: MirrorOfTest, zarr: Zarr) -> list[str]:
    return Mirror(mirror.path).manifests.states(zarr.zarr_id)


def links(mirror: MirrorOfTest) -> set[str]:
    return {path for path, (mode, _) in mirror.tree().items() if mode == b"160000"}


@pytest.mark.parametrize("fault", S3)
def test_a_fault_of_the_bucket_that_stays_leads_to_the_api_or_lets_the_zarrs_wait(
    zarr: Zarr, mirror: MirrorOfTest, fault: str
) -> None:
    met = strike(mirror.server, fault)
    report = mirror.sync(zarr_repositories="none")
    assert met.struck
    code, _, says = table("bucket")[fault]
    assert report.exit_code == code
    assert code == 0 or any(says in found.reason for found in report.findings if found.path == PATH)
    if fault in BY_API:
        assert (report.exit_code, links(mirror)) == (0, {PATH, OTHER})
    else:
        assert report.exit_code == 3
        # a list of one page that ends early is complete
        waiting = {path for kind, path in kinds(report) if kind is FindingKind.PENDING}
        assert PATH in waiting and links(mirror) == {PATH, OTHER} - waiting
        assert states(mirror, zarr) == []
    mirror.server.rewrite = None
    assert mirror.sync(zarr_repositories="none").exit_code == 0
    assert (links(mirror), states(mirror, zarr)) == ({PATH, OTHER}, [zarr.checksum])


@pytest.mark.parametrize(("place", "fault"), [("bucket", fault) for fault in S3] + [("API", fault) for fault in API])
def test_a_fault_that_comes_once_delays_one_zarr_at_most(
    archive: Archive, zarr: Zarr, mirror: MirrorOfTest, place: str, fault: str
) -> None:
    assert isinstance(archive.bucket, Bucket)
    archive.bucket.lists = place == "bucket"
    met = strike(mirror.server, fault, times=1, api=place == "API")
    is_list = met.is_target
    met.is_target = lambda request: is_list(request) and zarr.zarr_id in f"{request.path}{request.query}"
    report = mirror.sync(zarr_repositories="none")
    assert met.struck
    assert report.exit_code == table(place)[fault][1]
    assert len(report.findings) <= 1
    assert mirror.sync(zarr_repositories="none").exit_code == 0
    assert states(mirror, zarr) == [zarr.checksum]


@pytest.mark.parametrize("fault", API)
def test_a_fault_of_the_api_that_stays_lets_the_zarrs_wait(
    archive: Archive, zarr: Zarr, mirror: MirrorOfTest, fault: str
) -> None:
    assert isinstance(archive.bucket, Bucket)
    archive.bucket.lists = False
    strike(mirror.server, fault, api=True)
    report = mirror.sync(zarr_repositories="none")
    code, _, says = table("API")[fault]
    assert (report.exit_code, states(mirror, zarr)) == (code, [])
    assert (FindingKind.PENDING, PATH) in kinds(report)
    assert any(says in found.reason for found in report.findings if found.path == PATH)
    mirror.server.rewrite = None
    assert mirror.sync(zarr_repositories="none").exit_code == 0
    assert links(mirror) == {PATH, OTHER}


def test_counts_that_do_not_fit_the_checksum_let_the_zarrs_wait(zarr: Zarr, mirror: MirrorOfTest) -> None:
    wrong_counts(mirror.server)
    report = mirror.sync(zarr_repositories="none")
    assert (report.exit_code, set(kinds(report))) == (3, {(FindingKind.PENDING, PATH), (FindingKind.PENDING, OTHER)})
    mirror.server.rewrite = None
    assert mirror.sync(zarr_repositories="none").exit_code == 0


@pytest.mark.parametrize("finalized", [True, False])
def test_a_zarr_that_is_rewritten_in_the_middle_of_its_list_is_never_a_mixture(
    zarr: Zarr, mirror: MirrorOfTest, finalized: bool
) -> None:
    first = str(zarr.checksum)
    paths = list(zarr.files)
    new = {paths[5]: b"early", paths[-5]: b"late"}
    rewritten_in_the_middle(mirror.server, zarr, lambda: change(zarr, new, finalized=finalized), after=2)
    report = mirror.sync(zarr_repositories="none")
    mirror.server.intercept = None
    if finalized:
        assert (report.exit_code, states(mirror, zarr)) == (0, [zarr.checksum])
        assert zarr.checksum != first
    else:
        assert (report.exit_code, kinds(report), states(mirror, zarr)) == (3, [(FindingKind.PENDING, PATH)], [])


@pytest.mark.parametrize("status", [403, 500, 503])
def test_without_the_list_of_zarrs_the_dandiset_is_not_synced_and_the_next_run_does_it(
    zarr: Zarr, mirror: MirrorOfTest, status: int
) -> None:
    from starlette.responses import Response

    mirror.server.intercept = lambda request: Response(status_code=status) if request.path == "/api/zarr/" else None
    report = mirror.sync(zarr_repositories="none")
    assert report.exit_code in {4, 5}
    assert not (mirror.path / "000123").exists() or "refs/heads/draft" not in mirror.refs()
    mirror.server.intercept = None
    assert mirror.sync(zarr_repositories="none").exit_code == 0
