"""A mirror in which nothing is wrong: ``verify`` says so, changes nothing, and asks the archive for everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest
from tests.support.histories import HISTORIES

SOME = list(HISTORIES)[::2]
"""Those of the suite; the long form takes all."""
SLOW = pytest.mark.slow


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with its size and time, but for what verifications remember."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if "verified.sqlite" not in path.name and path.name != ".dandi-mirror"
    }


@pytest.mark.parametrize("history", [pytest.param(name, marks=[] if name in SOME else SLOW) for name in HISTORIES])
def test_a_healthy_mirror_has_no_difference_and_is_not_changed(
    history: str, archive: Archive, mirror: MirrorOfTest
) -> None:
    HISTORIES[history](archive, mirror)
    before = files(mirror.path)
    done = mirror.cli("verify", "--all", "--content", "1", "-f", "json")
    *found, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["differences"] for one in found] == [[]] * len(found)
    assert summary["exit_code"] == 0 and summary["differences"] == 0
    assert files(mirror.path) == before


def test_without_the_archive_a_mirror_is_compared_with_itself(archive: Archive, mirror: MirrorOfTest) -> None:
    HISTORIES["two versions in one run"](archive, mirror)
    mirror.server.requests.clear()
    assert mirror.cli("verify", "--offline").stdout == "000123  ok\n"
    assert mirror.server.requests == []
