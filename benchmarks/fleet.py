"""Many Dandisets: an archive of them in a process of its own, and runs of ``sync --all`` in others, measured.

``python -m benchmarks.fleet serve COUNT LARGE ASSETS`` prints its API's URL; then ``change K`` on standard input lets K
Dandisets change.  ``python -m benchmarks.fleet run URL MIRROR JOBS`` prints JSON.
"""

from __future__ import annotations

import itertools
import json
import resource
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.archive import entry
from benchmarks.served import TOP, change_when_told

if TYPE_CHECKING:
    from dandi_mirror.embedded import Archive

TINY = 3
"""Assets of a tiny Dandiset."""


def serve_forever(count: int, large: int, assets: int) -> None:
    """Serve ``count`` Dandisets, the first ``large`` with ``assets`` assets; every third has a version."""
    from dandi_mirror.embedded import Archive, Dandiset, serve

    archive = Archive(instance_name="DANDI", gzip=False)

    def fill(dandiset: Dandiset, place: int) -> None:
        for number in range(assets if place < large else TINY):
            dandiset.add_asset(entry=entry(place * 100_000 + number), unchecked=True)
        if place % 3 == 0:
            dandiset.publish("0.240101.0000", created="2024-01-01T00:00:00Z", unchecked=True)
        dandiset.draft.modified = "2024-01-02T00:00:00Z"

    for place in range(count):
        identifier = f"{place + 1:06d}"
        fill(archive.create_dandiset(identifier, name=f"Synthetic {place}", created="2024-01-01T00:00:00Z"), place)
    turns = itertools.cycle(range(large, count))
    with serve(archive) as server:
        change_when_told(server.api_url, lambda: add_to(archive, next(turns)))


def add_to(archive: Archive, place: int) -> None:
    """Add an asset to the draft of one of the small Dandisets, which are there in turn."""
    archive.dandisets[f"{place + 1:06d}"].add_asset(entry=entry(50_000_000 + place, place), unchecked=True)


def run(api_url: str, path: Path, jobs: int) -> dict[str, Any]:
    """One ``sync --all``, and a bare loop over the same pages of the list, in this process."""
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.mirror.state.options import Options, Pace
    from dandi_mirror.mirror.sync.run import list_all, sync_many

    started = _count_children()
    bare = _bare(api_url)
    start, cpu = time.monotonic(), time.process_time()
    with closing(Session(api_url)) as session:
        archive, mirror = ArchiveClient(session), Mirror(path)
        listed = list_all(archive, mirror, Options())
        reports = list(sync_many(archive, mirror, listed.ids, Options(), Pace(jobs), listed))
        requests = session.requests
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    assert all(report.exit_code == 0 for report in reports), [report for report in reports if report.exit_code]
    return {
        "seconds": seconds, "cpu": cpu, "bare": min(bare, _bare(api_url)), "requests": requests,
        "children": len(started), "moved": sum(report.status == "ok" for report in reports),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }  # fmt: skip


def _bare(api_url: str) -> float:
    """Seconds of a loop that does nothing but read the list."""
    import requests

    start = time.monotonic()
    with requests.Session() as session:
        url: str | None = f"{api_url}/dandisets/?page=1&page_size=1000"
        while url:
            url = session.get(url, headers={"Accept-Encoding": "identity"}).json()["next"]
    return time.monotonic() - start


def _count_children() -> list[object]:
    """Every program that this process starts from now on."""
    started: list[object] = []
    sys.addaudithook(lambda event, values: started.append(values[0]) if event == "subprocess.Popen" else None)
    return started


def measure(api_url: str, mirror: Path, jobs: int) -> dict[str, Any]:
    """A run in a child; what it measured."""
    command = [sys.executable, "-m", "benchmarks.fleet", "run", api_url, str(mirror), str(jobs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=TOP)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve_forever(*map(int, sys.argv[2:]))
    else:
        print(json.dumps(run(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))))
