"""Archives with different histories, each mirrored: what a verification must find nothing wrong in."""

from __future__ import annotations

from collections.abc import Callable

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import participant
from tests.support.two_versions import FIRST, SECOND, seeded
from tests.support.zarrs import a_zarr, change, in_parts

History = Callable[[Archive, MirrorOfTest], None]
VERSION = "0.240101.0000"


def two_versions_in_one_run(archive: Archive, mirror: MirrorOfTest) -> None:
    seeded(archive)
    mirror.cli("sync", "000123")


def a_run_for_each_change(archive: Archive, mirror: MirrorOfTest) -> None:
    made = archive.create_dandiset("000123")
    for number in range(4):
        made.add_asset(f"sub-{number}/a.nwb", archive.add_blob(b"%d" % number), metadata=participant(f"m{number}"))
        mirror.cli("sync", "000123")
    made.publish(VERSION, created="2024-01-01T00:00:00Z")
    mirror.cli("sync", "000123")
    made.delete_asset("sub-0/a.nwb")
    made.replace_asset("sub-1/a.nwb", archive.add_blob(b"other"), participant("m1"))
    made.rename_asset("sub-2/a.nwb", "sub-2/b.nwb")
    mirror.cli("sync", "000123")


def an_empty_draft(archive: Archive, mirror: MirrorOfTest) -> None:
    archive.create_dandiset("000123")
    mirror.cli("sync", "000123")


def text_files_and_odd_names(archive: Archive, mirror: MirrorOfTest) -> None:
    made = archive.create_dandiset("000123")
    for path in ("README", "dataset_description.json", "sub-1/a b.nwb", "a b/c+d.tar.gz", "x.tsv"):
        made.add_asset(path, archive.add_blob(path.encode()))
    mirror.cli("sync", "000123")


def refused_and_pending_assets(archive: Archive, mirror: MirrorOfTest) -> None:
    made = archive.create_dandiset("000123")
    made.add_asset("a.nwb", archive.add_blob(b"a"))
    made.add_asset("x/.git/hooks", archive.add_blob(b"refused"))
    made.add_asset("later.nwb", archive.add_blob(b"later", sha256_known=False))
    mirror.cli("sync", "000123", code=3)


def only_published_versions(archive: Archive, mirror: MirrorOfTest) -> None:
    seeded(archive)
    mirror.cli("sync", "000123", "--versions", "published")


def only_the_latest_version(archive: Archive, mirror: MirrorOfTest) -> None:
    seeded(archive)
    mirror.cli("sync", "000123", "--versions", "latest")


def many_dandisets(archive: Archive, mirror: MirrorOfTest) -> None:
    for number in range(5):
        made = archive.create_dandiset(f"00010{number}")
        made.add_asset("a.nwb", archive.add_blob(b"%d" % number))
        if number % 2:
            made.publish(VERSION, created="2024-01-01T00:00:00Z")
    mirror.cli("sync", "--all")


def content_that_is_here(archive: Archive, mirror: MirrorOfTest) -> None:
    seeded(archive)
    mirror.cli("sync", "000123", "--get", "*.nwb")


def records_in_many_files(archive: Archive, mirror: MirrorOfTest) -> None:
    made = archive.create_dandiset("000123")
    for number in range(900):
        made.add_asset(f"sub-{number}/a.nwb", archive.add_blob(b"%d" % number), metadata=participant(f"m{number}"))
    mirror.cli("sync", "000123")


def a_zarr_with_two_states(archive: Archive, mirror: MirrorOfTest) -> None:
    made = archive.create_dandiset("000123")
    made.publish(VERSION, created="2024-01-01T00:00:00Z")
    zarr = a_zarr(made, "sub-1/x.ome.zarr")
    a_zarr(made, "sub-1/y.ome.zarr", files={"0": in_parts(b"y" * 3000), "a/.git/config": b"refused"})
    mirror.cli("sync", "000123", code=3)
    change(zarr, {"arr/0/0": b"changed"})
    mirror.cli("sync", "000123", code=3)


