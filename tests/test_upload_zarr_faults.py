"""Uploads of Zarrs that are cut off, meet faults, or meet others: each goes on, and sends nothing twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Dandiset, Request
from tests.conftest import run
from tests.support.uploading import FIRST, SECOND, THIRD, Person, me, mine, paths, token
from tests.support.waiting import LONG
from tests.support.zarr_folders import held, sent_entries, write_ome
from tests.support.zarrs import checksum
from tests.support.zarrs import files_of as chunks

__all__ = ["me", "mine", "token"]

THERE = [FIRST, SECOND, THIRD]
IMAGE = "sub-m1/sub-m1_image.ome.zarr"
EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
SLOW = b"<Error><Code>RequestTimeout</Code><Message>Your socket connection was not read from</Message></Error>"


def is_put(request: Request) -> bool:
    """Whether a request sends an entry to the bucket."""
    return request.method == "PUT" and "/zarr/" in request.path and not request.path.startswith("/api")


def after(count: int, answer: Callable[[], Response]) -> Callable[[Request], Any]:
    """Let so many entries through, and answer all later ones otherwise."""
    seen: list[Request] = []

    def intercept(request: Request) -> Any:
        if is_put(request):
            seen.append(request)
            return answer() if len(seen) > count else None
        return None

    return intercept


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (503, b""), (400, SLOW), (403, EXPIRED)],
    ids=["500", "slow down", "400 timeout", "URLs that have expired"],
)  # fmt: skip
def test_an_entry_that_fails_once_is_sent_again(me: Person, mine: Dandiset, status: int, body: bytes) -> None:
    folder = write_ome(me.folder / IMAGE)
    failed: set[str] = set()

    def once(request: Request) -> Any:
        if is_put(request) and request.path not in failed and len(failed) < 5:
            failed.add(request.path)
            return Response(body, status)
        return None

    me.server.intercept = once
    assert me.upload().failures == {}
    assert len(failed) == 5
    assert held(mine, IMAGE) == chunks(folder)


def test_what_an_upload_that_failed_has_sent_is_not_sent_again(me: Person, mine: Dandiset) -> None:
    folder = write_ome(me.folder / IMAGE)
    me.server.intercept = after(10, lambda: Response(b"", 500))
    assert me.upload(jobs=1).failures.keys() == {IMAGE}
    me.server.intercept = None
    assert paths(mine) == THERE, "no asset of a part of a Zarr"
    me.server.requests.clear()
    assert me.upload().failures == {}
    assert len(sent_entries(me)) == len(chunks(folder)) - 10
    assert held(mine, IMAGE) == chunks(folder)


def test_a_change_of_a_zarr_that_was_cut_off_goes_on_although_the_archive_has_no_checksum(
    me: Person, mine: Dandiset
) -> None:
    folder = write_ome(me.folder / IMAGE)
    me.upload()
    write_ome(folder, fill=1)
    me.server.intercept = after(3, lambda: Response(b"", 500))
    assert me.upload(jobs=1).failures.keys() == {IMAGE}
    me.server.intercept = None
    asset = mine.draft.asset_at(IMAGE)
    assert asset and asset.zarr and asset.zarr.status == "Pending"
    assert me.upload().failures == {}
    assert held(mine, IMAGE) == chunks(folder)


def test_a_zarr_that_somebody_else_is_sending_is_left_alone_unless_it_is_named(me: Person, mine: Dandiset) -> None:
    folder = write_ome(me.folder / IMAGE)
    me.upload()
    asset = mine.draft.asset_at(IMAGE)
    assert asset and asset.zarr
    asset.zarr.change()
    write_ome(folder, fill=1)
    me.server.requests.clear()
    assert "an upload of this Zarr from elsewhere is not finished" in me.upload().failures[IMAGE]
    assert me.upload(paths=("sub-m1",)).failures.keys() == {IMAGE}, "its folder is not its name"
    assert me.writes() == []
    assert me.upload(paths=(IMAGE,)).failures == {}
    assert held(mine, IMAGE) == chunks(folder)


def test_a_finalize_whose_answer_is_lost_and_a_checksum_that_comes_late_do_no_harm(
    me: Person, mine: Dandiset, archive: Archive
) -> None:
    folder = write_ome(me.folder / IMAGE)
    archive.jobs.delay = 1.0
    lost: list[str] = []

    def rewrite(request: Request, response: Response) -> Response:
        if request.path.endswith("/finalize/") and not lost:
            lost.append(request.path)
            return Response(b"", 502)
        return response

    me.server.rewrite = rewrite
    assert me.upload().failures == {}
    assert lost
    asset = mine.draft.asset_at(IMAGE)
    assert asset and asset.zarr and asset.zarr.checksum == checksum(chunks(folder))


def test_a_checksum_that_does_not_come_in_time_makes_no_asset_and_the_next_run_ends_it(
    me: Person, mine: Dandiset, archive: Archive
) -> None:
    folder = write_ome(me.folder / IMAGE)
    archive.jobs.delay = None
    assert "has not computed the checksum" in me.upload(wait=0.3).failures[IMAGE]
    assert paths(mine) == THERE
    archive.jobs.delay = 0.0
    archive.jobs.settle()
    me.server.requests.clear()
    assert me.upload().failures == {}
    assert sent_entries(me) == []
    assert held(mine, IMAGE) == chunks(folder)


def test_bytes_that_arrive_changed_are_noticed_by_the_checksum_and_sent_again(me: Person, mine: Dandiset) -> None:
    folder = write_ome(me.folder / IMAGE)
    spoilt: list[str] = []

    def spoil(request: Request) -> Any:
        if request.path.endswith("/finalize/") and not spoilt:
            [zarr] = mine.archive.zarrs.values()
            zarr.files["0/0.0"] = b"spoilt at S3"
            spoilt.append(request.path)
        return None

    me.server.intercept = spoil
    assert me.upload().failures == {}
    assert spoilt
    assert held(mine, IMAGE) == chunks(folder)


# --- kills -------------------------------------------------------------------------------------------------------


def kill_after(me: Person, key: dict[str, str], requests: int) -> bool:
    """Kill an upload when it has made so many requests; whether it was still at it."""
    before = len(me.server.requests)
    command = [sys.executable, "-m", "dandi_mirror", "upload", "--validation", "skip", "-i", me.server.api_url]
    child = subprocess.Popen(
        command, cwd=me.folder, env=os.environ | key, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + LONG
    while len(me.server.requests) - before < requests and child.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait(LONG) == -signal.SIGKILL


def campaign(me: Person, mine: Dandiset, key: dict[str, str], kills: int, seed: int) -> None:
    chance = random.Random(seed)
    folder = write_ome(me.folder / IMAGE, fill=seed)
    expected = 0
    for number in range(kills):
        # the first requests only read; then each may be the last one
        if not kill_after(me, key, chance.randrange(6, 50)):
            write_ome(folder, fill=seed + number + 1)
            expected += len(chunks(folder))
    done = me.upload()
    assert done.failures == {}
    assert paths(mine) == sorted([*THERE, IMAGE])
    assert held(mine, IMAGE) == chunks(folder)
    asset = mine.draft.asset_at(IMAGE)
    assert asset and asset.zarr and asset.zarr.checksum == checksum(chunks(folder))
    assert len(mine.archive.zarrs) == 1, "one Zarr, however often it was begun"
    assert not list(Path(me.folder, "..", ".dandi-mirror").rglob("*.zarr")), "no note is left"
    assert len(sent_entries(me)) <= expected + len(chunks(folder)) + 8 * kills, "at most what was under way, again"
    assert me.upload().planned.plan.changes == []


def test_an_upload_of_a_zarr_that_is_killed_goes_on(me: Person, mine: Dandiset, token: dict[str, str]) -> None:
    campaign(me, mine, token, kills=2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_an_upload_of_a_zarr_that_is_killed_ten_times_goes_on(
    me: Person, mine: Dandiset, token: dict[str, str], seed: int
) -> None:
    campaign(me, mine, token, kills=10, seed=seed)


def test_an_installed_zarr_that_nobody_has_changed_is_left_alone_and_a_changed_one_is_refused_by_name(
    me: Person, mine: Dandiset
) -> None:
    folder = write_ome(me.folder / IMAGE)
    me.upload()
    shutil.rmtree(folder)
    folder.mkdir()
    run("dandi-mirror", "get", IMAGE, "-i", me.server.api_url, cwd=me.folder)
    me.server.requests.clear()
    again = me.upload()
    assert (again.planned.plan.changes, again.failures, me.writes()) == ([], {}, [])
    (folder / "0" / "new").write_bytes(b"a chunk that git does not know")
    done = me.upload()
    assert set(done.failures) == {IMAGE} and me.writes() == []
    assert "copy it to a plain folder without its .git" in done.failures[IMAGE]
    (folder / "0" / "new").unlink()
    assert me.upload().failures == {}
    chunk = next(path for path in (folder / "0").rglob("*") if path.is_symlink())
    chunk.unlink()
    chunk.write_bytes(b"another")
    done = me.upload()
    assert set(done.failures) == {IMAGE} and me.writes() == []
    copy = folder.with_suffix(".copy")
    run("cp", "-rL", str(folder), str(copy))
    run("chmod", "-R", "u+w", str(copy), str(folder))
    shutil.rmtree(copy / ".git")
    shutil.rmtree(folder)
    copy.rename(folder)
    assert me.upload().failures == {}
    assert held(mine, IMAGE)[chunk.relative_to(folder).as_posix()] == b"another"
