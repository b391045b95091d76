"""What `organize`, `validate` and `upload` have in common: how files are read that nobody vouches for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options

if TYPE_CHECKING:
    from dandi_mirror.upload.read.worker import Worker

jobs = click.option(
    "-J", "--jobs", type=click.IntRange(1, 64), metavar="N",
    help="Files that are read at once, each by a process.  [default: one a processor, at most 4]",
)  # fmt: skip
file_time = click.option(
    "--file-time", metavar="TIME", callback=options.seconds, default="10m", show_default=True,
    help="A file that is not read in this time (90s, 10m) is given up.",
)  # fmt: skip
file_memory = click.option(
    "--file-memory", metavar="SIZE", default="4G", show_default=True,
    help="A file that takes more memory to read is given up.",
)  # fmt: skip


def worker(jobs: int | None, file_time: float, file_memory: str) -> Worker:
    """The processes that read files; they end with the block.

    Raises:
        UsageError: the size is none, or dandi is not installed.
    """
    from dandi_mirror.config import size
    from dandi_mirror.upload.read.reader import Limits
    from dandi_mirror.upload.read.worker import Worker

    return Worker(
        jobs or min(4, os.cpu_count() or 1), Limits(seconds=file_time, memory=size("--file-memory", file_memory))
    )


@contextmanager
def progress(total: int, form: str) -> Iterator[Callable[[Path], None]]:
    """How many files are done and which was the last, on a terminal; nothing anywhere else."""
    if form == "json" or not total or not sys.stderr.isatty():
        yield lambda file: None
        return
    from dandi_mirror.cli.progress import live

    done = 0
    with live() as status:

        def heard(file: Path) -> None:
            nonlocal done
            done += 1
            status(f"{done:,} of {total:,} files", file.name)

        yield heard
