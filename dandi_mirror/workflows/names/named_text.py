"""Read the text of a file that somebody names for a command; it may stand in a clone that somebody else made."""

from __future__ import annotations

from pathlib import Path


def named_text(file: Path, most: int) -> str:
    """The text of a file or pipe, of at most ``most`` letters.

    Raises:
        UsageError: it cannot be read, has more letters or other bytes than UTF-8, or a link in a clone leads elsewhere.
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.repo.git.git_folder import find_repository, way_out

    if out := way_out(file):
        raise UsageError(out)
    if file.is_fifo() and find_repository(file.absolute().parent):
        raise UsageError(f"{file} is a pipe in a clone, and may never end; name a regular file")
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(most + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: {getattr(error, 'strerror', None) or error}") from error
    if len(text) > most:
        raise UsageError(f"{file}: it has more than {most:,} letters")
    return text
