"""List the files of a Zarr from the archive, and verify the list by the Zarr's checksum.

A Zarr is a folder of many small files at S3.  The archive has one checksum over all of them.  A Zarr can change in
place, so a list counts only if the checksum that is computed from it equals that of the archive.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.zarrs import COMPLETE, api_entries, zarr_state
from dandi_mirror.archive.names import Name
from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.errors import NotFoundError, PartError
from dandi_mirror.mirror.contents.files import VersionFile
from dandi_mirror.paths import conflicts, refuse_path
from dandi_mirror.zarr_checksum import zarr_checksum


def zarr_files(archive: ArchiveClient, zarr: VersionFile, name: Name | None = None) -> list[VersionFile]:
    """Return the files of a Zarr, or only those that a name chooses inside it, sorted by path.

    Raises:
        NotFoundError: there is no such Zarr, or no such file or folder in it; or the archive has another state of it
            than the one that the name wants.
        PartError: it is changing, or has a file that cannot be downloaded.
        BadAnswerError: the archive's answer is not what its API promises.
    """
    inside = name.entry.strip("/") if name else ""
    found = [_file(zarr, entry) for entry in api_entries(archive, zarr.zarr, inside.partition("*")[0])]
    if name and inside:
        found = [file for file in found if name.chooses(file.entry)]
        if not found:
            raise NotFoundError(f"{zarr.path} has no {inside}")
    files = checked(zarr, found)
    if not inside:
        _check(archive, zarr, found)
    if name and name.state:
        require_state(archive, zarr, name.state)
    return files


def checked(zarr: VersionFile, files: Iterable[VersionFile]) -> list[VersionFile]:
    """Return the files of a Zarr, sorted by path, if all of them can be plain files.

    Raises:
        PartError: one cannot.
    """
    found = list(files)
    for file in found:
        if reason := refuse_path(file.path):
            raise PartError(f"{zarr.path}: its file {file.entry!a:.200} cannot be downloaded: {reason}")
    if clash := conflicts(file.path for file in found):
        raise PartError(f"{zarr.path}: {next(iter(clash))} is a file and a folder at once")
    return sorted(found, key=lambda file: file.path)


def _file(zarr: VersionFile, entry: ZarrEntry) -> VersionFile:
    """Return the file of an entry of the list."""
    path = f"{zarr.path}/{entry.path}"
    url = f"{zarr.url.rstrip('/')}/{quote(entry.path)}" if zarr.url else None
    time = entry.modified or ""
    return VersionFile(path, entry.size, "", time=time, url=url, zarr=zarr.zarr, entry=entry.path, md5=entry.etag)


def require_state(archive: ArchiveClient, zarr: VersionFile, wanted: str) -> None:
    """Refuse another state than the one that somebody wants: the archive can list the newest one only.

    Raises:
        NotFoundError: see there.
    """
    if (now := zarr_state(archive, zarr.zarr).checksum) != wanted:
        raise NotFoundError(
            f"{zarr.path}: the archive has the state {now or 'of a Zarr that is being changed'} now, and can list no "
            f"other; a mirror that was synced when it had {wanted} can: -d DIR"
        )


def _check(archive: ArchiveClient, zarr: VersionFile, found: list[VersionFile]) -> None:
    """Check that these are all files of a Zarr, and of one state of it."""
    state = zarr_state(archive, zarr.zarr)
    if state.status != COMPLETE:
        raise PartError(f"{zarr.path}: the archive is still processing it; run the command again later")
    if zarr_checksum((file.entry, file.size or 0, file.md5) for file in found) != state.checksum:
        raise PartError(
            f"{zarr.path}: the listed files do not have its checksum; it may be changing, run the command again"
        )
