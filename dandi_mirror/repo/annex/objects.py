"""Content that has come, made present as git-annex makes it: the object, the pointer files, the location log.

Bytes are synced to disk, then objects are placed by renames, so each is there whole or not at all; the log says so
afterwards.  A run that ends in between leaves an object that no log names, and the next run records it.
The journal's lock, which git-annex takes whenever it writes to its branch, is held while logs are written.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.files.opening import read_file
from dandi_mirror.repo.annex.branch import MANY, import_logs
from dandi_mirror.repo.annex.clone import LONGEST_POINTER, Clone, Tracked
from dandi_mirror.repo.annex.keys import hash_dir_lower
from dandi_mirror.repo.annex.logs import Stamp, location_path, with_presence
from dandi_mirror.repo.git.dataset import ANNEX, TEMPORARY, ZERO, RefChange
from dandi_mirror.repo.git.disk import bring_files_to_disk, bring_folders_to_disk
from dandi_mirror.repo.git.process import GitError, git
from dandi_mirror.repo.git.stream import Commit

_READ_ONLY = 0o555
_LEVELS = 4
"""Folders from an object's own up to the one of all objects."""
_TRIES = 3
"""To move the branch, which somebody else may have moved meanwhile."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Content that is to be placed."""

    key: str
    file: Path
    """Holds exactly its bytes."""


def place(clone: Clone, arrived: Iterable[Arrived]) -> None:
    """Let content be present; :func:`record` is to follow.

    Raises:
        DiskError: it cannot be; what is placed and not recorded is recorded by the next :func:`record`.
    """
    arrived = list(arrived)
    # an object whose bytes a power cut takes back would pass for present
    bring_files_to_disk([str(content.file) for content in arrived], begun=True)
    made: set[str] = set()
    for content in arrived:
        _place(clone, content, made)


def _place(clone: Clone, arrived: Arrived, made: set[str]) -> None:
    target = clone.new_object_path(arrived.key)
    folder = os.path.dirname(target)  # noqa: PTH120
    try:
        file = os.stat(arrived.file).st_mode  # noqa: PTH116
        os.chmod(arrived.file, file & _READ_ONLY)  # noqa: PTH101
        _make(folder, made)
        try:
            os.rename(arrived.file, target)  # noqa: PTH104
        except PermissionError:
            # the folder was closed: by whoever brought the same content meanwhile, or when it was dropped half-way
            if os.path.exists(target):  # noqa: PTH110
                arrived.file.unlink()
                return
            os.chmod(folder, 0o755)  # noqa: PTH101
            os.rename(arrived.file, target)  # noqa: PTH104
        os.chmod(folder, os.stat(folder).st_mode & _READ_ONLY)  # noqa: PTH101, PTH116
    except FileNotFoundError as error:
        if not clone.has(arrived.key):
            raise DiskError.of(target, error) from error
    except OSError as error:
        raise DiskError.of(target, error) from error


def _make(folder: str, made: set[str]) -> None:
    """A key's folder; ``made`` are those above it that were made before, each of which has been asked for once."""
    above = os.path.dirname(folder)  # noqa: PTH120
    if above not in made:
        os.makedirs(above, exist_ok=True)  # noqa: PTH103
        made.add(above)
    try:
        os.mkdir(folder)  # noqa: PTH102
    except FileExistsError:
        pass
    except FileNotFoundError:
        # somebody dropped what was in the folder above, and that folder with it
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103


def _above(target: str) -> Iterator[str]:
    """The folders whose names lead to an object, from its own up to the one that holds all of them."""
    for _ in range(_LEVELS):
        target = os.path.dirname(target)  # noqa: PTH120
        yield target


def record(clone: Clone, keys: Iterable[str]) -> None:
    """Record that keys' content is in this repository; on disk when this returns.

    Raises:
        DiskError, GitError: it could not be written.
    """
    keys = list(dict.fromkeys(keys))
    if not keys:
        return
    folders = {folder for key in keys for folder in _above(clone.object_path(key))}
    with ThreadPoolExecutor(1) as aside:
        # meanwhile the logs are written; they count when the branch is moved to them
        on_disk = aside.submit(bring_folders_to_disk, folders)
        theirs = keys
        if clone.plain:
            with _journal(clone.git_dir) as waiting:
                # what git-annex has noted and not committed yet would be put over what the branch says
                theirs = [key for key in keys if _journal_name(key) in waiting]
                _record(clone, [key for key in keys if _journal_name(key) not in waiting], on_disk)
        on_disk.result()
        _record_by_git_annex(clone, theirs)


def _record(clone: Clone, keys: list[str], on_disk: Future[None]) -> None:
    """Through one import; only under the journal's lock."""
    dataset, now = clone.dataset, datetime.now(UTC)
    paths = [location_path(hash_dir_lower(key), key) for key in keys]
    for attempt in range(1, _TRIES + 1):
        base = dataset.ref(ANNEX)
        changed = [
            (path, new)
            for path, log in clone.locations(paths).items()
            if (new := with_presence(log, Stamp.of(now), {clone.uuid: True})) != log
        ]
        if not changed:
            return
        temporary = f"{TEMPORARY}get-{os.getpid()}"
        with dataset.importing() as importer:
            folders = dataset.folders(base) if len(changed) >= MANY else {}
            import_logs(importer, Commit(temporary, now, "update\n", base=base), changed, folders)
            importer.finish()
            made = dataset.ref(temporary)
            assert made
            on_disk.result()
            try:
                dataset.move_refs([RefChange(ANNEX, made, base), RefChange(temporary, ZERO, made)])
                clone.moved(made, dict(changed))
                return
            except GitError:
                dataset.drop_refs([temporary])
                if attempt == _TRIES or dataset.ref(ANNEX) == base:
                    raise


def _record_by_git_annex(clone: Clone, keys: list[str]) -> None:
    if keys:
        lines = "".join(f"{key} {clone.uuid} 1\n" for key in keys)
        git(clone.path, "annex", "setpresentkey", "--batch", stdin=lines.encode())


def populate(clone: Clone, files: Iterable[Tracked]) -> None:
    """Let unlocked files hold their content, as git-annex does after it has brought some."""
    lines = "".join(f"{file.key} {file.path}\n" for file in files if "\n" not in file.path)
    if not lines:
        return
    with _locked(clone.git_dir / "annex" / "smudge.lck"), (clone.git_dir / "annex" / "smudge.log").open("a") as log:
        log.write(lines)
    git(clone.path, "annex", "smudge", "--update")


def is_populated(clone: Clone, file: Tracked) -> bool:
    """Whether an unlocked file holds its content; one that is not there, or is edited, counts."""
    content = read_file(clone.path / file.path, LONGEST_POINTER)
    return content is None or not content.startswith(b"/annex/objects/")


def _journal_name(key: str) -> str:
    """What git-annex calls a key's location log while it waits in the journal."""
    return location_path(hash_dir_lower(key), key).replace("_", "__").replace("/", "_")


@contextmanager
def _journal(git_dir: Path) -> Iterator[set[str]]:
    """Hold the lock of git-annex's journal; yields the names of the logs that wait in it."""
    with _locked(git_dir / "annex" / "journal.lck"):
        try:
            yield set(os.listdir(git_dir / "annex" / "journal"))  # noqa: PTH208
        except FileNotFoundError:
            yield set()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A lock as git-annex takes it: of the process, on the whole file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DiskError.of(path, error) from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
