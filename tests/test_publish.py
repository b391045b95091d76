"""Publishing: what stands in the way is said before, the DOI is waited for, and every mirror makes the same tag."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from dandi_mirror.embedded import Archive, Dandiset, Request
from dandi_mirror.embedded.store.versions import Version
from dandi_mirror.model import Kind
from tests.conftest import MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.proxy import Exchange, proxy_of
from tests.support.running import sync
from tests.support.uploading import mine, token

__all__ = ["mine", "token"]

WAITS = "not tagged: it waits for its DOI"


def posts(mirror: MirrorOfTest) -> list[Request]:
    return [request for request in mirror.server.requests if request.method == "POST"]


def fresh(mirror: MirrorOfTest, folder: Path) -> dict[str, str]:
    """The tags of a mirror that is made now."""
    other = MirrorOfTest(folder, mirror.server)
    other.sync()
    return tags(other)


def tags(mirror: MirrorOfTest) -> dict[str, str]:
    return {ref: oid for ref, oid in mirror.refs().items() if ref.startswith("refs/tags/")}


# --- what stands in the way ---------------------------------------------------------------------------------


def test_files_that_the_archive_still_validates_are_waited_for_though_it_calls_the_draft_valid(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    late = archive.add_blob(b"late", sha256_known=False)
    mine.add_asset("late.dat", late)
    mine.draft.status = "Valid"
    for way in ("-n", "--yes"):
        said = mirror.cli("publish", "000123", way, "--wait", "0.2", env=token, code=3).stderr
        assert "still validates 1 of its files (one is late.dat)" in said
        assert "--wait 30m" in said and "could be published" not in said
    assert posts(mirror) == [], "the archive is not asked for what it would refuse"
    looks = iter(range(10))

    def validate(request: Request) -> None:
        if request.path.endswith("/draft/info/") and next(looks) == 1:
            archive.compute_sha256(late)

    mirror.server.intercept = validate
    done = mirror.cli("publish", "000123", "--yes", "--wait", "60", env=token)
    assert "is published and mirrored" in done.stdout
    assert len(posts(mirror)) == 1


def test_a_file_that_is_not_valid_is_named_though_the_draft_is_called_valid(
    mine: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    asset = next(iter(mine.draft))
    errors = [{"field": "encodingFormat", "message": "5 is not valid", "path": asset.path}]

    def info(request: Request) -> object:
        from starlette.responses import JSONResponse

        if not request.path.endswith("/draft/info/"):
            return None
        return JSONResponse({"status": "Valid", "asset_validation_errors": errors, "version_validation_errors": []})

    mirror.server.intercept = info  # type: ignore[assignment]
    said = mirror.cli("publish", "000123", "-n", env=token, code=3).stderr
    assert f"{asset.path}: encodingFormat: 5 is not valid; correct the file" in said


def test_a_dandiset_that_once_had_a_zarr_is_not_offered_for_publishing(
    mine: Dandiset, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    mine.add_asset("sub-1/old.zarr", zarr=mine.add_zarr("sub-1/old.zarr", size=3, checksum=f"{'0' * 32}-1--3"))
    mine.delete_asset("sub-1/old.zarr")
    for way in ("-n", "--yes"):
        said = mirror.cli("publish", "000123", way, env=token, code=3).stderr
        assert "has a Zarr (sub-1/old.zarr)" in said and "ever had one" in said
    assert posts(mirror) == []


# --- release notes, hosts of content ------------------------------------------------------------------------


def test_release_notes_are_published_and_are_no_change_of_the_draft_afterwards(
    mine: Dandiset, mirror: MirrorOfTest, token: dict[str, str], tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("x" * 5001)
    for wrong, words in ((f"@{notes}", "5,001 letters"), ("@/nowhere", "No such file")):
        assert words in mirror.cli("publish", "000123", "--yes", "--notes", wrong, env=token, code=2).stderr
    assert posts(mirror) == []
    notes.write_text("Erste Version: Grüße\n")
    mirror.cli("publish", "000123", "--yes", "--notes", f"@{notes}", env=token)
    (version,) = mine.published
    assert version.release_notes == "Erste Version: Grüße"
    assert '"releaseNotes": "Erste Version: Grüße"' in mirror.git("show", f"{version.version}:dandiset.yaml")
    for looked in (["log", "000123"], ["diff", f"000123@{version.version}..draft"]):
        assert "releaseNotes" not in run("dandi-mirror", *looked, "-d", str(mirror.path)).stdout


def test_publishing_knows_the_hosts_of_content_that_the_settings_name(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    sha256 = "ab" * 32
    row = {"asset_id": archive.new_id(), "path": "sub-9/far.nwb", "size": 5, "created": "2024-01-01T00:00:00Z"}
    metadata = {"path": "sub-9/far.nwb", "contentSize": 5, "digest": {"dandi:sha2-256": sha256}}
    metadata |= {"contentUrl": ["https://data.example.org/blobs/far"], "schemaKey": "Asset"}
    blob = archive.add_blob_record(5, sha256)
    mine.add_asset(row=row | {"modified": row["created"], "metadata": metadata}, blob=blob, verbatim=True)
    mirror.path.mkdir()
    (mirror.path / "dandi-mirror.toml").write_text('content-hosts = ["data.example.org"]\n')
    mirror.cli("sync", "000123")
    done = mirror.cli("publish", "000123", "--yes", env=token)
    assert "data.example.org" not in done.stderr and "url" not in done.stderr
    assert "https://data.example.org/blobs/far" in mirror.urls(mirror.keys()["sub-9/far.nwb"])


# --- the DOI comes after the version ------------------------------------------------------------------------


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
            (Kind.HELD, version.version, WAITS)
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


# --- a draft that is validated for hours --------------------------------------------------------------------


def test_a_draft_whose_validation_moves_its_time_and_no_row_is_mirrored_while_that_goes_on(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    lock = threading.Lock()

    def validating(request: Request) -> None:
        with lock:
            mine.draft.modified = archive.now()
            mine.draft.status = "Validating"

    mirror.server.intercept = validating
    report = mirror.sync()
    assert (report.exit_code, report.added) == (0, 3), report.message
    mine.add_asset("new.dat", archive.add_blob(b"new"))
    assert mirror.sync().added == 1, "also where little is read"
    assert mirror.asset_paths() == sorted(asset.path for asset in mine.draft)
    head = mirror.refs()["refs/heads/draft"]
    mirror.sync()
    assert mirror.refs()["refs/heads/draft"] == head, "and nothing is committed where nothing changed"


def test_a_draft_whose_record_changes_while_it_is_read_is_read_again(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    names = iter(["Another name"])

    def editing(request: Request) -> None:
        if request.path.endswith("/draft/assets/") and (name := next(names, "")):
            mine.set_metadata(dict(mine.draft.given) | {"name": name})

    mirror.server.intercept = editing
    assert mirror.sync().exit_code == 0
    assert "Another name" in mirror.git("show", "draft:dandiset.yaml")
