"""The DOI of a version comes after the version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.embedded.store.versions import Version
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest
from tests.support.credentials import TOKEN
from tests.support.proxy import Exchange, proxy_of
from tests.support.running import sync

WAITS = "not tagged: it waits for its DOI"


def fresh(mirror: MirrorOfTest, folder: Path) -> dict[str, str]:
    """The tags of a mirror that is made now."""
    other = MirrorOfTest(folder, mirror.server)
    other.sync()
    return tags(other)


def tags(mirror: MirrorOfTest) -> dict[str, str]:
    return {ref: oid for ref, oid in mirror.refs().items() if ref.startswith("refs/tags/")}


def test_publishing_waits_for_the_doi_and_tags_what_every_other_mirror_tags(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    archive.doi_seconds = 2.0
    done = mirror.cli("publish", "000123", "--yes", env=token)
    (version,) = mine.published
    assert f"https://doi.org/{version.doi}" in done.stdout
    assert f"DOI: {version.doi}" in mirror.git("cat-file", "tag", version.version)
    assert tags(mirror) == fresh(mirror, tmp_path / "fresh")
    assert mirror.sync(mode="verify").exit_code == 0


def test_a_version_whose_doi_fails_is_published_named_and_tagged_by_the_sync_that_finds_it(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    archive.doi_seconds = None
    done = mirror.cli("publish", "000123", "--yes", "--wait", "1", env=token, code=3)
    (version,) = mine.published
    assert f"000123@{version.version} is published\n" in done.stdout
    assert f"held  {version.version}  {WAITS}" in done.stderr
    for _ in range(2):
        report = mirror.sync()
        assert [(found.kind, found.version, found.reason) for found in report.findings] == [
            (FindingKind.HELD, version.version, WAITS)
        ]
        assert (report.exit_code, tags(mirror)) == (3, {})
    assert WAITS in mirror.cli("status", "000123", code=3).stdout
    listed = f"/versions/{version.version}/assets/"
    assert not [r for r in mirror.server.requests if listed in r.path], "its assets are not listed in vain"
    version.mint_doi()
    assert mirror.sync().tags == [version.version]
    assert tags(mirror) == fresh(mirror, tmp_path / "fresh")
    assert "up to date" in mirror.cli("status", "000123").stdout


def test_mirrors_that_sync_at_any_moment_of_a_publication_agree_in_the_tag(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    archive.jobs.delay, archive.doi_seconds = None, None
    made: list[MirrorOfTest] = []

    def moment() -> None:
        made.append(MirrorOfTest(tmp_path / str(len(made)), mirror.server))
        for one in made:
            one.sync()

    moment()
    url = f"{mirror.server.api_url}/dandisets/000123/versions/draft/publish/"
    assert requests.post(url, headers={"Authorization": f"token {TOKEN}"}, timeout=10).status_code == 202
    moment()  # Publishing
    archive.jobs.settle()
    (version,) = mine.published
    assert "doi" not in version.metadata
    before = [asset.record() for asset in version]
    moment()  # the version is there, the draft is Published, DataCite has not answered
    assert [tags(one) for one in made] == [{}, {}, {}]
    version.mint_doi()
    assert [asset.record() for asset in version] == before, "the DOI changes no asset"
    moment()
    assert len({tuple(tags(one).values()) for one in made}) == 1
    assert [list(tags(one)) for one in made] == [[f"refs/tags/{version.version}"]] * 4
    assert [one.sync(mode="verify").exit_code for one in made] == [0] * 4


@pytest.mark.parametrize(("days", "tagged"), [(0, False), (29.9, False), (30.1, True), (3000, True)])
def test_a_version_without_a_doi_is_tagged_as_it_stands_when_it_is_older_than_30_days(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, days: float, tagged: bool
) -> None:
    archive.doi_seconds = None
    _published(mine, datetime.now(UTC) - timedelta(days=days))
    assert mirror.sync().tags == (["0.240101.0000"] if tagged else [])


def test_an_archive_that_mints_no_dois_has_its_versions_tagged_at_once(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    archive.doi_prefix, archive.doi_seconds = "", None
    _published(mine, datetime.now(UTC))
    assert mirror.sync().tags == ["0.240101.0000"]


def test_the_archives_clock_says_how_old_a_version_is_not_the_mirrors(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    archive.doi_seconds = None
    _published(mine, datetime(2019, 12, 20, tzinfo=UTC))

    def earlier(asked: Exchange) -> None:
        _, body = asked.answer()
        asked.send("200 OK", body, date="Wed, 25 Dec 2019 00:00:00 GMT")

    with proxy_of(mirror.server) as proxy:
        archive.at(proxy.origin)
        proxy.choose = lambda asked: earlier if asked.path.startswith("/api/") else None
        ran = sync(mirror.path, proxy.api_url, "000123")
        assert ran.said("000123").endswith(WAITS)
        proxy.choose = lambda asked: None
        assert sync(mirror.path, proxy.api_url, "000123").records["000123"]["tags"] == ["0.240101.0000"]


def _published(dandiset: Dandiset, created: datetime) -> Version:
    return dandiset.publish("0.240101.0000", created=created)
