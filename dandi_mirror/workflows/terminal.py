"""Lines and questions for the person at the terminal: everything that a command prints goes through here.

No text of a repository or an archive reaches the terminal raw: :func:`say` escapes it.  While a live display is on the
terminal (see ``cli/progress.py``), lines appear above it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from dandi_mirror.errors import DiskError, MirrorError, PartError
from dandi_mirror.text import printable
from dandi_mirror.workflows.hints import with_mirror

_displays: list[Callable[[str], None]] = []
"""What prints a line above the live display, while there is one."""
_programs: list[Callable[[str], None]] = []
"""What takes each line while a program calls the Python interface."""


class Unanswered(MirrorError):
    """Somebody pressed Ctrl-C, or closed the input, instead of answering a question."""

    exit_code = 130


def is_interactive() -> bool:
    """Whether a person can be asked: input and errors are on a terminal, and no program calls."""
    return not _programs and sys.stdin.isatty() and _is_terminal(sys.stderr)


def say(text: str = "", *, err: bool = False) -> None:
    """Print lines for people, with every letter escaped that is invisible or moves the cursor.

    Commands in them name the mirror, where the person named it; see :mod:`dandi_mirror.workflows.hints`.

    Raises:
        DiskError: the output cannot be written.
    """
    write_out("\n".join(printable(line) for line in with_mirror(text).split("\n")), err=err)


def write_out(text: str, *, err: bool = False) -> None:
    """Print text as it is; for JSON, for colours, and for what :func:`say` has escaped.

    Raises:
        DiskError: the output cannot be written, for example because the disk is full.
    """
    if _programs:
        _programs[-1](text)
        return
    stream = sys.stderr if err else sys.stdout
    if _displays and _is_terminal(stream):
        _displays[-1](text)
        return
    with _writing():
        click.echo(text, err=err)


def write_pieces(pieces: Iterable[str]) -> None:
    """Print a file to the standard output, piece by piece, as it is.

    Raises:
        DiskError: the output cannot be written.
    """
    for piece in pieces:
        with _writing():
            sys.stdout.write(piece)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads has seen enough
    except OSError as error:
        raise DiskError(f"cannot write the output: {error.strerror or error}") from error


def _is_terminal(stream: TextIO) -> bool:
    """Whether a stream goes to a terminal; rich before 14 puts something in the place of stderr that denies it."""
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError):
        return False


@contextmanager
def display(print_above: Callable[[str], None]) -> Iterator[None]:
    """Let ``print_above`` print every line that goes to the terminal while this block lasts."""
    _displays.append(print_above)
    try:
        yield
    finally:
        _displays.remove(print_above)


@contextmanager
def called_by_program(take: Callable[[str], None]) -> Iterator[None]:
    """Give every line to ``take``, and ask nobody anything, while this block lasts."""
    _programs.append(take)
    try:
        yield
    finally:
        _programs.remove(take)


def confirm(question: str, nothing: str) -> None:
    """Ask before something that cannot be undone; ``nothing`` says what did not happen if the answer is no.

    Raises:
        PartError: the answer is no.
        Unanswered: there is no answer.
    """
    if not agree(question, nothing):
        raise PartError(nothing)


def agree(question: str, nothing: str, *, default: bool = False) -> bool:
    """Ask a question that yes or no answers; ``nothing`` says what did not happen if there is no answer.

    Raises:
        Unanswered: there is no answer.
    """
    try:
        return click.confirm(printable(with_mirror(question)), default=default, err=True)
    except click.Abort:
        raise Unanswered(f"interrupted; {nothing}") from None


def ask_secret(question: str, nothing: str) -> str:
    """Ask for something that is not shown while it is typed.

    Raises:
        Unanswered: there is no answer.
    """
    return ask(question, nothing, hidden=True)


def ask(question: str, nothing: str, *, hidden: bool = False) -> str:
    """Ask for a line of text; ``nothing`` says what did not happen if there is no answer.

    Raises:
        Unanswered: there is no answer.
    """
    try:
        answer: str = click.prompt(printable(question), hide_input=hidden, err=True)
    except click.Abort:
        raise Unanswered(f"interrupted; {nothing}") from None
    return answer.strip()
