"""What the archive may do to a mirror."""

from __future__ import annotations

from contextlib import closing

import pytest
from starlette.responses import JSONResponse, Response

from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Archive, Request
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest
from tests.support.dandisets import seed


@pytest.mark.quick
def test_a_mass_deletion_is_refused_until_it_is_meant(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive, files=50)
    mirror.sync()
    before = mirror.refs()
    for number in range(30):
        dandiset.delete_asset(f"sub-{number}/sub-{number}_ses-1_ecephys.nwb")
    report = mirror.sync()
    assert (report.status, report.exit_code) == ("error", 3)
    assert "--allow-deletes" in report.message
    assert mirror.refs() == before
    assert mirror.sync(allow_deletes=True).removed == 30


@pytest.mark.quick
def test_an_outage_that_answers_200_with_nothing_deletes_nothing(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive, files=5).draft.modified = "2024-01-01T00:00:00Z"
    mirror.sync()
    before = mirror.refs()

    def empty(request: Request) -> Response | None:
        if not request.path.endswith("/assets/"):
            return None
        return JSONResponse({"count": 0, "next": None, "previous": None, "results": []})

    mirror.server.intercept = empty
    report = mirror.sync(mode="force")
    assert (report.status, report.exit_code) == ("error", 5)
    assert mirror.refs() == before


@pytest.mark.quick
def test_404_403_and_503_are_three_different_things_and_none_is_a_deletion(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    seed(archive)
    mirror.sync()
    before = mirror.refs()
    for status, code in ((404, 3), (403, 4), (401, 4), (503, 5)):
        mirror.server.intercept = lambda request, status=status: (
            JSONResponse({"detail": "no"}, status) if "/dandisets/" in request.path else None
        )
        report = mirror.sync(mode="force")
        assert report.exit_code == code, report.message
        assert str(status) in report.message
    assert mirror.refs() == before


def test_a_listing_that_changes_while_it_is_read_is_read_again(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive, files=6)
    changes = iter([4, 5])

    def deleting(request: Request) -> None:
        if request.path.endswith("/versions/draft/assets/") and (number := next(changes, None)):
            dandiset.delete_asset(f"sub-{number}/sub-{number}_ses-1_ecephys.nwb")

    mirror.server.intercept = deleting
    report = mirror.sync()
    assert (report.status, report.added) == ("ok", 4)
    assert len(mirror.asset_paths()) == 4


def test_a_listing_that_never_holds_still_is_left_to_the_next_run(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive, files=6)
    mirror.sync()
    before = mirror.refs()
    numbers = iter(range(100))

    def adding(request: Request) -> None:
        if request.path.endswith("/versions/draft/assets/"):
            dandiset.add_asset(f"x{next(numbers)}.nwb", archive.add_blob(b"x"))

    mirror.server.intercept = adding
    report = mirror.sync(mode="force")
    assert report.exit_code == 5
    assert "next run" in report.message
    assert mirror.refs() == before


@pytest.mark.quick
def test_an_embargoed_dandiset_is_not_mirrored(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive).set_embargo("EMBARGOED")
    report = mirror.sync()
    assert report.exit_code == 4
    assert "without an API key: dandi-mirror login" in report.message
    assert not mirror.path.exists()


def test_a_version_that_vanished_keeps_its_tag_and_is_named(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    mirror.sync()
    before = mirror.refs()
    dandiset.delete_version("0.240101.0000")
    report = mirror.sync()
    assert [(finding.kind, finding.version) for finding in report.findings] == [(FindingKind.VANISHED, "0.240101.0000")]
    assert mirror.refs() == before


def test_a_newest_version_that_is_missing_in_the_list_of_versions_is_named(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    seed(archive).publish("0.240101.0000", created="2024-01-01T00:00:00Z")

    with closing(Session(mirror.server.api_url)) as session:
        entry = session.get("/dandisets/000123/")
    assert isinstance(entry, dict)
    only_the_draft = {"count": 1, "next": None, "previous": None, "results": [entry["draft_version"]]}
    mirror.server.intercept = lambda request: (
        JSONResponse(only_the_draft) if request.path.endswith("/000123/versions/") else None
    )
    for _ in range(2):
        report = mirror.sync()
        assert [(finding.kind, finding.version) for finding in report.findings] == [(FindingKind.HELD, "0.240101.0000")]
        assert (report.exit_code, report.tags) == (3, [])
    mirror.server.intercept = None
    report = mirror.sync()
    assert (report.exit_code, report.findings, report.tags) == (0, [], ["0.240101.0000"])


@pytest.mark.quick
def test_a_version_that_now_answers_differently_is_an_alarm_and_its_tag_stays(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    mirror.sync()
    before = mirror.refs()
    assert mirror.sync(mode="verify").exit_code == 0
    assert mirror.refs() == before
    dandiset.versions["0.240101.0000"].given["name"] = "Another name"
    dandiset.forget()
    assert mirror.sync().exit_code == 0, "without verify, a tagged version is not read again"
    report = mirror.sync(mode="verify")
    assert report.exit_code == 7
    assert [(finding.kind, finding.version) for finding in report.findings] == [(FindingKind.ALARM, "0.240101.0000")]
    after = mirror.refs()
    answer = after.pop("refs/dandi-mirror/alarm/0.240101.0000")
    assert after == before
    assert "Another name" in mirror.git("diff", "0.240101.0000", answer), "what the archive says now can be looked at"
    assert mirror.sync().exit_code == 7, "an alarm stands when nothing is new"
    (mirror.path / ".dandi-mirror" / "index.sqlite").unlink()
    assert mirror.sync().exit_code == 7, "and when the memory is lost"
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    assert mirror.sync().exit_code == 7, "and when something is"
    dandiset.versions["0.240101.0000"].given["name"] = "A test"
    dandiset.forget()
    assert mirror.sync(mode="verify").exit_code == 0, "until a verification finds them of one mind"
