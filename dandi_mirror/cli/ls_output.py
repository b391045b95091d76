"""What `ls` prints: a table for people, or JSON records; row by row, because a Zarr can have a million entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dandi_mirror.cli import output
from dandi_mirror.text import beginning, counted, human_size, printable

if TYPE_CHECKING:
    from dandi_mirror.mirror.contents.files import Contents, VersionFile
    from dandi_mirror.mirror.contents.folders import FolderEntry

SHOWN_SUBJECTS = 3
"""How many subjects of a folder are named."""
Urls = Callable[["VersionFile"], dict[str, str]]
"""The links of a file; none if nobody asked for them."""


def print_table(found: Contents, entries: Iterable[FolderEntry], urls: Urls) -> None:
    """Print a heading, a line for each entry, and the totals."""
    from dandi_mirror.mirror.contents.folders import FolderEntry

    title = f"  {beginning(printable(found.title))}" if found.title else ""
    source = f"from {folder_of(found)}" if found.dataset else "from the archive"
    output.say(f"{version_words(found) or 'asset'}{title}  ({source})")
    every = FolderEntry("")
    for entry in entries:
        output.say(_line(entry))
        for of, url in urls(entry.file).items() if entry.file else ():
            output.say(f"{'':12}{of:12} {printable(url)}")
        every.include(entry)
    people = f", {counted(len(every.subjects), 'subject')}" if every.subjects else ""
    here = f"; here: {every.here:,}, {human_size(every.here_size)}" if every.here else ""
    output.say(f"{counted(every.files, 'file')}, {human_size(every.size)}{people}{here}")


def _line(entry: FolderEntry) -> str:
    file = entry.file
    size = human_size(entry.size) if file is None or file.size is not None else "?"
    return f"{size:>10}  {_here(entry):>9}  {_subjects(entry):24}  {printable(entry.path)}{_kind(file)}"


def _kind(file: VersionFile | None) -> str:
    """Say what is particular about a file."""
    if file and file.is_zarr:
        return f"  (Zarr, {_entries(file.entries)})" if file.entries is not None else "  (Zarr)"
    return f"  [{file.state}]" if file and file.state else ""


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number:,} entries"


def _here(entry: FolderEntry) -> str:
    """Say how much of it is on this machine."""
    if entry.file and entry.file.present is not None:
        return f"{entry.file.present:,}/{entry.file.entries or 0:,}"
    if entry.file:
        return "here" if entry.here else "-"
    return f"{entry.here:,}/{entry.files:,}" if entry.here else "-"


def _subjects(entry: FolderEntry) -> str:
    names = sorted(entry.subjects)
    if len(names) > SHOWN_SUBJECTS:
        return f"{len(names):,} subjects"
    return printable(", ".join(names))[:24] or "-"


def records(found: Contents, entries: Iterable[FolderEntry], urls: Urls) -> Iterator[dict[str, Any]]:
    """Give the JSON record of each entry."""
    for entry in entries:
        unusable = entry.file.reason if entry.file and not entry.file.by_sync else ""
        facts: dict[str, Any] = {
            "files": entry.files,
            "size": entry.size,
            "here": entry.here,
            "here_size": entry.here_size,
        }
        if entry.file:
            links = urls(entry.file)
            facts = _file_facts(entry.file) | ({"links": links} if links else {})
        yield {
            "action": "ls",
            "path": str(folder_of(found) / entry.path) if found.dataset else "",
            "type": "file" if entry.file else "directory",
            "refds": str(folder_of(found)) if found.dataset else "",
            "status": "impossible" if unusable else "ok",
            "message": unusable,
            "dandiset": found.dandiset,
            "version": found.version,
            "source": "mirror" if found.dataset else "archive",
            "file": entry.path,
            "subjects": sorted(entry.subjects),
            **facts,
        }


def _file_facts(file: VersionFile) -> dict[str, Any]:
    facts: dict[str, Any] = {"size": file.size, "here": file.here, "asset_id": file.asset_id, "sha256": file.sha256}
    facts |= {"key": file.key, "session": file.session, "state": file.state or "", "reason": file.reason}
    if file.is_zarr:
        facts |= {"zarr": file.zarr, "checksum": file.checksum, "entries": file.entries, "entries_here": file.present}
    elif file.entry:
        facts |= {"zarr": file.zarr, "entry": file.entry, "etag": file.md5}
    return facts


def version_words(found: Contents) -> str:
    """Return the version that is listed, as people write it."""
    return f"{found.dandiset}@{found.version}" if found.version else found.dandiset


def folder_of(found: Contents) -> Path:
    """Return the folder of the dataset that a version was read from."""
    assert found.dataset
    return found.dataset.path
