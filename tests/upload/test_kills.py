"""An upload that is killed at any point goes on, and the archive has each asset once.

The long form: ``pytest -m slow tests/upload``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from dandi_mirror import digests
from dandi_mirror.embedded import Archive, Server
from tests.support.sending import DANDISET, SMALL_PART, Desk, put
from tests.support.waiting import LONG

MISSES = 40
"""Kills that may come after the end of an upload."""
FILES = {"large.nwb": 6 * SMALL_PART + 1, "other.nwb": 3 * SMALL_PART} | {f"small-{n}.nwb": 1000 + n for n in range(20)}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "ETAG_PART", SMALL_PART)


def start(server: Server, folder: Path) -> subprocess.Popen[bytes]:
    # its start is most of a second that no kill needs to wait for
    command = [sys.executable, "-m", "tests.support.child", server.api_url, str(folder)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], start_new_session=True)


def kill_after(server: Server, folder: Path, requests: int, chance: random.Random) -> bool:
    """Kill an upload when it has made so many requests, or a moment later; whether it was still at it."""
    before = len(server.requests)
    child = start(server, folder)
    end = time.monotonic() + LONG
    while len(server.requests) - before < requests and child.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.02))
    with suppress(ProcessLookupError):  # it was faster
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait(LONG) == -signal.SIGKILL


def campaign(server: Server, desk: Desk, archive: Archive, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    for name, size in FILES.items():
        desk.file(f"files/{name}", size, chance.randrange(1 << 30))
    names, killed, tried = list(FILES), 0, 0
    while killed < kills:
        assert tried < kills + MISSES, f"{killed} of {tried} kills struck; {kills} were wanted"
        struck = kill_after(server, desk.folder, chance.randrange(1, 110), chance)
        killed, tried = killed + struck, tried + 1
        if not struck:  # all is there now: the next one needs something to do
            names += (more := [f"more-{tried}-{number}.nwb" for number in range(20)])
            for name in more:
                desk.file(f"files/{name}", 1000 + len(names), chance.randrange(1 << 30))
    assert start(server, desk.folder).wait(60) == 0
    draft = archive.dandisets[DANDISET].draft
    assert sorted(asset.path for asset in draft) == sorted(names)
    for asset in draft:
        blob = asset.blob
        assert blob is not None
        assert b"".join(archive.bucket.read(blob.key)) == (desk.folder / "files" / asset.path).read_bytes()
    assert len(archive.blobs) == len(names)
    assert desk.notes == []
    again = sum(put(server)) - sum(asset.blob.size for asset in draft if asset.blob)
    assert again <= killed * 6 * SMALL_PART, "at most what was under way is sent again"


def test_a_killed_upload_goes_on(server: Server, desk: Desk, archive: Archive) -> None:
    campaign(server, desk, archive, kills=3, seed=6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_an_upload_that_is_killed_ten_times_goes_on(server: Server, desk: Desk, archive: Archive, seed: int) -> None:
    campaign(server, desk, archive, kills=10, seed=seed)
