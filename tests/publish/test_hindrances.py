"""What stands in the way of a publication; release notes and hosts of content."""

from __future__ import annotations

from pathlib import Path

from dandi_mirror.embedded import Archive, Dandiset, Request
from tests.conftest import MirrorOfTest, run
from tests.support.terminal import on_terminal


def posts(mirror: MirrorOfTest) -> list[Request]:
    return [request for request in mirror.server.requests if request.method == "POST"]


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


def test_while_the_archive_validates_a_terminal_says_what_is_waited_for(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    late = archive.add_blob(b"late", sha256_known=False)
    mine.add_asset("late.dat", late)
    mine.draft.status = "Valid"
    where = ("-d", str(mirror.path), "-i", mirror.server.api_url)
    with on_terminal("publish", "000123", "--yes", *where, env=token) as terminal:
        terminal.wait_for("000123 waiting until the archive has validated the draft")
        archive.compute_sha256(late)
        assert terminal.end() == 0
    assert next(line for line in terminal.lines if line).endswith("is published and mirrored")


def test_what_no_validation_changes_is_not_waited_for(
    mine: Dandiset, archive: Archive, mirror: MirrorOfTest, token: dict[str, str]
) -> None:
    mine.add_asset("late.dat", archive.add_blob(b"late", sha256_known=False))
    mine.draft.validation_errors = [{"field": "", "message": "'license' is a required property"}]
    mine.draft.status = "Invalid"
    said = mirror.cli("publish", "000123", "--yes", "--wait", "1h", env=token, code=3).stderr
    assert "its record: 'license' is a required property" in said and "still validates 1 of its files" in said
    mine.add_asset("x.zarr", zarr=mine.add_zarr("x.zarr", size=3, checksum=f"{'0' * 32}-1--3"))
    mine.draft.status = "Validating"
    assert "has a Zarr (x.zarr)" in mirror.cli("publish", "000123", "-n", "--wait", "1h", env=token, code=3).stderr


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
    entry = {"asset_id": archive.new_id(), "path": "sub-9/far.nwb", "size": 5, "created": "2024-01-01T00:00:00Z"}
    metadata = {"path": "sub-9/far.nwb", "contentSize": 5, "digest": {"dandi:sha2-256": sha256}}
    metadata |= {"contentUrl": ["https://data.example.org/blobs/far"], "schemaKey": "Asset"}
    blob = archive.add_blob_record(5, sha256)
    mine.add_asset(entry=entry | {"modified": entry["created"], "metadata": metadata}, blob=blob, verbatim=True)
    mirror.path.mkdir()
    (mirror.path / "dandi-mirror.toml").write_text('content-hosts = ["data.example.org"]\n')
    mirror.cli("sync", "000123")
    done = mirror.cli("publish", "000123", "--yes", env=token)
    assert "data.example.org" not in done.stderr and "url" not in done.stderr
    assert "https://data.example.org/blobs/far" in mirror.urls(mirror.keys()["sub-9/far.nwb"])
