"""What a command would print beside its results, as warnings of Python."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager

from dandi_mirror.workflows.terminal import called_by_program


def remarks_as_warnings() -> AbstractContextManager[None]:
    """While this block lasts, nothing is printed or asked: what a command would say is a warning."""
    return called_by_program(lambda line: warnings.warn(line, stacklevel=2))
