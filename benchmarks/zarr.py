"""Zarrs: from a listing to manifest and gitlink; and a repository, beside what else could write it."""

from __future__ import annotations

import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peer import record_entries
from dandi_mirror.archive.bucket.page import Marker, read_page
from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.mirror.zarr.annex_logs import NOW, Sources
from dandi_mirror.mirror.zarr.entries import entry_key
from dandi_mirror.mirror.zarr.manifests import Manifests
from dandi_mirror.mirror.zarr.repository import ZarrRepositories
from dandi_mirror.mirror.zarr.state import zarr_state_of
from dandi_mirror.repo.annex.branch import import_logs
from dandi_mirror.repo.annex.keys import hash_dir_lower, link_target
from dandi_mirror.repo.git.importer import Importer
from dandi_mirror.repo.git.pack import PackWriter, install
from dandi_mirror.repo.git.process import child_environment
from dandi_mirror.repo.git.stream import LINK, Commit, Inline

Row = tuple[str, ...]

ONE = 37_481
"""Entries of the Zarr that the official mirror's maintainers measured."""
LARGEST = 1_305_320
"""Entries of the archive's largest Zarr."""
ALL_ZARRS, ALL_ENTRIES = 29_061, 369_200_000
"""Of the archive, in August 2026."""
ZARR = "0c1f3f9e-7d5f-4b8c-9b1a-2f6f1f0d9a11"
SOURCES = Sources("https://api.dandiarchive.org/api", f"https://dandiarchive.s3.amazonaws.com/zarr/{ZARR}/")
TIMES = 3
"""Repositories of either kind; the quickest one is told."""
_PAGE = 1000


class Taken(NamedTuple):
    """What something took: seconds, and those of processors, also of programs that it started."""

    seconds: float
    cpu: float

    def __add__(self, other: Taken) -> Taken:  # type: ignore[override]
        return Taken(self.seconds + other.seconds, self.cpu + other.cpu)


def timed(function: Callable[[], object]) -> Taken:
    """What a call takes."""
    before, start = sum(os.times()[:4]), time.monotonic()
    function()
    return Taken(time.monotonic() - start, sum(os.times()[:4]) - before)


