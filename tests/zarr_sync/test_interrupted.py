"""A sync of Zarrs that ends early."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from dandi_mirror.archive.api.client import ArchiveClient as Client
from dandi_mirror.archive.bucket.listing import AT_ONCE
from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Archive, Dandiset, Request, Zarr, generated_zarr, generated_zarrs
from dandi_mirror.embedded.bucket.contents import size_of
from dandi_mirror.mirror.monitor.status import status_of
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync import zarr_listing
from dandi_mirror.mirror.sync.dandiset import Task, sync_one
from dandi_mirror.text import human_size
from tests.conftest import IMPATIENT, MirrorOfTest
from tests.support.zarr_sync import FILES, OTHER, PATH, asked, commit_of, gitlinks, manifests, own_bucket
from tests.support.zarrs import SMALL, a_zarr, change


def sync_until(mirror: MirrorOfTest, until: float | None, **options: Any) -> Any:
    with closing(Session(mirror.server.api_url, policy=IMPATIENT)) as session:
        return sync_one(Client(session), Mirror(mirror.path), Task("000123", Options(**options), until=until))


def test_at_the_time_limit_what_was_listed_stays_and_the_next_run_goes_on(
    dandiset: Dandiset, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    zarrs = generated_zarrs(dandiset, 40, 3)
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)

    def later(request: Request) -> Response | None:
        nonlocal now
        now += 1.0 if "versions" in request.query else 0.0
        return None

    mirror.server.intercept = later
    report = sync_until(mirror, 1004.0)
    assert (report.deferred, report.exit_code) == (True, 5)
    kept = [zarr for zarr in zarrs if manifests(mirror, zarr)]
    assert 4 <= len(kept) < 40
    asked(mirror.server)
    assert sync_until(mirror, None).exit_code == 0
    assert asked(mirror.server).count("bucket") == 40 - len(kept)
    assert gitlinks(mirror) == {zarr.name: commit_of(zarr) for zarr in zarrs}


def test_status_and_metrics_count_the_zarrs_their_entries_and_bytes(
    archive: Archive, zarr: Zarr, dandiset: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset.add_asset(OTHER, zarr=dandiset.add_zarr(OTHER, files=SMALL))
    a_zarr(other := archive.create_dandiset("000124", name="B"), PATH, {"a": b"12", "b": b"345"})
    own_bucket(archive).lists = False
    size = sum(size_of(content) for content in zarr.files.values())
    mirror.cli("sync", "--all", "--metrics", str(file := tmp_path / "m.prom"), code=3)
    lines = [line for line in file.read_text().splitlines() if line.startswith("dandi_mirror_zarr")]
    values = {line.partition("{")[0]: line.rpartition(" ")[2] for line in lines}
    assert values == {
        "dandi_mirror_zarrs": "2",
        "dandi_mirror_zarr_entries": str(len(SMALL) + 2),
        "dandi_mirror_zarr_bytes": str(size + 5),
        "dandi_mirror_zarrs_pending": "1",
        "dandi_mirror_zarrs_without_versions": "2",
    }
    said = mirror.cli("status", "--offline", code=3).stdout
    assert f"2 Zarrs, {len(SMALL)} entries of {human_size(size)}, 1 of them pending, 1 of them without" in said
    assert "1 Zarr, 2 entries of 5 bytes" in said
    found = status_of(Mirror(mirror.path), other.identifier, None)
    assert (found.zarrs, found.zarr_entries, found.zarr_size, found.pending_zarrs, found.unversioned) == (1, 2, 5, 0, 1)


def test_progress_counts_zarrs_and_entries(dandiset: Dandiset, mirror: MirrorOfTest) -> None:
    generated_zarr(dandiset, PATH, 3000)
    told: list[str] = []
    mirror.sync(progress=lambda dandiset, words: told.append(words))
    assert any(words.startswith("Zarrs 0 of 1, ") and words.endswith(" entries") for words in told)
    assert zarr_listing.spoken(3_123_456) == "3.1 million"
    assert zarr_listing.spoken(12_345) == "12,345"


def test_as_many_zarrs_are_listed_at_a_time_as_the_pages_say(dandiset: Dandiset, mirror: MirrorOfTest) -> None:
    generated_zarrs(dandiset, AT_ONCE + 1, 1)
    together, alone = threading.Barrier(AT_ONCE), iter([True])

    def wait(request: Request) -> None:
        # the first list shows that the bucket can be listed; nobody lists anything else meanwhile
        if "versions" in request.query and not next(alone, False):
            together.wait(60)

    mirror.server.intercept = wait
    mirror.cli("sync", "000123")
    assert not together.broken
    assert len(gitlinks(mirror)) == AT_ONCE + 1


def test_a_dry_run_lists_nothing_and_writes_nothing(zarr: Zarr, mirror: MirrorOfTest) -> None:
    report = mirror.sync(dry_run=True)
    assert (report.exit_code, report.added) == (0, FILES + 1)
    assert "bucket" not in asked(mirror.server)
    assert not mirror.path.exists()
    mirror.sync()
    change(zarr, {"arr/0/0": b"new"})
    before = mirror.refs()
    assert mirror.sync(dry_run=True).changed == 1
    assert mirror.refs() == before
