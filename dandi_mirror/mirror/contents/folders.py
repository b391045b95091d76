"""Group the files of a version into the entries of one folder, with totals.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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

    def include(self, other: FolderEntry) -> None:
        """Add the totals of another entry."""
        self.files += other.files
        self.size += other.size
        self.here += other.here
        self.here_size += other.here_size
        self.subjects |= other.subjects


def folder_entries(name: Name, files: Iterable[VersionFile]) -> list[FolderEntry]:
    """Return what is directly in the folder that a name identifies; for a name of single files, these files."""
    single = name.glob or name.prefix or name.asset or name.zarr
    flat = "*" in name.entry if name.entry else bool(single)
    found: dict[str, FolderEntry] = {}
    for file in files:
        top = _top(name, file)
        rest = file.path.removeprefix(top) if file.path.startswith(top) else file.path
        first, slash, _ = rest.partition("/")
        if flat or not slash or (rest is file.path and top):
            entry = found[file.path] = FolderEntry(file.path, file)
        else:
            path = f"{top}{first}/"
            entry = found.get(path) or found.setdefault(path, FolderEntry(path))
        entry.add(file)
    return list(found.values())


def _top(name: Name, file: VersionFile) -> str:
    """Return the folder that a name identifies, in the paths of which that of ``file`` is one."""
    if name.entry and file.entry:
        inside = name.entry.strip("/")
        return file.path[: -len(file.entry)] + (f"{inside}/" if inside else "")
    return f"{name.path.rstrip('/')}/" if name.path else ""


def file_entries(files: Iterable[VersionFile]) -> Iterator[FolderEntry]:
    """Yield one entry for each file, at any depth."""
    for file in files:
        entry = FolderEntry(file.path, file)
        entry.add(file)
        yield entry
