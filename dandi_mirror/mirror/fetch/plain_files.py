"""Plain files out of a version: where each goes, what becomes of one that is there, and bringing the rest.

Content that is on this machine is copied, the rest is fetched; both are verified.  Files are put in their place whole;
what has come of others waits in :data:`PARTIALS`, by its digest, for the next run.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import file_digest, sha256
from itertools import chain
from pathlib import Path

from dandi_mirror.archive.content.scheduler import ByteCounter, Item, TransferSettings, fetch
from dandi_mirror.archive.names import Name
from dandi_mirror.digests import hasher
from dandi_mirror.errors import DiskError, MirrorError, PartError
from dandi_mirror.files.opening import new_file, read_file
from dandi_mirror.files.target import InTheWay, TargetFolder
from dandi_mirror.mirror.contents.local import Contents, File
from dandi_mirror.mirror.format.tree import LARGEST_TEXT
from dandi_mirror.model import Kind, parse_time
from dandi_mirror.paths import conflicts, refuse_path
from dandi_mirror.repo.git.disk import bring_files_to_disk, bring_folders_to_disk

EXISTING = ("error", "skip", "overwrite", "overwrite-different", "refresh")
PARTIALS = ".dandi-mirror-download"
SAME_TIME = 2.0
"""Seconds by which the times of the same file may differ; some file systems have no finer ones."""
RECORD = "dandiset.yaml"


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one file."""

    file: File
    path: Path
    """Where it is, or would be."""
    status: str = "ok"
    """DataLad's words: ``ok``, ``notneeded``, ``impossible``, ``error``."""
    message: str = ""
    exit_code: int = 0


@dataclass(slots=True)
class Plan:
    """What is to be done."""

    wanted: list[tuple[File, Path]] = field(default_factory=list)
    settled: list[Done] = field(default_factory=list)
    """Files for which nothing is to be fetched, and why."""
    zarrs: list[tuple[File, Path]] = field(default_factory=list)
    """Zarrs; what they hold is not known yet."""

    @property
    def size(self) -> int:
        """Bytes that are to come; the same content counts once."""
        return sum({file.digest: file.size or 0 for file, _ in self.wanted}.values())


def place(name: Name, path: str, dandiset: str, *, preserve_tree: bool) -> str:
    """Where a file goes below the folder that is named, as the dandi client has it.

    All of a version, or with ``preserve_tree``: ``000004/`` and the whole path; of a folder, from the folder on; a
    single file alone; what a glob matches, with the whole path.
    """
    if preserve_tree or (name.whole and dandiset):
        return f"{dandiset}/{path}" if dandiset else path
    if name.glob:
        return path
    if name.asset or name.zarr:
        return path.rpartition("/")[2]
    parent = (name.path or name.prefix).rstrip("/").rpartition("/")[0]
    return path[len(parent) + 1 :] if parent else path


def make_plan(
    name: Name, contents: Contents, folder: Path, existing: str, taken: dict[Path, str], *, preserve_tree: bool = False
) -> Plan:
    """Which files are to come, judged by what is in ``folder``; nothing is written.

    ``taken`` has where files of the same call go, with their digests; those of this plan are added.
    """
    plan, name, unfinished = Plan(), _as_path(name, contents), (folder / PARTIALS).is_dir()
    clash = conflicts(file.path for file in contents.files if not file.state or file.state is Kind.ZARR)
    for file in contents.files:
        if reason := clash.get(file.path) or _refused(file):
            where = f"; its content is at the archive: dandi-mirror ls --links {file.asset_id}" if file.asset_id else ""
            message = f"{reason}{where}"
            plan.settled.append(Done(file, Path(), "impossible", message, PartError.exit_code))
            continue
        path = folder / place(name, file.path, contents.dandiset, preserve_tree=preserve_tree)
        settled = _beside(file, path, taken) or judge(file, path, existing, unfinished=unfinished)
        taken.setdefault(path, _identity(file))
        if settled:
            plan.settled.append(settled)
        else:
            (plan.zarrs if file.state is Kind.ZARR else plan.wanted).append((file, path))
    return plan


def _as_path(name: Name, contents: Contents) -> Name:
    """What is named inside a Zarr, by its path in the Dandiset."""
    if not name.entry or not contents.files:
        return name
    first = contents.files[0]
    top = first.path.removesuffix(first.entry) if first.entry else f"{name.path}/"
    return replace(name, path=f"{top}{name.entry}", zarr=None, entry="")


