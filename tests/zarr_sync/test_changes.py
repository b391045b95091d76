"""A Zarr that changes, and from where it is listed."""

from __future__ import annotations

from contextlib import closing

import pytest

from dandi_mirror.archive.api.client import ArchiveClient as Client
from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Archive, Dandiset, Zarr, generated_zarrs
from dandi_mirror.mirror.monitor.status import status_of
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync.dandiset import Task, sync_one
from dandi_mirror.mirror.sync.permissions import mode_of, zarr_folders
from tests.conftest import IMPATIENT, MirrorOfTest
from tests.support.credentials import TOKEN
from tests.support.zarr_sync import OTHER, PATH, asked, commit_of, gitlinks, manifests, modules, own_bucket
from tests.support.zarrs import SMALL, a_zarr, change, rewrite


@pytest.mark.quick
def test_a_zarr_that_changes_in_place_gets_a_new_state_and_the_old_manifest_stays(
    zarr: Zarr, dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    other = a_zarr(dandiset, OTHER)
    mirror.sync()
    old = zarr.checksum
    asked(mirror.server)
    change(zarr, {"arr/0/0": b"new", "arr/1 a/0": None})
    report = mirror.sync()
    assert (report.added, report.changed, report.removed) == (0, 1, 0)
    assert asked(mirror.server).count("bucket") == 1, "the other one is not listed again"
    assert gitlinks(mirror) == {PATH: commit_of(zarr), OTHER: commit_of(other)}
    assert manifests(mirror, zarr) == sorted([str(old), str(zarr.checksum)])
    changed = set(mirror.git("diff", "--name-only", "draft~1", "draft").split())
    assert changed == {".dandi/assets.jsonl", ".gitmodules", "dandiset.yaml", PATH}
    assert mirror.git("status", "--porcelain") == ""


def test_a_change_that_only_the_list_of_zarrs_shows_is_seen(
    zarr: Zarr, dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    mirror.cli("sync", "000123")
    modified = dandiset.draft.modified
    change(zarr, {"arr/0/0": b"new"})
    for asset in dandiset.draft:
        if asset.zarr is zarr:
            asset.modified = asset.created
    dandiset.draft.modified = modified
    mirror.cli("sync")
    assert gitlinks(mirror) == {PATH: commit_of(zarr)}


def test_the_same_bytes_sent_again_change_nothing(zarr: Zarr, mirror: MirrorOfTest) -> None:
    mirror.sync()
    before = mirror.refs()
    rewrite(zarr)
    asked(mirror.server)
    assert mirror.sync().status == "notneeded"
    assert mirror.refs() == before
    assert "bucket" not in asked(mirror.server)


def test_a_state_that_comes_back_is_not_listed_again(zarr: Zarr, mirror: MirrorOfTest) -> None:
    mirror.sync()
    first = gitlinks(mirror)
    change(zarr, {"arr/0/0": b"new"})
    mirror.sync()
    change(zarr, {"arr/0/0": SMALL["arr/0/0"]})
    asked(mirror.server)
    mirror.sync()
    assert gitlinks(mirror) == first
    assert "bucket" not in asked(mirror.server)


def test_zarrs_are_renamed_removed_and_take_the_place_of_files(
    zarr: Zarr, dandiset: Dandiset, archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset.add_asset("swap", archive.add_blob(b"a file"))
    mirror.sync()
    dandiset.rename_asset(PATH, "moved.zarr")
    dandiset.delete_asset("swap")
    swapped = a_zarr(dandiset, "swap", {"0": b"1"})
    mirror.sync()
    assert gitlinks(mirror) == {"moved.zarr": commit_of(zarr), "swap": commit_of(swapped)}
    assert mirror.git("status", "--porcelain") == ""
    dandiset.delete_asset("moved.zarr")
    dandiset.delete_asset("swap")
    dandiset.add_asset("swap", archive.add_blob(b"a file"))
    mirror.sync()
    assert gitlinks(mirror) == {}
    assert ".gitmodules" not in mirror.tree()
    assert mirror.git("status", "--porcelain") == ""
    assert manifests(mirror, zarr) == [zarr.checksum]


def test_a_mass_deletion_of_zarrs_is_refused_until_it_is_meant(dandiset: Dandiset, mirror: MirrorOfTest) -> None:
    zarrs = generated_zarrs(dandiset, 30, 2)
    mirror.sync()
    before = mirror.refs()
    for zarr in zarrs[:25]:
        dandiset.delete_asset(zarr.name)
    report = mirror.sync()
    assert (report.exit_code, mirror.refs()) == (3, before)
    assert "25 of 33 mirrored assets" in report.message
    assert mirror.sync(allow_deletes=True).removed == 25


def test_zarrs_that_only_move_are_no_mass_deletion(dandiset: Dandiset, mirror: MirrorOfTest) -> None:
    zarrs = generated_zarrs(dandiset, 30, 2)
    mirror.sync()
    for zarr in zarrs:
        dandiset.rename_asset(zarr.name, f"new/{zarr.name}")
    report = mirror.sync()
    assert (report.exit_code, report.added, report.removed) == (0, 30, 30)


def test_a_version_that_holds_a_zarr_is_tagged_and_keeps_its_state(
    zarr: Zarr, dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    report = mirror.sync()
    assert (report.exit_code, report.tags) == (0, ["0.240101.0000"])
    first = commit_of(zarr)
    assert gitlinks(mirror, "0.240101.0000") == {PATH: first}
    assert modules(mirror, "0.240101.0000") == {PATH: (zarr.zarr_id, zarr.checksum)}


def test_where_the_bucket_cannot_be_listed_the_api_is_asked_and_status_says_so(
    archive: Archive, zarr: Zarr, dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    a_zarr(dandiset, OTHER)
    own_bucket(archive).lists = False
    report = mirror.sync()
    assert (report.exit_code, set(gitlinks(mirror))) == (0, {PATH, OTHER})
    assert asked(mirror.server).count("bucket") == 1
    assert {entry.version_id for entry in Mirror(mirror.path).manifests.read(zarr.zarr_id, str(zarr.checksum))} == {
        None
    }
    assert status_of(Mirror(mirror.path), "000123", None).unversioned == 2


def test_an_embargoed_zarr_is_listed_by_the_api_only(
    archive: Archive, zarr: Zarr, dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    dandiset.owners.append("me@example.org")
    dandiset.set_embargo("EMBARGOED")
    with closing(Session(mirror.server.api_url, TOKEN, IMPATIENT)) as session:
        task = Task("000123", Options(embargoed=True))
        report = sync_one(Client(session), Mirror(mirror.path), task)
        assert (report.exit_code, gitlinks(mirror)) == (0, {PATH: commit_of(zarr)})
        paths = asked(mirror.server)
        assert "bucket" not in paths and f"zarr/{zarr.zarr_id}/files/" in paths
        folders = zarr_folders(mirror.path, zarr.zarr_id)
        assert not any(mode_of(folder) & 0o007 for folder in folders), "others must not read it"
        assert all(map(mode_of, folders))
        # and once it is open, its state is known
        dandiset.set_embargo("OPEN")
        assert sync_one(Client(session), Mirror(mirror.path), task).exit_code == 0
        assert {mode_of(folder) & 0o007 for folder in folders} == {mode_of(mirror.path) & 0o005}
    assert gitlinks(mirror) == {PATH: commit_of(zarr)}
    assert "bucket" not in asked(mirror.server)
