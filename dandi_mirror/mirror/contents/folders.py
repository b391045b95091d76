"""Group the files of a version into the entries of one folder, with totals.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dandi_mirror.archive.names import Name
from dandi_mirror.mirror.contents.files import VersionFile


@dataclass(slots=True)
class FolderEntry:
    """One line of a listing: a file, or a folder with the totals of all files below it."""

    path: str
    """A folder's path ends with a slash."""
    file: VersionFile | None = None
    """The file; None for a folder."""
    files: int = 0
    size: int = 0
    """Bytes; files of unknown size count as 0."""
    here: int = 0
    """Number of files whose content is on this machine."""
    here_size: int = 0
    subjects: set[str] = field(default_factory=set)

    def add(self, file: VersionFile) -> None:
        """Add a file to the totals."""
        size = file.size or 0
        self.files += 1
        self.size += size
        self.here += file.here
        self.here_size += size if file.here else 0
        self.subjects.update(file.subjects)


def folder_entries(name: Name, files: Iterable[VersionFile]) -> list[FolderEntry]:
    """Return what is directly in the folder that a name identifies; for a name of single files, these files."""
    top = f"{name.path.rstrip('/')}/" if name.path else ""
    flat = bool(name.glob or name.prefix or name.asset or name.zarr)
    found: dict[str, FolderEntry] = {}
    for file in files:
        rest = file.path.removeprefix(top) if file.path.startswith(top) else file.path
        first, slash, _ = rest.partition("/")
        if flat or not slash or (rest is file.path and top):
            entry = found[file.path] = FolderEntry(file.path, file)
        else:
            path = f"{top}{first}/"
            entry = found.setdefault(path, FolderEntry(path))
        entry.add(file)
    return list(found.values())


def file_entries(files: Iterable[VersionFile]) -> list[FolderEntry]:
    """Return one entry for each file, at any depth."""
    entries = [FolderEntry(file.path, file) for file in files]
    for entry in entries:
        assert entry.file
        entry.add(entry.file)
    return entries


def sum_of(entries: Iterable[FolderEntry]) -> FolderEntry:
    """Add up entries."""
    found = FolderEntry("")
    for entry in entries:
        found.files += entry.files
        found.size += entry.size
        found.here += entry.here
        found.here_size += entry.here_size
        found.subjects |= entry.subjects
    return found