def _refused(file: File) -> str | None:
    """Why a file cannot become a plain one, if it cannot; whoever has read it, a path that leads elsewhere is none."""
    if file.state and file.state is not Kind.ZARR:
        return file.reason
    known = file.state is Kind.ZARR or file.digest
    return refuse_path(file.path) or (None if known else "the archive has no SHA-256 for it")


def _identity(file: File) -> str:
    """What another file has, too, if it holds the same."""
    return file.digest or file.zarr or file.asset_id


def _beside(file: File, path: Path, taken: Mapping[Path, str]) -> Done | None:
    """What becomes of a file where the same call has put one."""
    if path not in taken:
        return None
    if taken[path] == _identity(file):
        return Done(file, path, "notneeded")
    return Done(file, path, "error", "another file of this call goes there; see --preserve-tree", PartError.exit_code)


def judge(file: File, path: Path, existing: str, *, unfinished: bool = False) -> Done | None:
    """What becomes of a file, or a Zarr, without looking at the archive's; None if that is to be done.

    Where a run before was cut off (``unfinished``), what is there and is the same has come by that run.
    """
    if not os.path.lexists(path):
        return None
    is_folder, is_zarr = path.is_dir() and not path.is_symlink(), file.state is Kind.ZARR
    if is_folder != is_zarr:
        what = "folder" if is_folder else "file"
        return Done(file, path, "error", f"a {what} stands there; move it away", PartError.exit_code)
    if existing == "error" and unfinished and not is_zarr:
        if _is_same(file, path, by_time=True):
            return Done(file, path, "notneeded")
        return Done(file, path, "error", "it is there already, and is another file; see -e", PartError.exit_code)
    if existing == "error":
        return Done(file, path, "error", "it is there already; see -e", PartError.exit_code)
    differs = existing == "overwrite" or is_zarr or not _is_same(file, path, by_time=existing == "refresh")
    return None if existing != "skip" and differs else Done(file, path, "notneeded")


def _is_same(file: File, path: Path, *, by_time: bool) -> bool:
    """Whether what is there is the file: by its key, else by size and time where these decide, else by its content."""
    if path.is_symlink() and file.digest in os.readlink(path):  # noqa: PTH115
        return True  # a link of git-annex, whether its content is here or not
    try:
        found = path.stat()
        if found.st_size != file.size or not stat.S_ISREG(found.st_mode):
            return False  # a pipe, too, which could be waited for without end
        if by_time and (time := _seconds(file)) is not None:
            return abs(found.st_mtime - time) <= SAME_TIME
        with path.open("rb") as stream:
            return file_digest(stream, lambda: hasher(file.digest)).hexdigest() == file.digest
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DiskError.of(path, error) from error


def bring(
    plan: Plan, contents: Contents, urls: Mapping[str, tuple[str, ...]], folder: Path, access: TransferSettings,
    meter: ByteCounter, jobs: int,
) -> Iterator[Done]:  # fmt: skip
    """Bring the files of a plan; each is told when it is in its place, or why it is not.

    ``urls`` are where each path's content is; ``folder`` is that of the plan.  At the end, all are on disk.

    Raises:
        DiskError: the disk is full or not ours to write; what has come is kept.
    """
    files: dict[str, list[tuple[File, Path]]] = {}
    for file, path in plan.wanted:
        files.setdefault(file.digest, []).append((file, path))
    partials, placed = folder / PARTIALS, list[Path]()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TargetFolder(folder) as below:
            with below.folder(PARTIALS, make=True):
                pass  # a link of that name is refused
            try:
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
    files: Mapping[str, list[tuple[File, Path]]], urls: Mapping[str, tuple[str, ...]], below: TargetFolder,
    access: TransferSettings, meter: ByteCounter, jobs: int,
) -> Iterator[Done]:  # fmt: skip
    """Fetch content by its digest, and put it where it belongs."""
    items = (_item(members, urls, below.top / PARTIALS / digest) for digest, members in files.items())
    with closing(fetch(items, access, jobs=jobs, meter=meter)) as outcomes:
        for outcome in outcomes:
            members = files[outcome.item.digest]
            if outcome.error is None:
                yield from _put(members, outcome.item.digest, below)
            else:
                yield from (_failed(file, path, outcome.error) for file, path in members)


