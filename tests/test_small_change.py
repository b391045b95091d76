"""A small change of a large draft gives the commit that a look at the whole draft gives."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive, Dandiset, serve
from dandi_mirror.mirror.format.records import is_part
from dandi_mirror.mirror.sync import archive_state, branch_delta, newest
from tests.conftest import MirrorOfTest
from tests.support.dandisets import participant

FILES = 140
STEPS = [(45, 0), (3, 10), (10, 9000), (3, 1500), (60, 0), (2, 50)]
"""How many records get prose of what length: all of them together are now above and now below what one file holds."""


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a change was small, and how often it was larger than it seemed; small drafts count as large."""
    monkeypatch.setattr(newest, "FEWEST", 8)
    monkeypatch.setattr(newest, "BEHIND", 3)
    found, whole = Counter[str](), branch_delta.branch_delta

    def counted(*arguments: Any) -> Any:
        try:
            made = whole(*arguments)
        except branch_delta.Larger:
            found["larger"] += 1
            raise
        found["small"] += 1
        return made

    monkeypatch.setattr(archive_state, "branch_delta", counted)
    return found


class Clock:
    """The archive's."""

    now = datetime(2024, 1, 1, tzinfo=UTC)


def large(archive: Archive, clock: Clock, length: int) -> Dandiset:
    """A draft that grew for a week."""
    dandiset = archive.create_dandiset("000123", name="A test")
    for number in range(FILES):
        clock.now += timedelta(hours=2)
        metadata = participant(f"m{number // 20}") | {"description": "x" * length}
        dandiset.add_asset(f"sub-{number // 20}/{number}.nwb", archive.add_blob(b"%d" % number), metadata=metadata)
    return dandiset


@pytest.mark.parametrize("seed", range(3))
def test_files_of_records_grow_split_shrink_and_join_as_they_should(
    tmp_path: Path, counts: Counter[str], seed: int
) -> None:
    choose, clock = random.Random(seed), Clock()
    with serve(Archive(instance_name="DANDI", clock=lambda: clock.now)) as server:
        archive = server.archive
        dandiset = large(archive, clock, 1250)
        mirror, whole = MirrorOfTest(tmp_path / "mirror", server), MirrorOfTest(tmp_path / "whole", server)
        mirror.sync()
        whole.sync()
        parts = set[int]()
        for step, (many, length) in enumerate(STEPS):
            clock.now += timedelta(days=1)
            for number, path in enumerate(choose.sample([asset.path for asset in dandiset.draft], many)):
                clock.now += timedelta(minutes=1)
                metadata = participant(f"m{step}") | {"description": "y" * length}
                if number % 7 == 3:
                    path = f"sub-{step}/new-{number}.nwb"
                    dandiset.add_asset(path, archive.add_blob(path.encode()), metadata=metadata)
                else:
                    dandiset.replace_asset(path, metadata=metadata)
            mirror.sync()
            whole.sync(mode="force")
            assert mirror.refs() == whole.refs()
            parts.add(len([path for path in mirror.tree() if is_part(path)]))
    assert counts["small"] and counts["larger"]
    assert len(parts) > 1, "there was one file of records, and there were several"


def test_a_text_file_that_changes_is_read_alone(tmp_path: Path, counts: Counter[str]) -> None:
    clock = Clock()
    with serve(Archive(instance_name="DANDI", clock=lambda: clock.now)) as server:
        archive = server.archive
        dandiset = large(archive, clock, 100)
        dandiset.add_asset("README.md", archive.add_blob(b"one"))
        dandiset.add_asset("CHANGES", archive.add_blob(b"not changed"))
        mirror, whole = MirrorOfTest(tmp_path / "mirror", server), MirrorOfTest(tmp_path / "whole", server)
        mirror.sync()
        whole.sync()
        changes: list[Callable[[], object]] = [
            lambda: dandiset.replace_asset("README.md", archive.add_blob(b"two")),
            lambda: dandiset.replace_asset("README.md", metadata=participant("m1")),
            lambda: dandiset.add_asset("sub-1/x.json", archive.add_blob(b"not changed")),
            lambda: dandiset.add_asset("sub-1/x.nwb", archive.add_blob(b"two")),
        ]
        for happen in changes:
            clock.now += timedelta(days=1)
            happen()
            server.requests.clear()
            mirror.sync()
            assert len([request for request in server.requests if "/blobs/" in request.path]) <= 1
            whole.sync(mode="force")
            assert mirror.refs() == whole.refs()
    assert counts == {"small": 4}
