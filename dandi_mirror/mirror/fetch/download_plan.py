"""Decide where the files of a version go on disk, and which of them have to be downloaded."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dandi_mirror.archive.content.single import PIECE
from dandi_mirror.archive.names import Name
from dandi_mirror.digests import hasher, is_verifiable
from dandi_mirror.errors import DiskError, PartError
from dandi_mirror.files.abilities import folds_names
from dandi_mirror.mirror.contents.files import Contents, VersionFile
from dandi_mirror.model import FindingKind, parse_time
from dandi_mirror.paths import conflicts, refuse_path, same_names

CHOOSE = "add -e skip, overwrite, overwrite-different or refresh"
"""What to type where something is in the way."""
PARTIALS = ".dandi-mirror-download"
"""The folder, below the one that is downloaded to, of files that are not complete yet."""
_ZARR_MARKS = {".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json"}
"""Files by which the top folder of a Zarr is known."""
SAME_TIME = 2.0
"""Seconds by which the times of the same file may differ; some file systems have no finer ones."""


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """The result of one file."""

    file: VersionFile
    path: Path
    """Where the file is, or would be."""
    status: str = "ok"
    """DataLad's words: ``ok``, ``notneeded``, ``impossible``, ``error``."""
    message: str = ""
    exit_code: int = 0


@dataclass(slots=True)
class DownloadPlan:
    """Which files to download, and to where."""

    wanted: list[tuple[VersionFile, Path]] = field(default_factory=list)
    settled: list[DownloadResult] = field(default_factory=list)
    """Results of the files that need no download."""
    zarrs: list[tuple[VersionFile, Path]] = field(default_factory=list)
    """Zarrs; their files are not known yet."""

    @property
    def size(self) -> int:
        """Bytes to download; content that several files share counts once."""
        return sum({file.digest: file.size or 0 for file, _ in self.wanted}.values())


def relative_target(name: Name, path: str, dandiset: str, *, preserve_tree: bool) -> str:
    """Return the path of a file below the target folder, by the rules of the dandi client.

    For a whole version, or with ``preserve_tree``: ``000004/`` and the full path.  For a folder: the path from that
    folder on.  For a single file: its name.  For a glob: the full path.
    """
    if preserve_tree or (name.whole and dandiset):
        return f"{dandiset}/{path}" if dandiset else path
    if name.glob:
        return path
    if name.asset or name.zarr:
        return path.rpartition("/")[2]
    parent = (name.path or name.prefix).rstrip("/").rpartition("/")[0]
    return path[len(parent) + 1 :] if parent else path


def plan_download(
    name: Name, contents: Contents, folder: Path, existing: str, taken: dict[Path, str], *, preserve_tree: bool = False
) -> DownloadPlan:
    """Decide which files to download, by what is in ``folder``; nothing is written.

    ``taken`` maps the paths that earlier files of the same command go to, to their digests; this plan adds its own.
    """
    plan, unfinished = DownloadPlan(), (folder / PARTIALS).is_dir()
    target = download_targets(name, contents, folder, preserve_tree=preserve_tree)
    clash = conflicts(file.path for file in contents.files if not file.state or file.state is FindingKind.ZARR)
    twins = _twins({*taken, *map(target, contents.files)}, folder)
    for file in contents.files:
        if reason := clash.get(file.path) or _refused(file):
            where = f"; its content is at the archive: dandi-mirror ls --links {file.asset_id}" if file.asset_id else ""
            message = f"{reason}{where}"
            plan.settled.append(DownloadResult(file, Path(), "impossible", message, PartError.exit_code))
            continue
        path = target(file)
        settled = _beside(file, path, taken, twins) or judge_existing(file, path, existing, unfinished=unfinished)
        taken.setdefault(path, _identity(file))
        if settled:
            plan.settled.append(settled)
        else:
            (plan.zarrs if file.state is FindingKind.ZARR else plan.wanted).append((file, path))
    return plan


def download_targets(
    name: Name, contents: Contents, folder: Path, *, preserve_tree: bool = False
) -> Callable[[VersionFile], Path]:
    """Return where each file of what a name means is put below ``folder``."""
    place = _as_path(name, contents)
    return lambda file: folder / relative_target(place, file.path, contents.dandiset, preserve_tree=preserve_tree)


def _as_path(name: Name, contents: Contents) -> Name:
    """Return a name inside a Zarr as a path of the Dandiset."""
    if not name.entry or not contents.files:
        return name
    if name.glob or "*" in name.entry:
        return replace(name, path="", glob="*", zarr=None, entry="")
    first = contents.files[0]
    top = first.path.removesuffix(first.entry) if first.entry else f"{name.path}/"
    return replace(name, path=f"{top}{name.entry}", zarr=None, entry="")


