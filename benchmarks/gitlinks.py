"""A Dandiset of very many Zarrs, as git and DataLad find it: a gitlink and a section of ``.gitmodules`` each."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from dandi_mirror.mirror.zarr.gitmodules import ZarrModule, gitmodules
from dandi_mirror.repo.git.importer import Importer
from dandi_mirror.repo.git.process import child_environment
from dandi_mirror.repo.git.stream import GITLINK, Commit, ExistingObject, Inline

Row = tuple[str, ...]

MOST = 23_614
"""Zarrs of the Dandiset that has most of them, 001412."""
_IDENTITY = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
             "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}  # fmt: skip


def compare(folder: Path, count: int = MOST) -> list[Row]:
    """What stock tools take in a clone."""
    dataset, clone = folder / "000123", folder / "clone"
    size = _make(dataset, count)
    rows: list[Row] = [(f"{count:,} Zarrs in a Dandiset", "seconds", "CPU", "", "memory")]
    for name, command, where in (
        ("  git clone", ["git", "clone", "-q", str(dataset), str(folder / "plain")], folder),
        ("  datalad clone", ["datalad", "-l", "error", "clone", str(dataset), str(clone)], folder),
        ("  git status, first", ["git", "status"], clone),
        ("  git status, again", ["git", "status"], clone),
        ("  datalad subdatasets", ["datalad", "-f", "disabled", "subdatasets"], clone),
    ):
        rows.append((name, *_measured(command, where)))
    return [*rows, ("  bytes of .gitmodules", f"{size:,}")]


def _make(dataset: Path, count: int) -> int:
    """Write a dataset as a sync does; the bytes of its ``.gitmodules``."""
    zarrs = [
        ZarrModule(
            f"sub-{number // 40:04}/micr/sub-{number // 40:04}_sample-{number % 40:02}_stain-LEC_SPIM.ome.zarr",
            f"{number:08x}-7d5f-4b8c-9b1a-2f6f1f0d9a11",
            f"{number:032x}-147--34000000000",
        )
        for number in range(count)
    ]
    modules = gitmodules(zarrs)
    files = [(".gitmodules", Inline(modules)), (".datalad/config", Inline(b'[datalad "dataset"]\n\tid = x\n'))]
    links = [(zarr.path, ExistingObject(f"{number + 1:040x}", GITLINK)) for number, zarr in enumerate(zarrs)]
    subprocess.run(["git", "init", "-q", "-b", "draft", dataset], check=True, env=child_environment())
    with Importer(dataset) as importer:
        importer.commit(Commit("refs/heads/draft", datetime(2024, 1, 1, tzinfo=UTC), "zarrs\n"), [], [*files, *links])
    return len(modules)


def _measured(command: list[str], folder: Path) -> Row:
    seconds, cpu, memory = used(command, folder, child_environment() | _IDENTITY)
    return f"{seconds:.1f}", f"{cpu:.1f}", "", f"{memory / 1e6:.0f} MB"


def used(command: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[float, float, float]:
    """Run a program: its seconds, those of processors, and the bytes of memory of its largest process."""
    start = time.monotonic()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=environment)
    _, code, took = os.wait4(child.pid, 0)
    child.returncode = code
    assert code == 0, command
    return time.monotonic() - start, took.ru_utime + took.ru_stime, took.ru_maxrss * 1024
