"""Put fetched content into git-annex as git-annex itself does: the object, the pointer files, the location log.

We sync the bytes to disk and then rename the file to its place, so an object is there completely or not at all.  The
log follows.  If a run ends in between, no log names the object, and the next run records it.
While we write logs we hold the lock of git-annex's journal, which git-annex takes whenever it writes to its branch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.files.opening import read_file
from dandi_mirror.repo.annex.journal import annex_lock
from dandi_mirror.repo.annex.log_writer import record_presence
from dandi_mirror.repo.annex.pointers import LONGEST_POINTER, is_pointer
from dandi_mirror.repo.annex.repository import AnnexRepository, Tracked
from dandi_mirror.repo.git.disk import bring_files_to_disk, bring_folders_to_disk
from dandi_mirror.repo.git.process import git

_READ_ONLY = 0o555
_LEVELS = 4
"""The number of folders from that of one object up to that of all objects."""


@dataclass(frozen=True, slots=True)
class FetchedContent:
    """Content that was fetched, in a temporary file."""

    key: str
    file: Path
    """The file that holds exactly these bytes; :func:`place_content` moves it."""


def place_content(clone: AnnexRepository, fetched: Iterable[FetchedContent]) -> None:
    """Move content to its place among git-annex's objects; call :func:`record` afterwards.

    Raises:
        DiskError: a file cannot be moved.  The next :func:`record` also records what was placed before.
    """
    fetched = list(fetched)
    # after a power cut, an object without its bytes would count as present
    bring_files_to_disk([str(content.file) for content in fetched], begun=True)
    made = {str(clone.git_dir)}
    for content in fetched:
        _place(clone, content, made)


def _place(clone: AnnexRepository, fetched: FetchedContent, made: set[str]) -> None:
    target = clone.new_object_path(fetched.key)
    folder = target.rpartition("/")[0]
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
    """Make a folder and those above it; ``made`` holds folders that exist."""
    if folder in made:
        return
    _make(folder.rpartition("/")[0], made)
    try:
        os.mkdir(folder)  # noqa: PTH102
    except FileExistsError:
        pass
    except FileNotFoundError:
        # another program dropped the content of the folder above and removed that folder
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    made.add(folder)


def _above(target: str) -> Iterator[str]:
    """The folders of an object, from its own up to that of all objects."""
    for _ in range(_LEVELS):
        target = target.rpartition("/")[0]
        yield target


def record(clone: AnnexRepository, keys: Iterable[str]) -> None:
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
        record_presence(clone, {key: {clone.uuid: True} for key in keys}, ready=on_disk.result)
        on_disk.result()


def populate(clone: AnnexRepository, files: Iterable[Tracked]) -> None:
    """Replace the pointers in unlocked files by their content, as git-annex does after a get."""
    lines = "".join(f"{file.key} {file.path}\n" for file in files if "\n" not in file.path)
    if not lines:
        return
    with annex_lock(clone.git_dir / "annex" / "smudge.lck"), (clone.git_dir / "annex" / "smudge.log").open("a") as log:
        log.write(lines)
    git(clone.path, "annex", "smudge", "--update")


def is_populated(clone: AnnexRepository, file: Tracked) -> bool:
    """Whether an unlocked file holds more than a pointer; true also if it is missing or edited."""
    content = read_file(clone.path / file.path, LONGEST_POINTER)
    return content is None or not is_pointer(content)
