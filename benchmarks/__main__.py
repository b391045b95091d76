"""``python -m benchmarks NAME``: each prints one table, with the machine and the versions above it."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import catalogue as pages
from benchmarks import fleet as many
from benchmarks import get as content
from benchmarks import get_zarr as zarr_content
from benchmarks import gitlinks, many_zarrs, serving, uploading, verifying
from benchmarks import zarr as zarrs
from benchmarks.archive import Row
from benchmarks.child import measure
from benchmarks.on_disk import bare_import, objects_size, packs, usage
from benchmarks.peer import record
from benchmarks.questions import ask, startup
from benchmarks.served import served
from dandi_mirror import __version__
from dandi_mirror.repo.git.process import child_environment
from dandi_mirror.repo.git.programs import installed_programs

DELAYS = [0, 50]
"""Milliseconds that each answer waits, of the benchmark get."""
SIZE = 100_000
"""Bytes of a file there."""
UPLOADS = [(250, 20_000), (4, 512_000_000)]
"""Files and their bytes, of the benchmark upload."""
CHUNKS = [(20_000, 3_000)]
"""Chunks of a Zarr and their bytes, of the benchmark upload-zarr."""
HASHED = (16, 256_000_000)
"""Files and their bytes, of the benchmark verify."""
ENTRIES = 3_400_000
"""Of all Zarrs of the population there."""
ZARRS = 0
"""Of the benchmarks zarrs-unchanged and zarrs-large; 0: as many as DANDI has."""
PEERS = ["datalad", "dandi"]
"""Who is measured there besides curl."""
TIMES = 3
"""First syncs of the benchmark speed; the median one is told."""


def speed(folder: Path, assets: int, peer: int) -> list[Row]:
    """A first sync against the peer's way of recording assets and against git alone."""
    with served("archive", assets) as archive:
        runs = [measure(archive.api_url, folder / f"mirror{number}") for number in range(TIMES)]
        sync = sorted(runs, key=lambda run: run["seconds"])[TIMES // 2]
        stream = folder / "stream"
        measure(archive.api_url, folder / "captured", str(stream))
        profile = measure(archive.api_url, folder / "profiled", "profile")
    assert sync["changed"] == assets, sync
    plain = bare_import(folder / "plain", stream, os.environ)
    tuned = bare_import(folder / "tuned", stream, child_environment(), "-c", "pack.compression=1", depth="--depth=0")
    peer_rate = peer / record(folder / "peer", peer)
    write, whole = sync["phases"]["writing"], sync["seconds"]
    both = write + sync["phases"]["listing the draft"]  # logs are written while pages come
    rows: list[Row] = [("", "seconds", "assets/s", "ratio")]
    rows += [(f"  {doing}", f"{seconds:.2f}", "", "") for doing, seconds in sync["phases"].items()]
    rows += [
        (f"whole sync, median of {TIMES}", f"{whole:.2f}", f"{assets / whole:.0f}",
         f"{assets / whole / peer_rate:.0f} × the peer's rate"),
        (f"peer's way ({peer} assets)", f"{peer / peer_rate:.2f}", f"{peer_rate:.0f}", "1"),
        ("bare fast-import, same stream", f"{plain:.2f}", f"{assets / plain:.0f}",
         f"writing {write / plain:.2f} of it, with listing {both / plain:.2f}, whole sync {whole / plain:.2f}"),
        ("bare fast-import, our settings", f"{tuned:.2f}", f"{assets / tuned:.0f}",
         f"writing {write / tuned:.2f} of it, with listing {both / tuned:.2f}, whole sync {whole / tuned:.2f}"),
        ("peak memory of the process", f"{sync['peak'] / 1e6:.0f} MB", "", ""),
        ("processor time, watched in another run", f"{sum(profile.values()):.2f}", "", ""),
    ]  # fmt: skip
    return rows + [(f"  {part}", f"{seconds:.2f}", "", "") for part, seconds in profile.items()]


def memory(folder: Path, assets: int, peer: int) -> list[Row]:
    """Peak memory of a first sync at a fifth of the assets and at all of them."""
    peaks = {}
    for count in (assets // 5, assets):
        with served("archive", count) as archive:
            peaks[count] = measure(archive.api_url, folder / str(count))["peak"]
    small, large = peaks
    slope = (peaks[large] - peaks[small]) / (large - small)
    rows = [(f"{count:,} assets", f"{peak / 1e6:.0f} MB") for count, peak in peaks.items()]
    return [("", "peak memory"), *rows, ("growth", f"{slope:.0f} bytes an asset")]


def changes(folder: Path, assets: int, peer: int) -> list[Row]:
    """Ten changed assets among many: time and new objects, against the first sync."""
    with served("archive", assets) as archive:
        firsts = sorted(measure(archive.api_url, folder / name)["seconds"] for name in ("one", "two", "mirror"))
        size = objects_size(folder / "mirror")
        rows: list[Row] = [("", "seconds", "of the first", "requests", "peak memory", "new bytes in .git")]
        rows.append((f"first sync, median of {len(firsts)}", f"{firsts[1]:.2f}", "1", "", "", f"{size:,}"))
        for count in (10, 10, 10, 10, 10, 100):
            archive.change(count)
            again = measure(archive.api_url, folder / "mirror")
            assert again["changed"] == count, again
            grown, size = objects_size(folder / "mirror") - size, objects_size(folder / "mirror")
            share = again["seconds"] / firsts[1]
            rows.append(
                (
                    f"{count} changed",
                    f"{again['seconds']:.2f}",
                    f"{share:.3f}",
                    f"{again['requests']}",
                    f"{again['peak'] / 1e6:.0f} MB",
                    f"{grown:,}",
                )
            )
    return rows


def growth(folder: Path, assets: int, peer: int) -> list[Row]:
    """Two hundred successive syncs of a few changed assets each: the repository's size, and after a gc."""
    rows: list[Row] = [("", "bytes in .git", "a sync", "packs", "seconds a sync")]
    with served("archive", assets) as archive:
        measure(archive.api_url, folder / "mirror")
        last, start = objects_size(folder / "mirror"), time.monotonic()
        rows.append(("first sync", f"{last:,}", "", packs(folder), ""))
        for number in range(1, 201):
            archive.change(3)
            measure(archive.api_url, folder / "mirror")
            if number % 50 == 0:
                size, now = objects_size(folder / "mirror"), time.monotonic()
                rows.append((f"after {number}", f"{size:,}", f"{(size - last) // 50:,}", packs(folder),
                             f"{(now - start) / 50:.2f}"))  # fmt: skip
                last, start = size, time.monotonic()
    dataset = folder / "mirror" / "000123"
    subprocess.run(["git", "-C", dataset, "gc", "-q"], check=True, env=child_environment())
    rows.append(
        ("after git gc", f"{objects_size(folder / 'mirror'):,}", "", packs(folder), f"{time.monotonic() - start:.2f}")
    )
    return rows


def million(folder: Path, assets: int, peer: int) -> list[Row]:
    """One first sync, the server in another process: run it once with --assets 1000000."""
    with served("archive", assets) as archive:
        sync = measure(archive.api_url, folder / "mirror")
    assert sync["changed"] == assets, sync
    rows: list[Row] = [(f"  {doing}", f"{seconds:.1f} s") for doing, seconds in sync["phases"].items()]
    whole = f"{sync['seconds']:.1f} s, {assets / sync['seconds']:.0f} assets/s"
    rows += [("whole sync", whole), ("peak memory", f"{sync['peak'] / 1e6:.0f} MB")]
    return [*rows, ("bytes in .git", f"{objects_size(folder / 'mirror'):,}")]


def disk(folder: Path, assets: int, peer: int) -> list[Row]:
    """What a mirror takes of a disk after its first sync: files and folders (inodes), and bytes as allocated."""
    rows: list[Row] = [("", "inodes", "MB", "requests", "seconds")]
    for count in (1, assets):
        with served("archive", count) as archive:
            sync = measure(archive.api_url, folder / str(count))
        top = folder / str(count)
        whole, annex = usage(top / "000123"), usage(top / "000123" / ".git")
        own = usage(top / ".dandi-mirror")
        title = f"{count:,} asset{'s' if count > 1 else ''}"
        rows += [
            (f"{title}: dataset", f"{whole[0]:,}", f"{whole[1] / 1e6:.2f}", str(sync["requests"]),
             f"{sync['seconds']:.1f}"),
            ("  its .git", f"{annex[0]:,}", f"{annex[1] / 1e6:.2f}"),
            ("  its work tree", f"{whole[0] - annex[0]:,}", f"{(whole[1] - annex[1]) / 1e6:.2f}"),
            ("  .dandi-mirror", f"{own[0]:,}", f"{own[1] / 1e6:.2f}"),
        ]  # fmt: skip
    return rows


def fleet(folder: Path, assets: int, dandisets: int) -> list[Row]:
    """1,500 Dandisets (--dandisets), three with many assets and all others with three: ``sync --all``."""
    rows: list[Row] = [("", "seconds", "CPU of Python", "requests", "programs started", "peak memory", "moved")]

    def one(name: str) -> dict[str, Any]:
        found = many.measure(archive.api_url, folder / "mirror", 4)
        rows.append((name, f"{found['seconds']:.2f}", f"{found['cpu']:.2f}", str(found["requests"]),
                     f"{found['children']:,}", f"{found['peak'] / 1e6:.0f} MB", str(found["moved"])))  # fmt: skip
        return found

    with served("fleet", "serve", dandisets, 3, assets) as archive:
        one("first sync")
        idle = min((one("nothing changed") for _ in range(3)), key=lambda found: float(found["seconds"]))
        for count in (1, 10):
            archive.change(count)
            assert one(f"{count} changed")["moved"] == count
        (folder / "mirror" / ".dandi-mirror" / "index.sqlite").unlink()
        one("index deleted")
    ratio = f"the fastest run with nothing to do takes {idle['seconds'] / idle['bare']:.2f} of it"
    return [*rows, ("bare loop over the list", f"{idle['bare']:.2f}", "", "2", "0", "", ratio)]


def catalogue(folder: Path, assets: int, dandisets: int) -> list[Row]:
    """Pages of 1,500 Dandisets (--dandisets), three with many assets and the others with 40; the search in Chromium."""
    return pages.measure(folder, dandisets, assets)


def get(folder: Path, assets: int, peer: int) -> list[Row]:
    """Content of many files (--assets, --size), from a clone without any: seconds, and how often our time it is."""
    rows: list[Row] = [("", "", "seconds", "files/s", "MB/s", "times ours")]
    for milliseconds in DELAYS:
        (work := folder / str(milliseconds)).mkdir()
        os.environ["HOME"] = str(work)
        rows += content.compare(work, assets, SIZE, milliseconds, PEERS)
    return rows


def upload(folder: Path, assets: int, peer: int) -> list[Row]:
    """Files to the archive (--uploads), new and again unchanged: seconds, and memory at most."""
    rows: list[Row] = [("", "", "", "seconds", "files/s", "MB/s", "MiB")]
    for count, size in UPLOADS:
        rows += uploading.compare(folder, count, size)
    return rows


def upload_zarr(folder: Path, assets: int, peer: int) -> list[Row]:
    """A Zarr of small chunks to the archive (--chunks), new, again unchanged, and with ten changed: seconds, memory."""
    rows: list[Row] = [("", "", "", "seconds", "of a processor", "MiB")]
    for count, size in CHUNKS:
        rows += uploading.compare_zarr(folder, count, size)
    return rows


def digest(folder: Path, assets: int, peer: int) -> list[Row]:
    """The digests of one file of 512 MiB that is in memory: seconds, and memory besides the interpreter's."""
    return [("", "seconds", "MB/s", "MiB"), *uploading.digests(folder, 1 << 29)]


def zarr(folder: Path, assets: int, peer: int) -> list[Row]:
    """Zarrs: one of 37,481 entries and a population (--entries), and a repository beside git-annex's calls (--peer)."""
    rows = [*zarrs.manifests(folder, ENTRIES), ("",), *zarrs.repository(folder / "repository", peer), ("",)]
    return rows + gitlinks.compare(folder / "links")


def get_zarr(folder: Path, assets: int, peer: int) -> list[Row]:
    """A Zarr of small chunks (--assets, --size), in clones of its repository; DataLad gets --peer of them."""
    rows: list[Row] = [("", "", "seconds", "files/s", "times ours")]
    for milliseconds in DELAYS:
        (work := folder / str(milliseconds)).mkdir()
        os.environ["HOME"] = str(work)
        rows += zarr_content.compare(work, assets, SIZE, milliseconds, peer)
    return rows


def zarrs_unchanged(folder: Path, assets: int, peer: int) -> list[Row]:
    """A sync that finds 30,000 Zarrs (--zarrs) in 12 Dandisets unchanged, beside a bare loop over the same pages."""
    return many_zarrs.compare(folder, 12, ZARRS or 30_000, 100, placed=10)


def zarrs_large(folder: Path, assets: int, peer: int) -> list[Row]:
    """One Dandiset of 23,614 Zarrs (--zarrs) of 147 entries each: first sync, no-op, one changed, clone, status."""
    return many_zarrs.compare(folder, 1, ZARRS or 23_614, 147, placed=1_000_000)


def verify(folder: Path, assets: int, dandisets: int) -> list[Row]:
    """Metadata of many Dandisets (--dandisets; three have --assets), and content beside sha256sum: seconds, CPU."""
    rows: list[Row] = [("", "seconds", "CPU", "")]
    rows += verifying.metadata(folder, dandisets, 3, assets)
    return rows + verifying.content(folder / "content", *HASHED)


BENCHMARKS: dict[str, Callable[[Path, int, int], list[Row]]] = {
    "speed": speed, "memory": memory, "changes": changes, "growth": growth, "million": million,
    "disk": disk, "startup": startup, "fleet": fleet, "get": get, "ask": ask,
    "upload": upload, "upload-zarr": upload_zarr, "digest": digest, "zarr": zarr,
    "get-zarr": get_zarr, "zarrs-unchanged": zarrs_unchanged, "zarrs-large": zarrs_large, "verify": verify,
    "catalogue": catalogue, "serve": serving.table,
}  # fmt: skip


def _print_table(title: str, rows: list[Row]) -> None:
    parts = ", ".join(f"{found.program.name} {found.version.partition('-g')[0]}" for found in installed_programs())
    print(f"{title}\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {parts}, "
          f"dandi-mirror {__version__}, load {os.getloadavg()[0]:.1f}\n")  # fmt: skip
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(max(map(len, rows)))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip())


def _pairs(text: str) -> list[tuple[int, int]]:
    """``250x20000,4x512000000``."""
    pairs = [pair.split("x") for pair in text.split(",")]
    return [(int(count), int(size)) for count, size in pairs]


def main() -> None:
    """Run one benchmark in a folder that is gone afterwards."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--assets", type=int, default=10_000)
    parser.add_argument("--dandisets", type=int, default=1_500, help="of the benchmarks fleet, verify and catalogue")
    parser.add_argument("--peer", type=int, default=2_000, help="assets that the peer's way records")
    parser.add_argument("--size", type=int, default=SIZE, help="bytes of a file, of the benchmark get")
    parser.add_argument("--delays", type=int, nargs="*", default=DELAYS, help="milliseconds, of the benchmark get")
    parser.add_argument("--uploads", type=_pairs, default=UPLOADS, help="FILESxBYTES,… of the benchmark upload")
    parser.add_argument("--chunks", type=_pairs, default=CHUNKS, help="CHUNKSxBYTES,… of the benchmark upload-zarr")
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS, help="besides curl, of the benchmark get")
    parser.add_argument("--entries", type=int, default=ENTRIES, help="of the population of the benchmark zarr")
    parser.add_argument("--zarrs", type=int, default=ZARRS, help="of the benchmarks zarrs-unchanged and zarrs-large")
    arguments = parser.parse_args()
    # an installed program has its bytecode; to compile it again at each start takes longer than most questions
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    globals().update(SIZE=arguments.size, DELAYS=arguments.delays, PEERS=arguments.peers, UPLOADS=arguments.uploads)
    globals().update(CHUNKS=arguments.chunks, ENTRIES=arguments.entries, ZARRS=arguments.zarrs)
    benchmark = BENCHMARKS[arguments.name]
    with tempfile.TemporaryDirectory(prefix="dandi-mirror-benchmark-") as name:
        os.environ["HOME"] = name
        counts_dandisets = benchmark in {catalogue, fleet, verify}
        rows = benchmark(Path(name), arguments.assets, arguments.dandisets if counts_dandisets else arguments.peer)
    _print_table(f"{arguments.name}, {arguments.assets:,} assets: {benchmark.__doc__}", rows)


if __name__ == "__main__":
    main()
