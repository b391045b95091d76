"""Questions to the person at the terminal, and what is said when the answer is no."""

from __future__ import annotations

import click

from dandi_mirror.cli.ending import CODE
from dandi_mirror.errors import MirrorError, PartError


class Unanswered(MirrorError):
    """Somebody pressed Ctrl-C, or closed the input, instead of answering."""

    exit_code = CODE


def confirm(question: str, nothing: str) -> None:
    """Ask before something that cannot be undone; ``nothing`` says what has not happened if the answer is no.

    Raises:
        PartError: the answer is no.
        Unanswered: there is no answer.
    """
    try:
        yes = click.confirm(question, err=True)
    except click.Abort:
        raise Unanswered(f"interrupted; {nothing}") from None
    if not yes:
        raise PartError(nothing)
