"""A version's files as one level of folders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dandi_mirror.archive.names import Name
from dandi_mirror.mirror.contents.local import File


@dataclass(slots=True)
class Row:
    """A file, or a folder and all below it."""

    path: str
    """Of a folder, with a slash at its end."""
    file: File | None = None
    """None: it is a folder."""
    files: int = 0
    size: int = 0
    """Bytes, as far as they are known."""
    here: int = 0
    """Files whose content is on this machine."""
    here_size: int = 0
    subjects: set[str] = field(default_factory=set)

    def add(self, file: File) -> None:
        """Count a file."""
        size = file.size or 0
        self.files += 1
        self.size += size
        self.here += file.here
        self.here_size += size if file.here else 0
        self.subjects.update(file.subjects)


def folded(name: Name, files: Iterable[File]) -> list[Row]:
    """What is directly in the folder that a name is of; where it names single files, these files."""
    top = f"{name.path.rstrip('/')}/" if name.path else ""
    flat = bool(name.glob or name.prefix or name.asset or name.zarr)
    rows: dict[str, Row] = {}
    for file in files:
        rest = file.path.removeprefix(top) if file.path.startswith(top) else file.path
        first, slash, _ = rest.partition("/")
        if flat or not slash or (rest is file.path and top):
            row = rows[file.path] = Row(file.path, file)
        else:
            path = f"{top}{first}/"
            row = rows.setdefault(path, Row(path))
        row.add(file)
    return list(rows.values())


def every(files: Iterable[File]) -> list[Row]:
    """A row for each file."""
    rows = [Row(file.path, file) for file in files]
    for row in rows:
        assert row.file
        row.add(row.file)
    return rows


def total(rows: Iterable[Row]) -> Row:
    """All of them together."""
    found = Row("")
    for row in rows:
        found.files += row.files
        found.size += row.size
        found.here += row.here
        found.here_size += row.here_size
        found.subjects |= row.subjects
    return found
