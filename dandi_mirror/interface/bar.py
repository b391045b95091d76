"""Progress: a bar while content comes, the steps of a sync; on a terminal, or as one line of a cell in Jupyter."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from dandi_mirror.repeating import repeated
from dandi_mirror.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

    from dandi_mirror.mirror.fetch.scheduled import ContentProgress, Follow
    from dandi_mirror.mirror.state.options import Progress as Tell

_WIDTH = 100  # letters of the line in a cell


@contextmanager
def bar(size: int, moved: Callable[[], int]) -> Iterator[None]:
    """Show how many of ``size`` bytes have come while this block lasts; ``moved`` says how many."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    bars = _bars(*columns, TimeRemainingColumn())
    task = bars.add_task("get", total=size)
    with _drawn(bars, lambda: bars.update(task, completed=moved())):
        yield


@contextmanager
def steps() -> Iterator[tuple[Tell, Follow]]:
    """Show what a sync does now, and how content comes, while this block lasts."""
    from rich.progress import SpinnerColumn, TextColumn

    bars = _bars(SpinnerColumn(finished_text="✓"), TextColumn("{task.description}", markup=False))
    task = bars.add_task("sync", total=1)

    def tell(*words: str) -> None:
        bars.update(task, description="  ".join(["sync", *map(printable, words)]))

    def follow(step: ContentProgress) -> None:
        if step.path:
            tell(step.dandiset, f"{step.files_done:,}/{step.files:,} files", step.path)

    with _drawn(bars, lambda: None):
        yield tell, follow
        bars.update(task, description="sync", completed=1)


def _bars(*columns: ProgressColumn) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, console=Console(stderr=True), auto_refresh=False)


@contextmanager
def _drawn(bars: Progress, look: Callable[[], object]) -> Iterator[None]:
    """Draw it five times a second while this block lasts, and at the end; ``look`` is called before each time."""
    in_a_cell = bars.console.is_jupyter
    draw = _cell(bars) if in_a_cell else bars.refresh

    def tell() -> None:
        look()
        draw()

    with nullcontext() if in_a_cell else bars:
        try:
            with repeated(tell):
                yield
        finally:
            tell()


def _cell(bars: Progress) -> Callable[[], None]:
    """Begin a line in the cell that runs now; return what draws it again.

    Rich itself needs ipywidgets for that, and warns in the cell where they are missing.
    """
    from IPython.display import display
    from rich.console import Console

    def line() -> dict[str, str]:
        text = io.StringIO()
        # no colours: it is text, which every front end shows
        Console(file=text, width=_WIDTH, force_jupyter=False, color_system=None).print(bars.get_renderable())
        return {"text/plain": text.getvalue().rstrip()}

    shown = display(line(), raw=True, display_id=True)
    return lambda: shown.update(line(), raw=True)