def _sync(files: Sequence[Path]) -> None:
    """Bring files to the disk."""
    bring_files_to_disk([str(file) for file in files])
    bring_folders_to_disk({str(file.parent) for file in files})


def _item(members: list[tuple[File, Path]], urls: Mapping[str, tuple[str, ...]], partial: Path) -> Item:
    """One content, wherever it may be had."""
    file = members[0][0]
    every = dict.fromkeys(url for member, _ in members for url in urls.get(member.path, ()))
    copies = tuple(dict.fromkeys(member.content for member, _ in members if member.content))
    return Item(tuple(every), file.size or 0, file.digest, partial, copies)


def _from_git(contents: Contents, files: dict[str, list[tuple[File, Path]]], below: TargetFolder) -> Iterator[Done]:
    """Put the files that git itself holds in their place, and strike them off."""
    held = {digest: members[0][0].oid for digest, members in files.items() if members[0][0].oid}
    if not held or not contents.dataset:
        return
    with contents.dataset.reader() as reader:
        contents_held = reader.read(list(held.values()), LARGEST_TEXT, b"")
        for digest, content in zip(held, contents_held, strict=True):
            if content is None or sha256(content).hexdigest() != digest:
                continue  # it is fetched
            below.write(f"{PARTIALS}/{digest}", content)
            yield from _put(files.pop(digest), digest, below)


def _put(members: list[tuple[File, Path]], digest: str, below: TargetFolder) -> Iterator[Done]:
    """Put a whole content in its place, and copies of it where it is asked for more than once."""
    partial = f"{PARTIALS}/{digest}"
    for number, (file, path) in enumerate(members, start=1):
        source = partial
        try:
            if number < len(members):
                source = _copy(partial, f"{partial}.{number}", below)
            if (time := _seconds(file)) is not None:
                with below.place(source) as (name, folder):
                    os.utime(name, (time, time), dir_fd=folder, follow_symlinks=False)
            below.move(source, str(path.relative_to(below.top)))
        except (FileExistsError, NotADirectoryError, IsADirectoryError, InTheWay) as error:
            if source != partial:
                below.remove(source)
            yield Done(file, path, "error", _way(error), PartError.exit_code)
            continue
        yield Done(file, path)
    below.remove(partial)


def _way(error: OSError) -> str:
    """What is in the way of a file."""
    if isinstance(error, InTheWay):
        return f"{error.filename}: {error.strerror}; move it away, or choose another -o"
    return "a file stands where its folder would be, or a folder in its place"


def _copy(source: str, target: str, below: TargetFolder) -> str:
    """Copy what has come, for a further place; the copy."""
    below.remove(target)
    with below.folder(PARTIALS) as folder:
        read = os.open(source.rpartition("/")[2], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(read, "rb") as original, os.fdopen(new_file(target.rpartition("/")[2], folder), "wb") as copied:
            shutil.copyfileobj(original, copied)
    return target


def _failed(file: File, path: Path, error: MirrorError) -> Done:
    return Done(file, path, "error", str(error), error.exit_code)


def _seconds(file: File) -> float | None:
    """The time of its content, in seconds since 1970."""
    try:
        return parse_time(file.time).timestamp()
    except ValueError:
        return None


def put_record(content: bytes, folder: Path, place: str, existing: str, *, dry_run: bool = False) -> Done:
    """Write a Dandiset's record to a place below a folder, unless it is there, or this is a dry run."""
    path = folder / place
    file = File(RECORD, len(content), "", sha256(content).hexdigest())
    try:
        if os.path.lexists(path):
            if existing == "skip" or read_file(path) == content:
                return Done(file, path, "notneeded")
            if existing == "error":
                return Done(file, path, "error", "it is there already, and is another; see -e", PartError.exit_code)
        if dry_run:
            return Done(file, path)
        folder.mkdir(parents=True, exist_ok=True)
        with TargetFolder(folder) as below:
            below.write(place, content)
    except InTheWay as error:
        return Done(file, path, "error", _way(error), PartError.exit_code)
    except OSError as error:
        raise DiskError.of(path, error) from error
    return Done(file, path)
