"""Download a Zarr as a folder of plain files, or update such a folder to what the archive has."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.archive.content.single import ByteCounter
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.errors import DiskError, PartError
from dandi_mirror.files.target import InTheWay, TargetFolder
from dandi_mirror.mirror.contents.files import Contents, VersionFile
from dandi_mirror.mirror.fetch.download_plan import PARTIALS, DownloadPlan, DownloadResult, judge_existing
from dandi_mirror.mirror.fetch.plain_files import download_files
from dandi_mirror.mirror.fetch.zarr_parts import Surroundings, covering, download_entries, reopen
from dandi_mirror.mirror.zarr.arrays import may_cover
from dandi_mirror.repo.git.disk import sync_to_disk


@dataclass(frozen=True, slots=True)
class ZarrDownload:
    """The download of one Zarr."""

    zarr: VersionFile
    files: list[VersionFile]
    """All files of the Zarr."""
    path: Path
    """Where the Zarr belongs."""
    top: Path
    """Where its files are put meanwhile: at ``path`` if that exists, else in :data:`PARTIALS`."""
    plan: DownloadPlan
    """Which of the files to download."""

    def place(self, file: VersionFile) -> Path:
        """Return where one of its files is put."""
        return _place(self.top, self.zarr, file)


def plan_zarr_download(
    zarr: VersionFile, files: list[VersionFile], path: Path, folder: Path, existing: str
) -> ZarrDownload:
    """Decide which files of a Zarr have to be downloaded to ``path`` below ``folder``.

    ``existing`` says what to do with files that are there; files of an unfinished earlier run are compared by size and
    time.
    """
    new = not path.exists()
    top, mode = (folder / PARTIALS / zarr.zarr, "refresh") if new else (path, existing)
    plan = DownloadPlan()
    for file in files:
        place = _place(top, zarr, file)
        if settled := judge_existing(file, place, mode):
            plan.settled.append(settled)
        else:
            plan.wanted.append((file, place))
    if not new:
        reopen(plan)
    return ZarrDownload(zarr, files, path, top, plan)


def _place(top: Path, zarr: VersionFile, file: VersionFile) -> Path:
    return top / file.path[len(zarr.path) + 1 :]


def download_zarr(
    zarr_download: ZarrDownload,
    folder: Path,
    urls: Mapping[str, tuple[str, ...]],
    access: TransferSettings,
    meter: ByteCounter,
    jobs: int,
) -> DownloadResult:
    """Download a Zarr; a new one appears in its place only when it is complete.

    In a Zarr that is there already, files that differ are replaced, and files that the archive does not have are
    removed.

    Raises:
        DiskError: the disk is full or not writable; complete files are kept for the next run.
    """
    zarr, path, top = zarr_download.zarr, zarr_download.path, zarr_download.top
    plan = zarr_download.plan
    results: Iterable[DownloadResult]
    if top == path:
        covered = _in_folders(zarr_download.files, plan)
        around = Surroundings(lambda file: covered[file.entry.rpartition("/")[0]], zarr_download.place)
        results = download_entries(plan, around, urls, folder, access, meter, jobs)
    else:  # it appears as a whole
        results = download_files(plan, Contents("", "", "", []), urls, folder, access, meter, jobs)
    if failed := [done for done in (*results, *plan.settled) if done.status in {"error", "impossible"}]:
        return _failure(zarr_download, failed)
    try:
        with TargetFolder(folder) as below:
            gone = _remove_extra(below, zarr_download)
            if top != path:
                _put(below, zarr_download)
    except InTheWay as error:
        return DownloadResult(
            zarr, path, "error", f"{error.filename}: {error.strerror}; move it away", PartError.exit_code
        )
    except OSError as error:
        raise DiskError.of(path, error) from error
    return DownloadResult(zarr, path, "ok" if top != path or zarr_download.plan.wanted or gone else "notneeded")


def _failure(zarr_download: ZarrDownload, failed: list[DownloadResult]) -> DownloadResult:
    failed.sort(key=lambda done: done.status == "impossible")
    count, first = f"{len(failed):,} of its {len(zarr_download.files):,} files", failed[0]
    why = f"{count} could not be downloaded; {first.file.entry}: {first.message}"
    return DownloadResult(zarr_download.zarr, zarr_download.path, "error", why, first.exit_code)


def _in_folders(files: Iterable[VersionFile], plan: DownloadPlan) -> dict[str, list[VersionFile]]:
    """The files below each folder of which the plan wants metadata."""
    found: dict[str, list[VersionFile]] = {
        file.entry.rpartition("/")[0]: [] for file, _ in plan.wanted if may_cover(file.entry)
    }
    for file in files if found else ():
        for folder in covering([file.entry]) & found.keys():
            found[folder].append(file)
    return found


def _put(below: TargetFolder, zarr_download: ZarrDownload) -> None:
    """Move a complete Zarr to its place."""
    top, path = (str(place.relative_to(below.top)) for place in (zarr_download.top, zarr_download.path))
    with below.folder(top, make=True):
        pass  # a Zarr may be empty
    below.move(top, path)
    sync_to_disk(zarr_download.path.parent)
    below.remove_empty(PARTIALS)


def _remove_extra(below: TargetFolder, zarr_download: ZarrDownload) -> int:
    """Remove files that the archive does not have, and empty folders; return the number of removed files."""
    count, kept = 0, {file.path[len(zarr_download.zarr.path) + 1 :] for file in zarr_download.files}
    try:
        with below.folder(str(zarr_download.top.relative_to(below.top))) as descriptor:
            # a link to a folder is not followed: it is itself a file that the archive does not have
            for where, folders, names, folder in os.fwalk(".", topdown=False, dir_fd=descriptor):
                for name in (*names, *folders):
                    if os.path.normpath(f"{where}/{name}") in kept:
                        continue
                    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                        os.unlink(name, dir_fd=folder)
                        count += 1
                    elif name in folders:
                        with suppress(OSError):
                            os.rmdir(name, dir_fd=folder)
    except FileNotFoundError:
        return 0  # nothing was downloaded
    return count