def _refused(file: VersionFile) -> str | None:
    """Return why a file cannot be downloaded as a plain file, for example for its unsafe path; None if it can."""
    if file.state and file.state is not FindingKind.ZARR:
        return file.reason
    known = file.state is FindingKind.ZARR or file.digest
    return refuse_path(file.path) or (None if known else "the archive has no SHA-256 for it")


def _identity(file: VersionFile) -> str:
    """Return a value that two files share only if their content is the same."""
    return file.digest or file.zarr or file.asset_id


def _twins(paths: Iterable[Path], folder: Path) -> dict[Path, list[Path]]:
    """Return for each path those that are the same file on this disk, for example in other case."""
    groups = same_names(map(str, paths))
    if not groups or not folds_names(folder):
        return {}
    return {Path(one): [Path(other) for other in group if other != one] for group in groups for one in group}


def _beside(
    file: VersionFile, path: Path, taken: Mapping[Path, str], twins: Mapping[Path, list[Path]]
) -> DownloadResult | None:
    """Return the result of a file whose place another file of the same command has taken; None if it is free."""
    other = next((place for place in (path, *twins.get(path, ())) if place in taken), None)
    if other is None:
        return None
    if taken[other] == _identity(file):
        return DownloadResult(file, path, "notneeded")
    if other != path:
        return _failed(file, path, f"this disk takes it and {other.name} for one file; download it to another -o")
    return _failed(file, path, "another file of this command has the same target; add --preserve-tree")


def judge_existing(file: VersionFile, path: Path, existing: str, *, unfinished: bool = False) -> DownloadResult | None:
    """Return the result of a file or Zarr that needs no download because of what is there; None if it needs one.

    ``unfinished`` says that an earlier run did not complete: a file that is there and is the same counts as its work.
    """
    if not os.path.lexists(path):
        return None
    is_folder, is_zarr = path.is_dir() and not path.is_symlink(), file.state is FindingKind.ZARR
    if is_folder != is_zarr:
        what = "folder" if is_folder else "file"
        return _failed(file, path, f"there is a {what} in its place; move it away")
    if is_zarr and existing not in {"error", "skip"} and not _may_be_zarr(path):
        return _failed(file, path, "the folder in its place is no Zarr, and files in it would be deleted; move it away")
    if existing == "error" and unfinished and not is_zarr:
        if is_same(file, path, by_time=True):
            return DownloadResult(file, path, "notneeded")
        return _failed(file, path, f"another file is there already; {CHOOSE}")
    if existing == "error":
        return _failed(file, path, f"it is there already; {CHOOSE}")
    differs = existing == "overwrite" or is_zarr or not is_same(file, path, by_time=existing == "refresh")
    return None if existing != "skip" and differs else DownloadResult(file, path, "notneeded")


def _may_be_zarr(folder: Path) -> bool:
    """Whether an existing folder is one whose files the archive's Zarr may replace: whoever made the Zarr named it."""
    names = set(os.listdir(folder))  # noqa: PTH208 (names only)
    return not names or folder.suffix in {".zarr", ".ngff"} or not names.isdisjoint(_ZARR_MARKS)


def _failed(file: VersionFile, path: Path, why: str) -> DownloadResult:
    return DownloadResult(file, path, "error", why, PartError.exit_code)


def is_same(file: VersionFile, path: Path, *, by_time: bool) -> bool:
    """Whether the file at a path is the same: by its key, else by size and time if ``by_time``, else by its content."""
    if path.is_symlink() and file.digest in os.readlink(path):  # noqa: PTH115
        return True  # a link of git-annex, whether its content is present or not
    try:
        found = path.stat()
        if found.st_size != file.size or not stat.S_ISREG(found.st_mode):
            return False  # reading a pipe might never end
        if by_time and (time := modified_seconds(file)) is not None:
            return abs(found.st_mtime - time) <= SAME_TIME
        with path.open("rb") as stream:
            computed = hasher(file.digest, file.size)
            while piece := stream.read(PIECE):
                computed.update(piece)
            return computed.hexdigest() == file.digest and is_verifiable(file.digest, file.size)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DiskError.of(path, error) from error


def modified_seconds(file: VersionFile) -> float | None:
    """Return when the content was last changed, in seconds since 1970; None if unknown."""
    try:
        return parse_time(file.time).timestamp()
    except ValueError:
        return None
