"""Equal in every mirror; mirrors of the release before; repositories; many."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset, Zarr, generated_zarr, generated_zarrs, serve
from dandi_mirror.mirror.sync import zarr_listing
from dandi_mirror.mirror.zarr.repository import ZarrRepositories
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import kinds
from tests.support.zarr_sync import OTHER, PATH, asked, commit_of, gitlinks, modules, own_bucket
from tests.support.zarrs import SMALL, a_zarr, change, rewrite

SIZES = {"small.zarr": 4, "large.zarr": 5}
"""Zarrs of so many entries."""


@pytest.mark.parametrize("entries", [5, 4500])
def test_the_commit_does_not_depend_on_bucket_versions_times_pages_jobs_or_who_listed(
    tmp_path: Path, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number, lists in enumerate([True, True, False]):
        archive = Archive(instance_name="DANDI")
        dandiset = archive.create_dandiset("000123", name="A test", created="2024-01-01T00:00:00Z")
        zarr = generated_zarr(dandiset, PATH, entries, seed="equal")
        if number == 1:
            rewrite(zarr, list(zarr.files)[:50])
            monkeypatch.setattr(zarr_listing, "AT_ONCE", 1)
            monkeypatch.setattr("dandi_mirror.archive.bucket.listing.PAGES_EACH", 1)
        own_bucket(archive).lists = lists
        with serve(archive) as server:
            mirror = MirrorOfTest(tmp_path / str(number), server)
            assert mirror.sync().exit_code == 0
            found.append((gitlinks(mirror), modules(mirror)))
    assert found[0] == found[1] == found[2]


def test_a_mirror_of_the_release_before_gains_gitlinks_only(
    archive: Archive, dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z")
    zarr = dandiset.add_zarr(PATH, files=SMALL)
    dandiset.add_asset(PATH, zarr=zarr)
    mirror.cli("sync", "000123", code=3)
    zarr.complete()
    before, tree = mirror.refs(), mirror.tree()
    as_the_release_before(mirror)
    done = mirror.cli("sync", "--all")
    assert "000123" in done.stdout
    after = mirror.refs()
    tag = "refs/tags/0.240101.0000"
    assert (after[tag], gitlinks(mirror)) == (before[tag], {PATH: commit_of(zarr)})
    assert mirror.git("rev-list", "--count", "draft~1..draft") == "1"
    new = {path: entry for path, entry in mirror.tree().items() if tree.get(path) != entry}
    assert set(new) == {PATH, ".gitmodules", ".dandi/assets.jsonl"}


def as_the_release_before(mirror: MirrorOfTest) -> None:
    """The index is that of the release before, which named Zarrs and left them out."""
    own = mirror.path / "000123" / ".git" / "dandi-mirror-sync.json"
    facts = json.loads(own.read_text())
    for finding in facts["findings"]:
        finding["kind"], finding["reason"] = "zarr", "a Zarr: not mirrored by this release"
    del facts["zarrs"], facts["zarr_totals"]
    own.write_text(json.dumps(facts | {"schema": 3}))
    (mirror.path / ".dandi-mirror" / "index.sqlite").unlink()


@pytest.mark.parametrize(
    ("setting", "written"),
    [
        ('repositories = "none"', []),
        ("small-entries = 4", ["small.zarr"]),
        ('repositories = "small"', ["large.zarr", "small.zarr"]),
        ('repositories = "all"\nsmall-entries = 1', ["large.zarr", "small.zarr"]),
    ],
)
def test_a_sync_writes_the_repositories_that_the_settings_name(
    dandiset: Dandiset, mirror: MirrorOfTest, setting: str, written: list[str]
) -> None:
    zarrs = {name: a_zarr(dandiset, name, {str(n): b"%d" % n for n in range(count)}) for name, count in SIZES.items()}
    mirror.path.mkdir()
    (mirror.path / "dandi-mirror.toml").write_text(f"[zarr]\n{setting}\n")
    mirror.cli("sync", "000123")
    places = {name: ZarrRepositories(mirror.path).path(zarr.zarr_id).path for name, zarr in zarrs.items()}
    assert sorted(name for name, place in places.items() if place.exists()) == written
    assert gitlinks(mirror) == {name: commit_of(zarr) for name, zarr in zarrs.items()}
    for name in written:
        assert run("git", "-C", str(places[name]), "rev-parse", "draft").stdout.strip() == commit_of(zarrs[name])
    # a state that comes later follows the same setting
    change(zarrs["small.zarr"], {"0": b"new"})
    mirror.cli("sync", "000123")
    assert places["small.zarr"].exists() == ("small.zarr" in written)


def test_a_persons_edits_stay_while_zarrs_come_and_change(zarr: Zarr, dandiset: Dandiset, mirror: MirrorOfTest) -> None:
    mirror.sync()
    folder = mirror.path / "000123"
    (folder / "notes.txt").write_text("mine")
    (folder / PATH / "mine").write_text("in the empty folder")
    change(zarr, {"arr/0/0": b"new"})
    a_zarr(dandiset, OTHER)
    assert mirror.sync().exit_code == 0
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / PATH / "mine").read_text() == "in the empty folder"
    assert (folder / OTHER).is_dir()


def test_a_zarr_in_the_place_of_a_persons_file_leaves_the_work_tree_alone(
    dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    mirror.sync()
    mine = mirror.path / "000123" / PATH
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    zarr = a_zarr(dandiset, PATH)
    report = mirror.sync()
    assert gitlinks(mirror) == {PATH: commit_of(zarr)}
    assert mine.read_text() == "mine"
    assert kinds(report) in ([], [(FindingKind.WORKTREE, "")])


def test_many_zarrs_cost_a_request_for_a_thousand_when_nothing_has_changed(
    dandiset: Dandiset, mirror: MirrorOfTest
) -> None:
    generated_zarrs(dandiset, 1500, 1)
    assert mirror.sync().exit_code == 0
    asked(mirror.server)
    for arguments in (["--all"], ["000123"]):
        mirror.cli("sync", *arguments)
        assert asked(mirror.server)[2:] == ["zarr/", "zarr/"]


def test_of_many_dandisets_with_zarrs_all_are_asked_for_at_once(archive: Archive, mirror: MirrorOfTest) -> None:
    for number in range(10):
        a_zarr(archive.create_dandiset(f"{number + 1:06}", name="A test"), PATH)
    mirror.cli("sync", "--all")
    asked(mirror.server)
    mirror.cli("sync", "--all")
    assert asked(mirror.server) == ["info/", "dandisets/", "zarr/"]
    change(next(iter(archive.zarrs.values())), {"new": b"1"})
    assert "000001" in mirror.cli("sync", "--all").stdout
