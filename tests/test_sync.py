"""What a sync makes of what the archive says."""

from __future__ import annotations

import json
import uuid
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from starlette.responses import JSONResponse, Response

from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Archive, Request, Server
from dandi_mirror.model import Kind
from tests.conftest import MirrorOfTest, run
from tests.support import reading
from tests.support.dandisets import kinds, participant, seed

# --- versions and draft ------------------------------------------------------------------------------------


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


# --- what git-annex is told --------------------------------------------------------------------------------


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
    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(mirror.path / "000123"), str(clone))
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


# --- what cannot be taken ----------------------------------------------------------------------------------


@pytest.mark.quick
def test_an_asset_without_sha256_is_pending_and_the_next_run_completes_it(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    late = archive.add_blob(b"late", sha256_known=False)
    dandiset.add_asset("late.nwb", late)
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (3, [(Kind.PENDING, "late.nwb")])
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
    assert kinds(report) == [(Kind.PENDING, path)]
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
    assert {finding.kind for finding in report.findings} == {Kind.TEXT, Kind.HELD}
    assert "refs/tags/0.240101.0000" not in mirror.refs()
    assert mirror.tree()["table.tsv"][0] == b"120000"
    mirror.server.intercept = None
    report = mirror.sync()
    assert (report.exit_code, report.tags) == (0, ["0.240101.0000"])
    assert mirror.git("show", "draft:table.tsv") == "a\tb"


def test_a_zarr_is_named_and_the_others_go_on(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.add_asset("x.zarr", zarr=dandiset.add_zarr("x.zarr"))
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (3, [(Kind.ZARR, "x.zarr")])
    assert len(mirror.asset_paths()) == 3


def test_a_refused_asset_is_kept_as_a_link_with_its_record_and_reason(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    asset = dandiset.add_asset(".git/config", archive.add_blob(b"[core]\n"), metadata={}, unchecked=True)
    report = mirror.sync()
    assert (report.exit_code, kinds(report)) == (3, [(Kind.REFUSED, ".git/config")])
    assert len(mirror.asset_paths()) == 3
    name = f".dandi/refused/{asset.asset_id}"
    assert len(mirror.urls(mirror.keys()[name])) == 2
    facts = json.loads(mirror.git("show", f"draft:{name}.json"))
    assert facts["path"] == ".git/config"
    assert "git's own" in facts["reason"]
    assert facts["record"]["asset_id"] == asset.asset_id


# --- what the archive may do to a mirror -------------------------------------------------------------------


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
    assert [(finding.kind, finding.version) for finding in report.findings] == [(Kind.VANISHED, "0.240101.0000")]
    assert mirror.refs() == before


def test_a_newest_version_that_is_missing_in_the_list_of_versions_is_named(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    seed(archive).publish("0.240101.0000", created="2024-01-01T00:00:00Z")

    with closing(Session(mirror.server.api_url)) as session:
        row = session.get("/dandisets/000123/")
    assert isinstance(row, dict)
    only_the_draft = {"count": 1, "next": None, "previous": None, "results": [row["draft_version"]]}
    mirror.server.intercept = lambda request: (
        JSONResponse(only_the_draft) if request.path.endswith("/000123/versions/") else None
    )
    for _ in range(2):
        report = mirror.sync()
        assert [(finding.kind, finding.version) for finding in report.findings] == [(Kind.HELD, "0.240101.0000")]
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
    assert [(finding.kind, finding.version) for finding in report.findings] == [(Kind.ALARM, "0.240101.0000")]
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


# --- how it is asked for -----------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    report = mirror.sync(dry_run=True)
    assert (report.added, report.tags) == (4, ["0.240101.0000"])
    assert not mirror.path.exists()
    assert not [request for request in mirror.server.requests if "/blobs/" in request.path]


def test_versions_published_follows_the_newest_version_on_a_branch_of_its_own(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    dandiset.add_asset("draft-only.nwb", archive.add_blob(b"x"))
    mirror.sync(versions="published")
    assert "refs/heads/draft" not in mirror.refs()
    assert len(mirror.asset_paths("published")) == 3
    dandiset.publish("0.240202.0000", created="2024-02-02T00:00:00Z")
    assert mirror.sync(versions="published").tags == ["0.240202.0000"]
    assert len(mirror.asset_paths("HEAD")) == 4
    assert mirror.sync(versions="published").status == "notneeded"


def test_a_version_that_has_to_wait_is_not_on_the_branch_of_published_versions(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    dandiset.add_asset("table.tsv", archive.add_blob(b"a\tb\n"))
    dandiset.publish("0.240202.0000", created="2024-02-02T00:00:00Z")
    mirror.server.intercept = lambda request: Response("gone", 404) if "/blobs/" in request.path else None
    report = mirror.sync(versions="published")
    assert (report.exit_code, report.tags) == (3, ["0.240101.0000"])
    assert "table.tsv" not in mirror.asset_paths("published")
    mirror.server.intercept = None
    assert mirror.sync(versions="published").tags == ["0.240202.0000"]
    assert "table.tsv" in mirror.asset_paths("published")


def test_versions_latest_and_draft_take_what_they_say(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    dandiset.add_asset("b.nwb", archive.add_blob(b"b"))
    dandiset.publish("0.240202.0000", created="2024-02-02T00:00:00Z")
    assert mirror.sync(versions="latest").tags == ["0.240202.0000"]
    other = MirrorOfTest(tmp_path / "other", mirror.server)
    assert other.sync(versions="draft").tags == []
    assert len(other.asset_paths()) == 4
    assert other.sync(versions="all").tags == ["0.240101.0000", "0.240202.0000"]


def test_a_deleted_index_is_rebuilt_and_changes_nothing(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive).publish()
    mirror.sync()
    before = mirror.refs()
    (mirror.path / ".dandi-mirror" / "index.sqlite").write_bytes(b"not a database")
    assert mirror.sync().status == "notneeded"
    assert mirror.refs() == before
    mirror.server.requests.clear()
    mirror.sync()
    assert len(mirror.server.requests) == 2


def test_the_server_moving_its_bucket_gives_new_urls_and_marks_the_old_ones_dead(
    archive: Archive, server: Server, mirror: MirrorOfTest
) -> None:
    dandiset = archive.create_dandiset("000123", name="A test")
    bucket = "https://dandiarchive.s3.amazonaws.com"
    asset = dandiset.add_asset("a.nwb", archive.add_blob(b"a"))
    row = {
        "asset_id": asset.asset_id, "blob": asset.blob.blob_id if asset.blob else "", "zarr": None, "path": "a.nwb",
        "size": 1, "created": "2024-01-01T00:00:00Z", "modified": "2024-01-01T00:00:00Z",
    }  # fmt: skip
    dandiset.delete_asset("a.nwb")
    digest = {"dandi:sha2-256": asset.blob.sha256 if asset.blob else ""}
    dandiset.add_asset(row=row | {"metadata": {"contentUrl": [f"{bucket}/blobs/a"], "digest": digest}}, verbatim=True)
    mirror.sync()
    key = mirror.keys()["a.nwb"]
    assert f"{bucket}/blobs/a" in mirror.urls(key)
    dandiset.delete_asset("a.nwb")
    moved = "https://dandiarchive.s3.us-east-2.amazonaws.com/blobs/a"
    dandiset.add_asset(row=row | {"metadata": {"contentUrl": [moved], "digest": digest}}, verbatim=True)
    draft = mirror.git("rev-parse", "draft")
    mirror.sync()
    assert mirror.urls(key) == {moved, f"{server.api_url}/assets/{asset.asset_id}/download/"}
    assert mirror.git("rev-parse", "draft") == draft, "where the bucket is hosted is no fact of the draft"
