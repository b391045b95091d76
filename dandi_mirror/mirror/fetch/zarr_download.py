"""A Zarr as a folder of plain files: bringing it whole, and making one that is there what the archive has."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.archive.content.scheduler import ByteCounter, TransferSettings
from dandi_mirror.errors import DiskError, PartError
from dandi_mirror.files.target import InTheWay, TargetFolder
from dandi_mirror.mirror.contents.local import Contents, File
from dandi_mirror.mirror.fetch.plain_files import PARTIALS, Done, Plan, bring, judge
from dandi_mirror.repo.git.disk import sync_to_disk


@dataclass(frozen=True, slots=True)
class Filling:
    """A Zarr on its way to a folder."""

    zarr: File
    files: list[File]
    """All that it holds."""
    path: Path
    """Where it is to be."""
    top: Path
    """Where it gathers: there, if something is there already, else in :data:`PARTIALS`."""
    plan: Plan
    """What is to come."""

    def place(self, file: File) -> Path:
        """Where one of its files gathers."""
        return _place(self.top, self.zarr, file)


def plan_zarr(zarr: File, files: list[File], path: Path, folder: Path, existing: str) -> Filling:
    """Which files of a Zarr are to come to ``path`` below ``folder``.

    What is at ``path`` is judged as ``existing`` says; what an earlier run has left, by size and time.
    """
    new = not path.exists()
    top, mode = (folder / PARTIALS / zarr.zarr, "refresh") if new else (path, existing)
    plan = Plan()
    for file in files:
        place = _place(top, zarr, file)
        if settled := judge(file, place, mode):
            plan.settled.append(settled)
        else:
            plan.wanted.append((file, place))
    return Filling(zarr, files, path, top, plan)


def _place(top: Path, zarr: File, file: File) -> Path:
    return top / file.path[len(zarr.path) + 1 :]


def bring_zarr(
    filling: Filling,
    folder: Path,
    urls: Mapping[str, tuple[str, ...]],
    access: TransferSettings,
    meter: ByteCounter,
    jobs: int,
) -> Done:
    """Bring all of a Zarr; a new one is there whole or not at all.

    In one that is there already, files that differ are replaced, and what the archive does not have is taken away.

    Raises:
        DiskError: the disk is full or not ours to write; what has come is kept.
    """
    zarr, path, top = filling.zarr, filling.path, filling.top
    brought = bring(filling.plan, Contents("", "", "", []), urls, folder, access, meter, jobs)
    if failed := [done for done in (*brought, *filling.plan.settled) if done.status == "error"]:
        count, first = f"{len(failed):,} of its {len(filling.files):,} files", failed[0]
        return Done(zarr, path, "error", f"{count} did not come; {first.file.entry}: {first.message}", first.exit_code)
    try:
        with TargetFolder(folder) as below:
            gone = _take_away(below, filling)
            if top != path:
                _put(below, filling)
    except InTheWay as error:
        return Done(zarr, path, "error", f"{error.filename}: {error.strerror}; move it away", PartError.exit_code)
    except OSError as error:
        raise DiskError.of(path, error) from error
    return Done(zarr, path, "ok" if top != path or filling.plan.wanted or gone else "notneeded")


def _put(below: TargetFolder, filling: Filling) -> None:
    """Put what has gathered in its place."""
    top, path = (str(place.relative_to(below.top)) for place in (filling.top, filling.path))
    with below.folder(top, make=True):
        pass  # a Zarr may hold nothing
    below.move(top, path)
    sync_to_disk(filling.path.parent)
    below.remove_empty(PARTIALS)


def _take_away(below: TargetFolder, filling: Filling) -> int:
    """Remove the files that the archive does not have, and folders that are empty then; how many files those were."""
    count, kept = 0, {file.path[len(filling.zarr.path) + 1 :] for file in filling.files}
    try:
        with below.folder(str(filling.top.relative_to(below.top))) as descriptor:
            # links to folders are not followed, but are files that the archive does not have
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
        return 0  # nothing has gathered
    return count