def entries_of(count: int, seed: int = 1) -> list[ZarrEntry]:
    """Entries with digests and versions as real ones look, sorted; every seventh has the content of another."""
    chance = random.Random(seed)
    paths = sorted(f"0/0/0/{n // 1089}/{n // 33 % 33}/{n % 33}" for n in range(count))
    digests = chance.randbytes(16 * (count * 17 // 20 + 1)).hex()
    versions = b64encode(chance.randbytes(24 * count), b"._").decode()
    found = []
    for number, path in enumerate(paths):
        at = 32 * (number % (len(digests) // 32))
        time = f"2022-06-27T{number // 9000 % 24:02}:{number // 150 % 60:02}:{number * 7919 % 53:02}Z"
        size = int(chance.gauss(506_000, 9_000))
        found.append(ZarrEntry(path, size, digests[at : at + 32], versions[number * 32 : number * 32 + 32], time))
    return found


def population(entries: int) -> list[int]:
    """The sizes of Zarrs that together have about so many entries, distributed as those of the archive."""
    zarrs = max(1, round(entries * ALL_ZARRS / ALL_ENTRIES))
    return [_quantile((number + 0.5) / zarrs) for number in range(zarrs)]


def _quantile(share: float) -> int:
    """How many entries the Zarr has that is larger than this share of all."""
    if share < 0.02:
        return round(1000 * share / 0.02)
    if share < 0.78:
        return 147
    if share < 0.815:
        return round(1000 * math.pow(10, (share - 0.78) / 0.035))
    if share < 0.9:
        return round(10_000 * math.pow(6.263, (share - 0.815) / 0.085))
    return min(LARGEST, round(62_630 * math.pow((1 - share) / 0.1, -1 / 2.67)))


def pages_of(zarr: str, entries: list[ZarrEntry]) -> list[bytes]:
    """The entries as S3 lists them: XML, a thousand a page."""
    found = []
    for start in range(0, len(entries), _PAGE):
        rows = "".join(
            f"<Version><Key>zarr/{zarr}/{path}</Key><VersionId>{version}</VersionId><IsLatest>true</IsLatest>"
            f"<LastModified>{modified[:-1] if modified else ''}.000Z</LastModified><ETag>&quot;{etag}&quot;</ETag>"
            f"<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Version>"
            for path, size, etag, version, modified in entries[start : start + _PAGE]
        )
        page = f"<ListVersionsResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{rows}"
        found.append(f"{page}</ListVersionsResult>".encode())
    return found


def listed(zarr: str, pages: list[bytes]) -> Iterator[ZarrEntry]:
    """What a sync reads from these pages."""
    start = len(f"zarr/{zarr}/")
    for page in pages:
        for path, size, etag, version, modified in read_page(page, f"zarr/{zarr}/", Marker(), zarr).entries:
            yield ZarrEntry(path[start:], size, etag, version, modified)


def manifests(folder: Path, count: int) -> list[Row]:
    """One Zarr of 37,481 entries, and a population of Zarrs with ``count`` entries."""
    rows: list[Row] = [("", "seconds", "CPU", "entries/s of CPU", "bytes an entry", "")]
    entries = entries_of(ONE)
    pages = pages_of(ZARR, entries)
    checksum = zarr_state_of(ZARR, entries).checksum
    store = Manifests(folder / "one")

    def one(name: str, function: Callable[[], object]) -> None:
        taken = timed(function)
        rows.append((name, f"{taken.seconds:.2f}", f"{taken.cpu:.2f}", f"{ONE / taken.cpu:,.0f}"))

    rows.append((f"one Zarr of {ONE:,} entries",))
    one("  listing read (XML of S3)", lambda: list(listed(ZARR, pages)))
    one("  gitlink alone", lambda: zarr_state_of(ZARR, entries))
    one("  listing to manifest and gitlink", lambda: store.add(ZARR, checksum, listed(ZARR, pages), "s3"))
    size = store.path(ZARR, checksum).path.stat().st_size
    rows[-1] = (*rows[-1], f"{size / ONE:.1f}")
    one("  manifest read, verified", lambda: list(store.read(ZARR, checksum)))
    return [*rows, *_population(folder / "many", count), _memory(folder / "large")]


def _population(folder: Path, count: int) -> list[Row]:
    sizes = population(count)
    store, taken, bytes_, total = Manifests(folder), Taken(0.0, 0.0), 0, sum(sizes)
    for number, size in enumerate(sizes):
        entries = entries_of(size, number)
        zarr = f"{number:08x}{ZARR[8:]}"
        pages, checksum = pages_of(zarr, entries), zarr_state_of(zarr, entries).checksum
        taken += timed(partial(store.add, zarr, checksum, listed(zarr, pages), "s3"))
        bytes_ += store.path(zarr, checksum).path.stat().st_size
    title = f"{len(sizes):,} Zarrs of {total:,} entries, median {sorted(sizes)[len(sizes) // 2]}"
    factor = ALL_ENTRIES / total
    return [
        (title, f"{taken.seconds:.1f}", f"{taken.cpu:.1f}", f"{total / taken.cpu:,.0f}", f"{bytes_ / total:.1f}"),
        (f"  extrapolated to {ALL_ENTRIES:,}", "", f"{taken.cpu * factor:,.0f}", "", "",
         f"{taken.cpu * factor / 3600:.1f} hours of one core, {bytes_ * factor / 1e9:.1f} GB"),
    ]  # fmt: skip


def _memory(folder: Path) -> Row:
    """Memory of one process that lists the largest Zarr."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.zarr", str(folder), str(LARGEST)],
        stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[1], text=True,
    )  # fmt: skip
    seconds, cpu, memory = map(float, done.stdout.split())
    rate = f"{LARGEST / cpu:,.0f}"
    return f"one Zarr of {LARGEST:,} entries", f"{seconds:.1f}", f"{cpu:.1f}", rate, "", f"{memory / 1e6:.0f} MB more"


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _list_large(folder: Path, count: int) -> None:
    """Add the manifest of entries that are made as they are asked for: all in one folder, the worst case."""

    def made(number: int) -> Iterator[ZarrEntry]:
        for n in range(number):
            etag = md5(b"%d" % n, usedforsecurity=False).hexdigest()
            yield ZarrEntry(f"c/{n:07}", n, etag, etag, "2022-06-27T23:08:13Z")

    Manifests(folder / "small").add(ZARR, zarr_state_of(ZARR, made(1000)).checksum, made(1000), "s3")
    before = _most()
    checksum = zarr_state_of(ZARR, made(count)).checksum
    taken = timed(lambda: Manifests(folder).add(ZARR, checksum, made(count), "s3"))
    print(taken.seconds, taken.cpu, _most() - before)


# --- the repository ---------------------------------------------------------------------------------------------


def repository(folder: Path, peer: int) -> list[Row]:
    """A repository of 37,481 entries with logs: by git-annex, by fast-import, as a pack written directly, and ours."""
    entries = entries_of(ONE)
    checksum = zarr_state_of(ZARR, entries).checksum
    for n in range(TIMES):
        Manifests(folder / f"ours{n}").add(ZARR, checksum, entries, "s3")
    calls = timed(lambda: record_entries(folder / "peer", entries[:peer], SOURCES.urls))
    by_calls = Taken(calls.seconds / peer * ONE, calls.cpu / peer * ONE)
    links = timed(lambda: _links_by_fast_import(_bare(folder / "stream"), entries))
    both = links + timed(lambda: _logs_by_fast_import(folder / "stream", entries))
    limit = min(timed(partial(_directly, _bare(folder / f"direct{n}"), entries)) for n in range(TIMES))
    ours = min(
        timed(partial(ZarrRepositories(folder / f"ours{n}").write, ZARR, checksum, SOURCES)) for n in range(TIMES)
    )
    rows: list[Row] = [("", "seconds", "CPU", "entries/s of CPU", "times git-annex", "of the direct pack")]
    for name, taken in (
        (f"git-annex's batch calls ({peer:,} entries, extrapolated)", by_calls),
        ("git fast-import, links only", links),
        ("git fast-import, with logs", both),
        ("a pack written directly, with logs: the limit", limit),
        ("ours, from the manifest", ours),
    ):
        ratios = f"{by_calls.cpu / taken.cpu:.0f}", f"{taken.cpu / limit.cpu:.2f}"
        rows.append((name, f"{taken.seconds:.2f}", f"{taken.cpu:.2f}", f"{ONE / taken.cpu:,.0f}", *ratios))
    place = ZarrRepositories(folder / "ours0").path(ZARR).path
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    return [*rows, ("its bytes", f"{size:,}", "", f"{size / ONE:.0f} an entry")]


def _bare(folder: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", folder], check=True, env=child_environment())
    return folder


def _logs(entries: list[ZarrEntry]) -> dict[str, tuple[str, list[str]]]:
    found: dict[str, tuple[str, list[str]]] = {}
    for entry in entries:
        key = entry_key(entry.path, entry.size, entry.etag)
        found.setdefault(key, (hash_dir_lower(key), []))[1].extend(SOURCES.urls(ZARR, entry))
    return found


def _links_by_fast_import(folder: Path, entries: list[ZarrEntry]) -> None:
    files = (
        (path, Inline(link_target(entry_key(path, size, etag), path.count("/")).encode(), LINK))
        for path, size, etag, _, _ in entries
    )
    with Importer(folder) as importer:
        importer.commit(Commit("refs/heads/draft", NOW, "links\n"), [], files)


def _logs_by_fast_import(folder: Path, entries: list[ZarrEntry]) -> None:
    location = SOURCES.location_log()
    logs = (
        log
        for key, (place, urls) in sorted(_logs(entries).items(), key=lambda item: item[1][0])
        for log in ((f"{place}/{key}.log", location), (f"{place}/{key}.log.web", SOURCES.url_log(urls)))
    )
    with Importer(folder) as importer:
        import_logs(importer, Commit("refs/heads/git-annex", NOW, "update\n"), logs, {})


def _directly(folder: Path, entries: list[ZarrEntry]) -> None:
    """The same objects, from entries in memory, in nested dicts, without any check."""
    with tempfile.TemporaryFile() as file:
        pack = PackWriter(file)
        files = {
            path: (b"120000", link_target(entry_key(path, size, etag), path.count("/")))
            for path, size, etag, _, _ in entries
        }
        _put_tree(pack, files)
        logs: dict[str, tuple[bytes, str]] = {}
        for key, (place, urls) in _logs(entries).items():
            logs[f"{place}/{key}.log"] = b"100644", "1577836800s 1 00000000-0000-0000-0000-000000000001\n"
            logs[f"{place}/{key}.log.web"] = b"100644", "".join(f"1577836800s 1 {url}\n" for url in urls)
        _put_tree(pack, logs)
        pack.close()
        install(folder, file)


def _put_tree(pack: PackWriter, files: dict[str, tuple[bytes, str]]) -> bytes:
    top: dict[str, Any] = {}
    for path, (mode, content) in files.items():
        *above, name = path.split("/")
        folder = top
        for part in above:
            folder = folder.setdefault(part, {})
        folder[name] = b"%b %b\0%b" % (mode, name.encode(), pack.put(b"blob", content.encode()))
    return _put_folder(pack, top)


def _put_folder(pack: PackWriter, folder: dict[str, Any]) -> bytes:
    lines = {
        f"{name}/" if isinstance(inner, dict) else name: b"40000 %b\0%b" % (name.encode(), _put_folder(pack, inner))
        if isinstance(inner, dict)
        else inner
        for name, inner in folder.items()
    }
    return pack.put(b"tree", b"".join(lines[name] for name in sorted(lines)))


if __name__ == "__main__":
    _list_large(Path(sys.argv[1]), int(sys.argv[2]))
