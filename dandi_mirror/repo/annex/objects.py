"""Put fetched content into git-annex as git-annex itself does: the object, the pointer files, the location log.

We sync the bytes to disk and then rename the file to its place, so an object is there completely or not at all.  The
log follows.  If a run ends in between, no log names the object, and the next run records it.
While we write logs we hold the lock of git-annex's journal, which git-annex takes whenever it writes to its branch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.file_lock import wait_for_record_lock
from dandi_mirror.files.opening import read_file
from dandi_mirror.repo.annex.branch import MANY, import_logs
from dandi_mirror.repo.annex.clone import Clone, Tracked
from dandi_mirror.repo.annex.keys import hash_dir_lower
from dandi_mirror.repo.annex.logs import Stamp, location_path, with_presence
from dandi_mirror.repo.annex.pointers import LONGEST_POINTER, is_pointer
from dandi_mirror.repo.git.dataset import ANNEX, TEMPORARY, ZERO, RefChange
from dandi_mirror.repo.git.disk import bring_files_to_disk, bring_folders_to_disk
from dandi_mirror.repo.git.process import GitError, git
from dandi_mirror.repo.git.stream import Commit

_READ_ONLY = 0o555
_LEVELS = 4
"""The number of folders from that of one object up to that of all objects."""
_TRIES = 3
"""Attempts to move the branch, because somebody else may move it at the same time."""


@dataclass(frozen=True, slots=True)
class FetchedContent:
    """Content that was fetched, in a temporary file."""

    key: str
    file: Path
    """The file that holds exactly these bytes; :func:`place` moves it."""


def place(clone: Clone, fetched: Iterable[FetchedContent]) -> None:
    """Move content to its place among git-annex's objects; call :func:`record` afterwards.

    Raises:
        DiskError: a file cannot be moved.  The next :func:`record` also records what was placed before.
    """
    fetched = list(fetched)
    # after a power cut, an object without its bytes would count as present
    bring_files_to_disk([str(content.file) for content in fetched], begun=True)
    made: set[str] = set()
    for content in fetched:
        _place(clone, content, made)


def _place(clone: Clone, fetched: FetchedContent, made: set[str]) -> None:
    target = clone.new_object_path(fetched.key)
    folder = os.path.dirname(target)  # noqa: PTH120
    try:
        file = os.stat(fetched.file).st_mode  # noqa: PTH116
        os.chmod(fetched.file, file & _READ_ONLY)  # noqa: PTH101
        _make(folder, made)
        try:
            os.rename(fetched.file, target)  # noqa: PTH104
        except PermissionError:
            # the folder is read-only: another program has just placed the same content, or a drop was interrupted
            if os.path.exists(target):  # noqa: PTH110
                fetched.file.unlink()
                return
            os.chmod(folder, 0o755)  # noqa: PTH101
            os.rename(fetched.file, target)  # noqa: PTH104
        os.chmod(folder, os.stat(folder).st_mode & _READ_ONLY)  # noqa: PTH101, PTH116
    except FileNotFoundError as error:
        if not clone.has(fetched.key):
            raise DiskError.of(target, error) from error
    except OSError as error:
        raise DiskError.of(target, error) from error


def _make(folder: str, made: set[str]) -> None:
    """Make the folder of a key; ``made`` holds the folders above that are known to exist."""
    above = os.path.dirname(folder)  # noqa: PTH120
    if above not in made:
        os.makedirs(above, exist_ok=True)  # noqa: PTH103
        made.add(above)
    try:
        os.mkdir(folder)  # noqa: PTH102
    except FileExistsError:
        pass
    except FileNotFoundError:
        # another program dropped the content of the folder above and removed that folder
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103


def _above(target: str) -> Iterator[str]:
    """The folders of an object, from its own up to that of all objects."""
    for _ in range(_LEVELS):
        target = os.path.dirname(target)  # noqa: PTH120
        yield target


def record(clone: Clone, keys: Iterable[str]) -> None:
    """Record in the location logs that this repository has the content of keys; on disk when this returns.

    Raises:
        DiskError, GitError: the logs cannot be written.
    """
    keys = list(dict.fromkeys(keys))
    if not keys:
        return
    folders = {folder for key in keys for folder in _above(clone.object_path(key))}
    with ThreadPoolExecutor(1) as aside:
        # at the same time we write the logs, which count once the branch is moved
        on_disk = aside.submit(bring_folders_to_disk, folders)
        theirs = keys
        if clone.plain:
            with _journal(clone.git_dir) as waiting:
                # git-annex will later write the logs in its journal over those of the branch
                theirs = [key for key in keys if _journal_name(key) in waiting]
                _record(clone, [key for key in keys if _journal_name(key) not in waiting], on_disk)
        on_disk.result()
        _record_by_git_annex(clone, theirs)


def _record(clone: Clone, keys: list[str], on_disk: Future[None]) -> None:
    """Write location logs with one import.  Only under the journal's lock."""
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
    """Replace the pointers in unlocked files by their content, as git-annex does after a get."""
    lines = "".join(f"{file.key} {file.path}\n" for file in files if "\n" not in file.path)
    if not lines:
        return
    with _locked(clone.git_dir / "annex" / "smudge.lck"), (clone.git_dir / "annex" / "smudge.log").open("a") as log:
        log.write(lines)
    git(clone.path, "annex", "smudge", "--update")


def is_populated(clone: Clone, file: Tracked) -> bool:
    """Whether an unlocked file holds more than a pointer; true also if it is missing or edited."""
    content = read_file(clone.path / file.path, LONGEST_POINTER)
    return content is None or not is_pointer(content)


def _journal_name(key: str) -> str:
    """The name of a key's location log in git-annex's journal."""
    return location_path(hash_dir_lower(key), key).replace("_", "__").replace("/", "_")


@contextmanager
def _journal(git_dir: Path) -> Iterator[set[str]]:
    """Hold the lock of git-annex's journal; yields the names of the logs in it."""
    with _locked(git_dir / "annex" / "journal.lck"):
        try:
            yield set(os.listdir(git_dir / "annex" / "journal"))  # noqa: PTH208
        except FileNotFoundError:
            yield set()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold one of git-annex's locks: of this process, on the whole file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DiskError.of(path, error) from error
    try:
        wait_for_record_lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)
