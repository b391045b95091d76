"""Many Zarrs in an archive of its own process, and runs of ``sync --all`` in others, measured.

``python -m benchmarks.many_zarrs serve DANDISETS ZARRS ENTRIES PLACED`` prints its API's URL; then ``change K`` on
standard input lets K Zarrs change.  ``python -m benchmarks.many_zarrs run URL MIRROR`` prints JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.archive import Row
from benchmarks.get import environment, path_with_ours
from benchmarks.gitlinks import used
from benchmarks.served import TOP, change_when_told, served

TIMES = 5
"""Runs with nothing to do; the fastest one is told."""


def serve_forever(dandisets: int, zarrs: int, entries: int, placed: int) -> None:
    """Serve Zarrs of so many entries each, spread over Dandisets, until standard input ends.

    ``placed`` of each Dandiset's Zarrs are in its draft; the archive lists the others as well, which are tiny.
    """
    from dandi_mirror.embedded import Archive, generated_zarrs, serve

    archive, made = Archive(instance_name="DANDI", gzip=False), []
    for number in range(dandisets):
        dandiset = archive.create_dandiset(f"{number + 1:06d}", name=f"Synthetic {number}")
        count = zarrs // dandisets + (number < zarrs % dandisets)
        made += generated_zarrs(dandiset, min(count, placed), entries)
        for other in range(placed, count):
            dandiset.add_zarr(f"image-{other:05}.zarr", files={"0": b"%d" % other}).complete()
        dandiset.draft.modified = "2024-01-02T00:00:00Z"
    for zarr in made:
        assert zarr.checksum  # before anything is measured
    changes = itertools.count(1)

    def change() -> None:
        changed = next(changes)
        zarr = made[changed * 7919 % len(made)]
        zarr.files[next(iter(zarr.files))] = b"changed %d" % changed
        zarr.complete()

    with serve(archive) as server:
        change_when_told(server.api_url, change)


def run(api_url: str, path: Path) -> dict[str, Any]:
    """One ``sync --all`` without repositories, and a bare loop over the same pages, in this process."""
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.archive.bucket.listing import AT_ONCE
    from dandi_mirror.archive.http.session import Session
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.mirror.state.options import Options, Pace
    from dandi_mirror.mirror.sync.run import list_all, sync_many

    started: list[object] = []
    sys.addaudithook(lambda event, values: started.append(values[0]) if event == "subprocess.Popen" else None)
    options, bare = Options(zarr_repositories="none"), _bare(api_url)
    start, cpu = time.monotonic(), sum(os.times()[:4])
    with closing(Session(api_url, at_once=AT_ONCE)) as session:
        archive, mirror = ArchiveClient(session), Mirror(path)
        listed = list_all(archive, mirror, options)
        reports = list(sync_many(archive, mirror, listed.ids, options, Pace(2), listed))
        requests = session.requests
    seconds, cpu = time.monotonic() - start, sum(os.times()[:4]) - cpu
    assert all(report.exit_code == 0 for report in reports), [report for report in reports if report.exit_code]
    return {
        "seconds": seconds, "cpu": cpu, "bare": min(bare, _bare(api_url)), "requests": requests,
        "started": len(started), "moved": sum(report.added + report.changed for report in reports),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }  # fmt: skip


def _bare(api_url: str) -> float:
    """Seconds of a loop that does nothing but read the lists of Dandisets and of Zarrs."""
    import requests

    start = time.monotonic()
    with requests.Session() as session:
        session.get(f"{api_url}/info/")
        for path in ("dandisets", "zarr"):
            url: str | None = f"{api_url}/{path}/?page=1&page_size=1000"
            while url:
                url = session.get(url, headers={"Accept-Encoding": "identity"}).json()["next"]
    return time.monotonic() - start


def measure(api_url: str, mirror: Path) -> dict[str, Any]:
    """A run in a child; what it measured."""
    command = [sys.executable, "-m", "benchmarks.many_zarrs", "run", api_url, str(mirror)]
    measured: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=TOP).stdout)
    return measured


def compare(folder: Path, dandisets: int, zarrs: int, entries: int, placed: int) -> list[Row]:
    """A first sync, runs with nothing to do beside the bare loop, one Zarr changed; then clone and status."""
    held = min(zarrs, placed * dandisets)
    mirror = folder / "mirror"
    title = (
        f"{zarrs:,} Zarrs, {held:,} of them with {entries:,} entries in {dandisets} draft{'s' if dandisets > 1 else ''}"
    )
    rows: list[Row] = [(title, "seconds", "CPU", "requests", "programs", "memory", "of the bare loop")]

    def one(name: str, found: dict[str, Any]) -> None:
        ratio = f"{found['seconds'] / found['bare']:.2f}" if "nothing" in name else ""
        rows.append((f"  {name}", f"{found['seconds']:.2f}", f"{found['cpu']:.2f}", f"{found['requests']:,}",
                     str(found["started"]), f"{found['peak'] / 1e6:.0f} MB", ratio))  # fmt: skip

    with served("many_zarrs", "serve", dandisets, zarrs, entries, placed) as archive:
        one("first sync", measure(archive.api_url, mirror))
        idle = [measure(archive.api_url, mirror) for _ in range(TIMES)]
        one(f"nothing changed, fastest of {TIMES}", min(idle, key=lambda found: float(found["seconds"])))
        ratios = sorted(found["seconds"] / found["bare"] for found in idle)
        rows[-1] = (*rows[-1][:-1], f"{rows[-1][-1]}; median {ratios[TIMES // 2]:.2f}")
        archive.change(1)
        changed = measure(archive.api_url, mirror)
        assert changed["moved"] == 1, changed
        one("one changed", changed)
        ours = [f"{path_with_ours('dandi-mirror')}", "status", "-d", str(mirror), "-i", archive.api_url]
        for name, command in (
            ("dandi-mirror status", ours),
            ("dandi-mirror status --offline", [*ours, "--offline"]),
            ("git clone", ["git", "clone", "-q", str(mirror / "000001"), str(folder / "clone")]),
            ("git status in it", ["git", "-C", str(folder / "clone"), "status"]),
        ):
            seconds, cpu, memory = used(command, folder, environment())
            rows.append((f"  {name}", f"{seconds:.2f}", f"{cpu:.2f}", "", "", f"{memory / 1e6:.0f} MB"))
    size = sum(file.stat().st_size for file in (mirror / "zarr").rglob("*") if file.is_file())
    return [*rows, ("  bytes of manifests", f"{size:,}", "", "", "", "", f"{size / held / entries:.1f} an entry")]


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve_forever(*map(int, sys.argv[2:]))
    else:
        print(json.dumps(run(sys.argv[2], Path(sys.argv[3]))))
