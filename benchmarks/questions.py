"""What a person waits for: the start of the program, and questions to a mirror."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

from benchmarks.archive import Row, sha256_of
from benchmarks.child import measure
from benchmarks.served import served


def startup(folder: Path, assets: int, peer: int) -> list[Row]:
    """How long help and version take: the least and the median of twenty."""
    rows: list[Row] = [("", "least", "median")]
    program = Path(sys.executable).parent / "dandi-mirror"
    for arguments in (["--version"], ["--help"], ["sync", "--help"]):
        times = sorted(_timed([str(program), *arguments]) for _ in range(20))
        rows.append((" ".join(arguments), f"{times[0] * 1000:.0f} ms", f"{statistics.median(times) * 1000:.0f} ms"))
    return rows


def ask(folder: Path, assets: int, peer: int) -> list[Row]:
    """What questions to a mirror take: whole commands, from start to end, with an index and without."""
    mirror = folder / "mirror"
    rows: list[Row] = [("", "seconds")]

    def one(name: str, *arguments: str, code: int = 0) -> None:
        rows.append((name, f"{_seconds(mirror, code, *arguments):.2f}"))

    with served("archive", assets) as archive:
        measure(archive.api_url, mirror)
        one("search index, made anew", "search")
        index = mirror / ".dandi-mirror" / "search.sqlite"
        rows.append(("its bytes", f"{index.stat().st_size:,}"))
        one("search: a subject's files", "search", "species:mus", "subject:m00001")
        one("search: a word of every file", "search", "electrophysiological")
        one("search: a word that is nowhere", "search", "electrophisiological")
        one("which: a SHA-256", "which", sha256_of(1))
        nowhere = f"https://dandiarchive.s3.amazonaws.com/blobs/000/000/{UUID(int=1, version=4)}"
        one("which: a blob that is nowhere, the first time", "which", nowhere, code=3)
        one("which: a blob that is nowhere", "which", nowhere, code=3)
        archive.change(100)
        measure(archive.api_url, mirror)
    one("search index, after 100 changed files", "search")
    changed = f"000123@{_commit(mirror / '000123', 'draft~1')}..draft"
    one("diff: 100 changed files, the first time", "diff", changed)
    one("diff: 100 changed files", "diff", changed)
    one("log --commits", "log", "000123", "--commits")
    return rows


def _seconds(mirror: Path, code: int, *arguments: str) -> float:
    """Seconds of a command about the mirror, which must end with this code."""
    program = str(Path(sys.executable).parent / "dandi-mirror")
    start = time.monotonic()
    done = subprocess.run([program, *arguments, "-d", mirror], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert done.returncode == code, (arguments, done.returncode)
    return time.monotonic() - start


def _commit(dataset: Path, name: str) -> str:
    asked = ["git", "-C", str(dataset), "rev-parse", name]
    done = subprocess.run(asked, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _timed(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - start
