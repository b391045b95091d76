"""The note of a mirror's archive: it counts from the first Dandiset until a run has made the superdataset."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from dandi_mirror.errors import DiskError, UsageError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.model import Instance


class Note(NamedTuple):
    """What the note says."""

    api_url: str
    dataset_id: str
    """The id of the superdataset that the mirror gets."""


def read_note(file: OwnPath) -> Note | None:
    """Read the note; None if there is none, or if it came with a repository that somebody else made."""
    if not file.exists():
        return None
    from dandi_mirror.repo.annex.edits import is_tracked  # imported late: few mirrors have a note

    if is_tracked(file.path):
        return None
    with suppress(OSError, ValueError):
        return Note(*file.read().decode().split())
    return None


def write_note(file: OwnPath, instance: Instance) -> None:
    """Write the note, unless it says so already.  Only under the lock of the note.

    Raises:
        UsageError: the folder mirrors another archive.
        DiskError: it cannot be written.
    """
    new, found = Note(instance.api_url, str(instance.dataset_id())), read_note(file)
    check_note(file, found, new.dataset_id)
    try:
        if found != new:
            file.replace(" ".join(new).encode() + b"\n")
    except OSError as error:
        raise DiskError.of(file, error) from error


def check_note(file: OwnPath, found: Note | None, dataset_id: str) -> None:
    """Refuse the mirror of another archive, of which a run has written something and has not come to its end.

    Raises:
        UsageError: it is one.
    """
    if found and found.dataset_id != dataset_id:
        raise UsageError(
            f"{file.top} mirrors another archive, {found.api_url}; name that one: -i {found.api_url}, "
            "or a new folder: -d DIR"
        )
