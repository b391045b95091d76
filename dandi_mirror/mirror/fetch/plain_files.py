"""Carry out a download plan: copy or fetch each file, verify it, and put it in its place.

Content that is on this machine is copied, the rest is fetched.  A file appears in its place only when it is complete.
Until then its bytes are in the folder :data:`.PARTIALS`, named by their digest, where the next run finds them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from hashlib import sha256
from itertools import chain
from pathlib import Path

from dandi_mirror.archive.content.scheduler import fetch
from dandi_mirror.archive.content.single import ByteCounter, Item
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.errors import DiskError, LockedError, MirrorError, PartError
from dandi_mirror.files.opening import new_file, read_file
from dandi_mirror.files.target import InTheWay, TargetFolder
from dandi_mirror.mirror.contents.files import Contents, VersionFile
from dandi_mirror.mirror.fetch.download_plan import (
    CHOOSE,
    PARTIALS,
    DownloadPlan,
    DownloadResult,
    is_same,
    modified_seconds,
)
from dandi_mirror.mirror.fetch.other_runs import STOPPED, OtherRuns
from dandi_mirror.mirror.fetch.room import check_fits
from dandi_mirror.mirror.format.tree import LARGEST_TEXT
from dandi_mirror.paths import DANDISET_YAML
from dandi_mirror.repo.git.disk import bring_files_to_disk, bring_folders_to_disk


def download_files(
    plan: DownloadPlan, contents: Contents, urls: Mapping[str, tuple[str, ...]], folder: Path, access: TransferSettings,
    meter: ByteCounter, jobs: int,
) -> Iterator[DownloadResult]:  # fmt: skip
    """Download the files of a plan; yield each when it is in its place, or has failed.

    ``urls`` has the URLs of each path's content; ``folder`` is that of the plan.  At the end, all files are synced to
    disk.

    Raises:
        DiskError: the disk is full or not writable; complete files are kept.
    """
    files: dict[str, list[tuple[VersionFile, Path]]] = {}
    for file, path in plan.wanted:
        files.setdefault(file.digest, []).append((file, path))
    partials, placed = folder / PARTIALS, list[Path]()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TargetFolder(folder) as below:
            with below.folder(PARTIALS, make=True):
                pass  # this refuses a link of that name
            try:
                check_fits(folder, partials, plan.size, (path for _, path in plan.wanted), "name fewer files")
                own = _from_git(contents, files, below)
                for done in chain(own, _fetched(files, urls, below, access, meter, jobs)):
                    placed += [done.path] if done.status == "ok" else []
                    yield done
                _sync(placed)
            finally:
                below.remove_empty(PARTIALS)
    except OSError as error:
        raise DiskError.of(error.filename or partials, error) from error


def _fetched(
    files: Mapping[str, list[tuple[VersionFile, Path]]], urls: Mapping[str, tuple[str, ...]], below: TargetFolder,
    access: TransferSettings, meter: ByteCounter, jobs: int,
) -> Iterator[DownloadResult]:  # fmt: skip
    """Fetch each content once, and put it in all its places; wait for what another process is downloading to there."""
    others, digests = OtherRuns(), list(files)
    while digests:
        wanted = {digest: files[digest] for digest in digests}
        yield from _fetched_once(wanted, urls, below, access, meter, jobs, others)
        digests = []
        for digest in others.next_try(meter.waiting):
            there = [_brought_by_another(file, path) for file, path in files[digest]]
            if all(done.status == "notneeded" for done in there):
                yield from there
            else:
                digests.append(digest)
    for digest in others.given_up():
        yield from (_failed(file, path, LockedError(STOPPED)) for file, path in files[digest])


def _fetched_once(
    files: Mapping[str, list[tuple[VersionFile, Path]]], urls: Mapping[str, tuple[str, ...]], below: TargetFolder,
    access: TransferSettings, meter: ByteCounter, jobs: int, others: OtherRuns,
) -> Iterator[DownloadResult]:  # fmt: skip
    items = (_item(members, urls, below.top / PARTIALS / digest) for digest, members in files.items())
    with closing(fetch(items, access, jobs=jobs, meter=meter)) as outcomes:
        for outcome in outcomes:
            digest, members = outcome.item.digest, files[outcome.item.digest]
            if outcome.error is None:
                yield from _put(members, digest, below)
            elif isinstance(outcome.error, LockedError):
                others.have(digest, outcome.item.partial)
            else:
                yield from (_failed(file, path, outcome.error) for file, path in members)


def _sync(files: Sequence[Path]) -> None:
    """Sync files and their folders to disk."""
    bring_files_to_disk([str(file) for file in files])
    bring_folders_to_disk({str(file.parent) for file in files})


def _item(members: list[tuple[VersionFile, Path]], urls: Mapping[str, tuple[str, ...]], partial: Path) -> Item:
    """Return the item of the bulk transfer for one content, with all its URLs and copies."""
    file = members[0][0]
    every = dict.fromkeys(url for member, _ in members for url in urls.get(member.path, ()))
    copies = tuple(dict.fromkeys(member.content for member, _ in members if member.content))
    return Item(tuple(every), file.size or 0, file.digest, partial, copies)


def _from_git(
    contents: Contents, files: dict[str, list[tuple[VersionFile, Path]]], below: TargetFolder
) -> Iterator[DownloadResult]:
    """Put the files that git itself holds in their places, and take them off the list."""
    held = {digest: members[0][0].oid for digest, members in files.items() if members[0][0].oid}
    if not held or not contents.dataset:
        return
    with contents.dataset.reader() as reader:
        contents_held = reader.read(list(held.values()), LARGEST_TEXT, b"")
        for digest, content in zip(held, contents_held, strict=True):
            if content is None or sha256(content).hexdigest() != digest:
                continue  # it is fetched from a URL
            below.write(f"{PARTIALS}/{digest}", content)
            yield from _put(files.pop(digest), digest, below)


def _put(members: list[tuple[VersionFile, Path]], digest: str, below: TargetFolder) -> Iterator[DownloadResult]:
    """Move a complete content to its place, and copies of it to its further places."""
    partial = f"{PARTIALS}/{digest}"
    for number, (file, path) in enumerate(members, start=1):
        source = partial
        try:
            if number < len(members):
                source = _copy(partial, f"{partial}.{number}", below)
            if (time := modified_seconds(file)) is not None:
                with below.place(source) as (name, folder):
                    os.utime(name, (time, time), dir_fd=folder, follow_symlinks=False)
            below.move(source, str(path.relative_to(below.top)))
        except FileNotFoundError:
            yield _brought_by_another(file, path)  # that run took the complete content just before us
            continue
        except (FileExistsError, NotADirectoryError, IsADirectoryError, InTheWay) as error:
            if source != partial:
                below.remove(source)
            yield DownloadResult(file, path, "error", _way(error), PartError.exit_code)
            continue
        yield DownloadResult(file, path)
    below.remove(partial)


def _brought_by_another(file: VersionFile, path: Path) -> DownloadResult:
    """The result of a file that another process was downloading to the same place."""
    if is_same(file, path, by_time=False):
        return DownloadResult(file, path, "notneeded")
    return _failed(file, path, LockedError("another process is downloading it; type the same again"))


def _way(error: OSError) -> str:
    """Say what is in the way of a file."""
    if isinstance(error, InTheWay):
        return f"{error.filename}: {error.strerror}; move it away, or choose another -o"
    return "there is a file in place of its folder, or a folder in its place; move it away, or choose another -o"


def _copy(source: str, target: str, below: TargetFolder) -> str:
    """Copy a complete content for a further place; return the copy's name."""
    below.remove(target)
    with below.folder(PARTIALS) as folder:
        read = os.open(source.rpartition("/")[2], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(read, "rb") as original, os.fdopen(new_file(target.rpartition("/")[2], folder), "wb") as copied:
            shutil.copyfileobj(original, copied)
    return target


def _failed(file: VersionFile, path: Path, error: MirrorError) -> DownloadResult:
    return DownloadResult(file, path, "error", str(error), error.exit_code)


def put_record(content: bytes, folder: Path, place: str, existing: str, *, dry_run: bool = False) -> DownloadResult:
    """Write a Dandiset's record to a path below a folder, unless it is there already, or this is a dry run."""
    path = folder / place
    file = VersionFile(DANDISET_YAML, len(content), "", sha256(content).hexdigest())
    try:
        if os.path.lexists(path):
            if existing == "skip" or read_file(path) == content:
                return DownloadResult(file, path, "notneeded")
            if existing == "error":
                why = f"another file is there already; {CHOOSE}"
                return DownloadResult(file, path, "error", why, PartError.exit_code)
        if dry_run:
            return DownloadResult(file, path)
        folder.mkdir(parents=True, exist_ok=True)
        with TargetFolder(folder) as below:
            below.write(place, content)
    except InTheWay as error:
        return DownloadResult(file, path, "error", _way(error), PartError.exit_code)
    except OSError as error:
        raise DiskError.of(path, error) from error
    return DownloadResult(file, path)
