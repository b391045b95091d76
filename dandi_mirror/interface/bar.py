"""A bar while content comes: on a terminal, or as one line of a cell in Jupyter."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

_TICK = 0.2  # seconds between two looks at how much has come
_WIDTH = 100  # letters of the line in a cell


@contextmanager
def bar(size: int, moved: Callable[[], int]) -> Iterator[None]:
    """Show how many of ``size`` bytes have come while this block lasts; ``moved`` says how many."""
    from rich.console import Console

    console = Console(stderr=True)
    bars = _bars(console)
    task = bars.add_task("get", total=size)

    def tell(draw: Callable[[], None]) -> None:
        bars.update(task, completed=moved())
        draw()

    if console.is_jupyter:
        with _followed(tell, _cell(bars)):
            yield
    else:
        with bars, _followed(tell, bars.refresh):
            yield


def _bars(console: object) -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    return Progress(*columns, TimeRemainingColumn(), console=console, auto_refresh=False)  # type: ignore[arg-type]


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


@contextmanager
def _followed(tell: Callable[[Callable[[], None]], None], draw: Callable[[], None]) -> Iterator[None]:
    """Tell how far it is, five times a second in a thread of its own, and at the end."""
    done = threading.Event()

    def follow() -> None:
        while not done.wait(_TICK):
            tell(draw)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        tell(draw)
