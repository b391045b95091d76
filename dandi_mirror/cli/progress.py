"""Progress on a terminal, on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from dandi_mirror.mirror.options import Progress


@contextmanager
def live() -> Iterator[Progress]:
    """One line that says what is being done, gone when it is done."""
    with Console(stderr=True).status("starting") as status:
        yield lambda dandiset, doing: status.update(f"{dandiset}  {doing}")
