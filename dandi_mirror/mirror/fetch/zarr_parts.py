"""Download some entries of Zarrs as plain files: the metadata of an array last, and only if the array is whole.

Who opens an array takes a chunk that is missing for one that was never written.  So metadata that opens arrays appears
only when every chunk that it covers is in its place (:mod:`dandi_mirror.mirror.zarr.arrays`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.archive.content.single import ByteCounter
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.errors import DiskError, PartError
from dandi_mirror.files.opening import read_file
from dandi_mirror.files.target import InTheWay, TargetFolder
from dandi_mirror.mirror.contents.files import Contents, VersionFile
from dandi_mirror.mirror.fetch.download_plan import PARTIALS, DownloadPlan, DownloadResult, is_same
from dandi_mirror.mirror.fetch.plain_files import download_files
from dandi_mirror.mirror.zarr.arrays import V3, ZarrNodeKind, may_cover, node_kind
from dandi_mirror.repo.git.disk import bring_files_to_disk, bring_folders_to_disk

STAGED = f"{PARTIALS}/metadata"
"""The folder of metadata that came and is not in its place yet."""
LONGEST_ZARR_JSON = 1 << 24
"""Bytes of a ``zarr.json`` that is read; a longer one counts as that of an array."""
_WAITS = "it comes when all chunks that it covers are here: until then, they would be read as fill values"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is to know about the Zarrs whose entries are downloaded."""

    covered: Callable[[VersionFile], Iterable[VersionFile]]
    """The entries in the folder of some metadata, at any depth."""
    target: Callable[[VersionFile], Path]
    """Where an entry is put."""
    exact: frozenset[str] = frozenset()
    """Entries, relative to their Zarr, that somebody has named as single files; these come in any case."""


def download_entries(
    plan: DownloadPlan, around: Surroundings, urls: Mapping[str, tuple[str, ...]], folder: Path,
    access: TransferSettings, meter: ByteCounter, jobs: int,
) -> Iterator[DownloadResult]:  # fmt: skip
    """Download the entries of a plan, the metadata of arrays last; yield each result.

    Metadata that has to wait is reported as impossible.

    Raises:
        DiskError: the disk is full or not writable; complete files are kept.
    """
    nothing = Contents("", "", "", [])
    last = [(file, path) for file, path in plan.wanted if may_cover(file.entry)]
    chunks = DownloadPlan([(file, path) for file, path in plan.wanted if not may_cover(file.entry)])
    if chunks.wanted and folder.is_dir():
        folders = covering(file.entry for file, _ in chunks.wanted)
        take_away((path for file, path in last if file.entry.rpartition("/")[0] in folders), folder)
    missing = {done.file.path for done in plan.settled if done.status == "error"}
    for done in download_files(chunks, nothing, urls, folder, access, meter, jobs):
        missing |= {done.file.path} if done.status != "ok" else set()
        yield done
    staged = {f"{STAGED}/{number}": wanted for number, wanted in enumerate(last)}
    wanted = DownloadPlan([(file, folder / place) for place, (file, _) in staged.items()])
    if staged:
        done_now = download_files(wanted, nothing, urls, folder, access, meter, jobs)
        failed = {done.path: done for done in done_now if done.status != "ok"}
        yield from _place(staged, failed, folder, around, missing)


def _place(
    staged: Mapping[str, tuple[VersionFile, Path]], failed: Mapping[Path, DownloadResult], folder: Path,
    around: Surroundings, missing: Set[str],
) -> Iterator[DownloadResult]:  # fmt: skip
    """Move the metadata that came to its places, as far as it may be there."""
    try:
        with TargetFolder(folder) as below:
            for place, (file, path) in staged.items():
                if trouble := failed.get(folder / place):
                    yield DownloadResult(file, path, trouble.status, trouble.message, trouble.exit_code)
                else:
                    yield _put(below, place, file, path, around, missing)
            below.remove_empty(STAGED)
            below.remove_empty(PARTIALS)
    except OSError as error:
        raise DiskError.of(folder, error) from error


def _put(
    below: TargetFolder, place: str, file: VersionFile, path: Path, around: Surroundings, missing: Set[str]
) -> DownloadResult:
    """Move metadata to its place, if it may be there; ``missing`` are the entries that did not come."""
    try:
        if file.entry not in around.exact and _lacks(below.top / place, file, around, missing):
            below.remove(place)
            return DownloadResult(file, path, "impossible", _WAITS, PartError.exit_code)
        below.move(place, str(path.relative_to(below.top)))
    except (FileExistsError, NotADirectoryError, IsADirectoryError, InTheWay) as error:
        below.remove(place)
        why = f"{error.filename}: {error.strerror}; move it away, or choose another -o"
        return DownloadResult(file, path, "error", why, PartError.exit_code)
    bring_files_to_disk([str(path)])
    bring_folders_to_disk({str(path.parent)})
    return DownloadResult(file, path)


def _lacks(content: Path, file: VersionFile, around: Surroundings, missing: Set[str]) -> bool:
    """Whether a chunk that some metadata covers is not in its place; never for a group's, which covers nothing."""
    if (
        file.entry.rpartition("/")[2] == V3
        and node_kind(read_file(content, LONGEST_ZARR_JSON) or b"") is ZarrNodeKind.GROUP
    ):
        return False
    return any(
        other.path in missing or not is_same(other, around.target(other), by_time=True)
        for other in around.covered(file)
        if not may_cover(other.entry)
    )


def reopen(plan: DownloadPlan) -> None:
    """Let metadata that is there count as wanted, if chunks that it covers are going to be replaced."""
    folders = covering(file.entry for file, _ in plan.wanted)
    again = [done for done in plan.settled if done.status == "notneeded" and may_cover(done.file.entry)
             and done.file.entry.rpartition("/")[0] in folders]  # fmt: skip
    plan.settled = [done for done in plan.settled if done not in again]
    plan.wanted += [(done.file, done.path) for done in again]


def covering(entries: Iterable[str]) -> set[str]:
    """The folders whose metadata may cover these entries, all relative to a Zarr; its top is empty."""
    found = {""}
    for folder in {entry.rpartition("/")[0] for entry in entries}:
        while folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def take_away(files: Iterable[Path], folder: Path) -> None:
    """Remove metadata that is going to be written last, so that nobody reads old and new chunks together."""
    with TargetFolder(folder) as below:
        for path in files:
            with suppress(InTheWay, IsADirectoryError):  # the download itself says what is in the way
                below.remove(str(path.relative_to(folder)))
