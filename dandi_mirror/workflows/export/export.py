"""Write a version in a format of others, as a file, complete or not at all; :mod:`.export_bag` writes a bag."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from dandi_mirror import __version__
from dandi_mirror.errors import DiskError, UsageError
from dandi_mirror.export import FORMS
from dandi_mirror.export.croissant import croissant
from dandi_mirror.export.metalink import metalink
from dandi_mirror.export.ro_crate import ro_crate
from dandi_mirror.export.version import ExportFile, ExportVersion, LeftOut
from dandi_mirror.files.own import own_path
from dandi_mirror.workflows.export.source import ExportSource, describe, entries
from dandi_mirror.workflows.terminal import write_pieces

PROGRAM = f"dandi-mirror {__version__}"
NO_SHA256 = "a Zarr, of which the archive has no SHA-256, which this format needs"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    dandiset: str
    version: str
    path: Path | None
    """None if it went to the standard output."""
    files: int
    """How many it describes."""
    size: int
    """Bytes of all these files."""
    left_out: tuple[LeftOut, ...]


def place_for(source: ExportSource, form: str, wanted: Path | None, *, overwrite: bool) -> Path:
    """Return where an export goes: to ``wanted``, else to a new name in the current folder.

    Raises:
        UsageError: something is there already, and must not be overwritten.
    """
    contents = source.contents
    path = (wanted or Path(f"{contents.dandiset}-{contents.version}{FORMS[form]}")).absolute()
    if os.path.lexists(path) and (form == "bagit" or not overwrite or not path.is_file()):
        hint = "" if form == "bagit" or not path.is_file() else ", or replace it: --overwrite"
        raise UsageError(f"{path} is there already; name another place: -o NAME{hint}")
    return path


def export_file(source: ExportSource, form: str, path: Path | None) -> Exported:
    """Write a version as a file of one of the formats; without ``path`` to the standard output.

    Raises:
        DiskError: the file cannot be written.
        PartError: no sync made this version.
    """
    tally = _Tally()
    version, pieces = _pieces(source, form, tally)
    if path is None:
        write_pieces(piece.decode() for piece in pieces)
    else:
        try:
            with own_path(path).replacing() as file:
                file.writelines(pieces)
        except OSError as error:
            raise DiskError.of(path, error) from error
    return Exported(version.dandiset, version.version, path, tally.files, tally.size, version.left_out)


@dataclass(slots=True)
class _Tally:
    """Counts the files that are described."""

    files: int = 0
    size: int = 0

    def through(self, files: Iterable[ExportFile]) -> Iterator[ExportFile]:
        for file in files:
            self.files += 1
            self.size += file.size
            yield file


def _pieces(source: ExportSource, form: str, tally: _Tally) -> tuple[ExportVersion, Iterable[bytes]]:
    version = describe(source)
    if form == "metalink":
        inner, unknown = entries(source, version)
        version = replace(version, left_out=(*version.left_out, *unknown))
        return version, metalink(version, PROGRAM, tally.through(chain(version.files, inner)))
    version = version.without_zarrs(NO_SHA256) if form == "croissant" else version
    list(tally.through([*version.files, *version.zarrs]))
    return version, [croissant(version) if form == "croissant" else ro_crate(version)]
