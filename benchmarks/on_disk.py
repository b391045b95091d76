"""What a mirror takes of a disk, and git's import alone of what a sync wrote."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from dandi_mirror.repo.git.process import child_environment


def bare_import(folder: Path, stream: Path, environment: Mapping[str, str], *settings: str, depth: str = "") -> float:
    """Seconds of a bare ``git fast-import`` of the dataset's part of a captured stream."""
    subprocess.run(["git", "init", "-q", folder], check=True, env=child_environment())
    options = [option for option in ("--quiet", "--done", "--date-format=raw", depth) if option]
    command = ["git", "-C", str(folder), "-c", "core.fsync=all", *settings, "fast-import", *options]
    with stream.open("rb") as source:
        start = time.monotonic()
        # it stops at the first `done`: behind it comes the superdataset's stream
        subprocess.run(command, stdin=source, stdout=subprocess.DEVNULL, env=environment, check=True)
        return time.monotonic() - start


def objects_size(mirror: Path) -> int:
    """Bytes of the git objects of the one Dandiset of a mirror."""
    return sum(file.stat().st_size for file in (mirror / "000123" / ".git" / "objects").rglob("*") if file.is_file())


def usage(folder: Path) -> tuple[int, int]:
    """Inodes below a folder, itself included, and the bytes that they are allocated."""
    entries = [folder, *(Path(top, name) for top, folders, files in os.walk(folder) for name in (*folders, *files))]
    return len(entries), sum(entry.lstat().st_blocks * 512 for entry in entries)


def packs(folder: Path) -> str:
    """How many packs the one Dandiset of the mirror in a folder has."""
    return str(len(list((folder / "mirror" / "000123" / ".git" / "objects" / "pack").glob("*.pack"))))