def a_zarr_that_was_got_and_then_changed(archive: Archive, mirror: MirrorOfTest) -> None:
    zarr = a_zarr(archive.create_dandiset("000123"), "sub-1/x.ome.zarr")
    mirror.cli("sync", "000123")
    run("dandi-mirror", "get", "sub-1/x.ome.zarr", cwd=mirror.path / "000123")
    change(zarr, {"arr/0/0": b"changed", "arr/new": b"new"})
    mirror.cli("sync", "000123")


def zarrs_without_repositories(archive: Archive, mirror: MirrorOfTest) -> None:
    mirror.path.mkdir()
    (mirror.path / "dandi-mirror.toml").write_text('[zarr]\nrepositories = "none"\n')
    made = archive.create_dandiset("000123")
    zarr = a_zarr(made, "sub-1/x.ome.zarr")
    mirror.cli("sync", "000123")
    made.delete_asset("sub-1/x.ome.zarr")
    made.add_asset("sub-1/z.ome.zarr", zarr=zarr)
    mirror.cli("sync", "000123", "--allow-deletes")


def a_zarr_that_came_and_went(archive: Archive, mirror: MirrorOfTest) -> None:
    made = archive.create_dandiset("000123")
    made.add_asset("a.nwb", archive.add_blob(b"a"))
    a_zarr(made, "sub-1/x.ome.zarr")
    mirror.cli("sync", "000123")
    made.delete_asset("sub-1/x.ome.zarr")
    mirror.cli("sync", "000123")


def a_zarr_whose_bucket_cannot_be_listed(archive: Archive, mirror: MirrorOfTest) -> None:
    archive.own_bucket.lists = False
    a_zarr(archive.create_dandiset("000123"), "sub-1/x.ome.zarr")
    mirror.cli("sync", "000123")


def a_lost_index(archive: Archive, mirror: MirrorOfTest) -> None:
    seeded(archive)
    mirror.cli("sync", "000123")
    (mirror.path / ".dandi-mirror/index.sqlite").unlink()
    mirror.cli("sync", "000123")


def a_version_that_vanished_and_came_back(archive: Archive, mirror: MirrorOfTest) -> None:
    made = seeded(archive)
    mirror.cli("sync", "000123")
    version = made.versions.pop(SECOND)
    mirror.cli("sync", "000123", "--mode", "verify")
    made.versions[SECOND] = version
    mirror.cli("sync", "000123", "--mode", "verify")


def a_repaired_mirror(archive: Archive, mirror: MirrorOfTest) -> None:
    seeded(archive)
    mirror.cli("sync", "000123")
    mirror.git("tag", "-d", FIRST)
    mirror.git("update-ref", "-d", "refs/heads/git-annex")
    mirror.cli("verify", "--repair")


def packed_by_git_gc(archive: Archive, mirror: MirrorOfTest) -> None:
    seeded(archive)
    mirror.cli("sync", "000123", "--get", "*.nwb")
    mirror.git("gc", "--quiet", "--prune=now")
    mirror.git("annex", "fsck", "--quiet")


def content_dropped_and_got_by_stock_git_annex(archive: Archive, mirror: MirrorOfTest) -> None:
    seeded(archive)
    mirror.cli("sync", "000123", "--get", "*.nwb")
    mirror.git("annex", "drop", "--quiet", "--force", ".")
    mirror.git("annex", "get", "--quiet", "sub-2")


HISTORIES: dict[str, History] = {
    history.__name__.replace("_", " "): history
    for history in (
        two_versions_in_one_run, a_run_for_each_change, an_empty_draft, text_files_and_odd_names,
        refused_and_pending_assets, only_published_versions, only_the_latest_version, many_dandisets,
        content_that_is_here, records_in_many_files, a_zarr_with_two_states, a_zarr_that_was_got_and_then_changed,
        zarrs_without_repositories, a_zarr_that_came_and_went, a_zarr_whose_bucket_cannot_be_listed, a_lost_index,
        a_version_that_vanished_and_came_back, a_repaired_mirror, packed_by_git_gc,
        content_dropped_and_got_by_stock_git_annex,
    )
}  # fmt: skip
