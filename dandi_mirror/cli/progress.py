"""Progress on a terminal, on stderr: what is being done, and a bar while content comes; gone when it is done.

Nothing of rich is imported before there is something to show.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from dandi_mirror.repeating import repeated
from dandi_mirror.text import counted, printable

if TYPE_CHECKING:
    from rich.console import Group
    from rich.progress import Progress as Bars

    from dandi_mirror.mirror.fetch.scheduled import ContentProgress, Follow
    from dandi_mirror.mirror.state.options import Progress

_NAME = 24
"""Letters of a file's name beside the bar."""


def is_shown(form: str) -> bool:
    """Whether somebody sees progress: people read the output, and stderr is a terminal."""
    return form != "json" and sys.stderr.isatty()


class Display:
    """The live lines at the foot of the terminal: a spinner with words, a bar, or both."""

    def __init__(self) -> None:
        from rich.spinner import Spinner

        self.bars = _bars()
        self._spinner = Spinner("dots")
        self._task = self.bars.add_task("", files="", visible=False)
        self._label = ""
        self._lines = 1
        self.refresh: Callable[[], None] = lambda: None
        """Draw it at once; a step may be over before the next regular time."""

    def __rich__(self) -> Group:
        """What is shown now."""
        from rich.console import Group

        spinner = [self._spinner] if self._spinner.text else []
        self._lines = max(1, len(spinner) + sum(task.visible for task in self.bars.tasks))
        return Group(*spinner, self.bars)

    def erasing(self) -> str:
        """What erases it and shows the cursor again, where nothing else can: the process ends by force."""
        return "\r\x1b[2K" + "\x1b[1A\x1b[2K" * (self._lines - 1) + "\x1b[?25h"

    def doing(self, *words: str) -> None:
        """Say what is being done, in one line."""
        from rich.text import Text

        self._spinner.update(text=Text("  ".join(printable(word) for word in words), no_wrap=True, overflow="ellipsis"))

    def amount(self, label: str, name: str, files: tuple[int, int], done: int, size: int) -> None:
        """Show a bar; ``label`` is its title, ``name`` the current file, ``files`` how many are done of how many."""
        if label != self._label:
            self._label = label
            self.bars.reset(self._task)
        what = f"{label}  {_short(name)}" if label else _short(name)
        counted = f"{files[0]:,}/{files[1]:,} file{'' if files[1] == 1 else 's'}"
        self.bars.update(
            self._task, description=printable(what), completed=done, total=size, files=counted, visible=True
        )

    def no_amount(self) -> None:
        """Take the bar away."""
        self.bars.update(self._task, visible=False)

    def content(self, step: ContentProgress) -> None:
        """Show how far the content of a Dandiset has come, or that it is done."""
        if step.path:
            self.amount(step.dandiset, step.path, (step.files_done, step.files), step.done, step.size)
        else:
            self.no_amount()


@contextmanager
def live() -> Iterator[Display]:
    """A live display while the block lasts; every line that is printed meanwhile appears above it."""
    from rich.console import Console
    from rich.live import Live

    from dandi_mirror.cli.exit import erasing
    from dandi_mirror.workflows import terminal

    console, shown = Console(stderr=True), Display()
    with ExitStack() as stack:
        # stdout may be a file: only lines that are written by `terminal` go above, and those of others on stderr
        drawn = Live(shown, console=console, transient=True, redirect_stdout=False, refresh_per_second=8)
        stack.enter_context(erasing(shown.erasing))
        shown.refresh = stack.enter_context(drawn).refresh
        stack.enter_context(terminal.display(lambda text: console.out(text, highlight=False)))
        yield shown


@contextmanager
def show_steps(form: str) -> Iterator[tuple[Progress, Follow]]:
    """Log each step if the log level asks for that; else show a live display on a terminal, and nothing elsewhere."""
    from logging import INFO

    from dandi_mirror.cli.logging_setup import LOG
    from dandi_mirror.mirror.state.options import silent

    if LOG.isEnabledFor(INFO):
        yield lambda dandiset, doing: LOG.info("%s  %s", dandiset, doing), lambda step: None
    elif not is_shown(form):
        yield silent, lambda step: None
    else:
        with live() as shown:
            shown.doing("starting")
            yield shown.doing, shown.content


class Transfer:
    """Which of some files are done; the current one is the first that is not."""

    def __init__(self, shown: Display | None, names: Iterable[str], size: int) -> None:
        self._shown = shown
        self._names = list(dict.fromkeys(names))
        self._done: set[str] = set()
        self._next = 0
        self._size = size
        self._words = ""

    @property
    def is_shown(self) -> bool:
        """Whether somebody sees it."""
        return self._shown is not None

    def done(self, name: str) -> None:
        """One of the files is done with, for better or worse."""
        self._done.add(name)
        while self._next < len(self._names) and self._names[self._next] in self._done:
            self._next += 1

    def doing(self, words: str) -> None:
        """What is being done instead of a file."""
        if self._shown and words != self._words:
            self._shown.doing(words)
            self._shown.refresh()
        self._words = words

    def show(self, moved: int) -> None:
        """Draw it, with so many bytes moved."""
        if self._shown and self._names:
            name = self._names[self._next] if self._next < len(self._names) else self._names[-1]
            self._shown.amount("", name, (len(self._done), len(self._names)), moved, self._size)


def waiting_words(action: str, count: int) -> str:
    """That so many files are waited for, which another process is fetching; empty if there are none."""
    which = "it" if count == 1 else "them"
    return f"another {action} is fetching {counted(count, 'file')}; waiting for {which}" if count else ""


@contextmanager
def transferring(form: str, names: Iterable[str], size: int, moved: Callable[[], int]) -> Iterator[Transfer]:
    """A bar over some files, with bytes (``moved`` says how many), rate and time left; no bar where nobody sees it."""
    if not is_shown(form):
        yield Transfer(None, names, size)
        return
    with live() as shown:
        transfer = Transfer(shown, names, size)
        transfer.show(0)
        with repeated(lambda: transfer.show(moved())):
            yield transfer


@contextmanager
def busy(form: str, words: str) -> Iterator[None]:
    """A spinner with words while the block lasts.  Nothing where nobody sees it."""
    if not is_shown(form):
        yield
        return
    with live() as shown:
        shown.doing(words)
        shown.refresh()
        yield


@contextmanager
def counting(form: str, total: int) -> Iterator[Callable[[str], None]]:
    """How many files are done, with the last one's name; call it with each.  Nothing where nobody sees it."""
    if not total or not is_shown(form):
        yield lambda name: None
        return
    done = 0
    with live() as shown:

        def count(name: str) -> None:
            nonlocal done
            done += 1
            shown.doing(f"{done:,} of {total:,} files", name)

        shown.doing(f"0 of {total:,} files")
        shown.refresh()
        yield count


def _bars() -> Bars:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=10),
        TextColumn("{task.fields[files]}", markup=False),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )


def _short(name: str) -> str:
    """A file's name, without its folders, cut in the middle if it is long."""
    last = name.rstrip("/").rpartition("/")[2]
    return last if len(last) <= _NAME else f"{last[: _NAME // 2 - 1]}…{last[-_NAME // 2 :]}"
