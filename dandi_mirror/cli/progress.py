"""Progress on a terminal, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from dandi_mirror.cli.following import repeated
from dandi_mirror.mirror.state.options import Progress


@contextmanager
def live() -> Iterator[Progress]:
    """One line that says what is being done, gone when it is done."""
    with Console(stderr=True).status("starting") as status:
        yield lambda dandiset, doing: status.update(f"{dandiset}  {doing}")


@contextmanager
def transferring(total: int, received: Callable[[], int]) -> Iterator[Callable[[str], None]]:
    """A bar with bytes, rate and time left, gone when it is done; what else is done may be said beside it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=total)
        with repeated(lambda: bars.update(task, completed=received())):
            yield lambda doing: bars.update(task, description=doing, refresh=True)
