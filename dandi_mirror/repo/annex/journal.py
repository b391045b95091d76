"""git-annex's journal: logs that it has written and not yet committed to its branch; and the lock that guards both.

A log in the journal is a whole file, which git-annex later puts in the place of the one on the branch.  So whoever
moves the branch meanwhile adds the new lines to the journal, too; otherwise they would vanish from the branch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.file_lock import wait_for_record_lock
from dandi_mirror.files.own import OwnPath
from dandi_mirror.repo.annex.logs import union
from dandi_mirror.repo.git.dataset import Dataset

WAIT = 300.0
"""Seconds: how long to wait for a git-annex that writes to its branch; it commits a million logs in less."""


def journal_name(path: str) -> str:
    """The name in the journal of a file of the git-annex branch."""
    return path.replace("_", "__").replace("/", "_")


def branch_path(name: str) -> str:
    """The file of the git-annex branch that has this name in the journal."""
    return re.sub("__?", lambda found: "_" if len(found[0]) > 1 else "/", name)


@contextmanager
def held_journal(git_dir: Path) -> Iterator[set[str]]:
    """Hold the lock that git-annex takes whenever it writes to its branch; yields the names of the logs in the journal.

    Raises:
        LockedError: a git-annex holds it for longer than :data:`WAIT`.
        DiskError: it cannot be taken.
    """
    if not (git_dir / "annex").is_dir():  # no git-annex has ever run here
        yield set()
        return
    with annex_lock(git_dir / "annex" / "journal.lck"):
        try:
            yield set(os.listdir(git_dir / "annex" / "journal"))  # noqa: PTH208
        except FileNotFoundError:
            yield set()


def add_to_journal(dataset: Dataset, waiting: Iterable[str], base: str | None, made: str) -> None:
    """Add to the logs that wait in the journal what the branch's next commit, ``made``, says more than ``base``.

    Only under the lock of :func:`held_journal`, before the branch is moved: whether that succeeds or not, git-annex
    loses no line.

    Raises:
        DiskError: the journal cannot be written.
    """
    paths = {name: branch_path(name) for name in waiting if "\n" not in name}
    if not paths:
        return
    with dataset.reader() as reader:
        new = list(reader.read([f"{made}:{path}" for path in paths.values()]))
        old = list(reader.read([f"{base}:{path}" for path in paths.values()])) if base else [None] * len(new)
    for name, before, after in zip(paths, old, new, strict=True):
        if after and after != before:
            _add(dataset.git_dir, name, after)


def _add(git_dir: Path, name: str, lines: bytes) -> None:
    """Add lines to one log of the journal, so that git-annex sees the old or the new file, complete."""
    file, aside = OwnPath(git_dir, ("annex", "journal", name)), OwnPath(git_dir, ("annex", "othertmp", name))
    try:
        before = file.read()
        if (after := union(before, lines)) == before:
            return
        # git-annex takes every file in the journal for a log, also one that a killed run leaves
        aside.replace(after)
        with aside.parent.opened_folder() as source, file.parent.opened_folder() as target:
            os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
            os.fsync(target)
    except OSError as error:
        raise DiskError.of(file, error) from error


@contextmanager
def annex_lock(path: Path) -> Iterator[None]:
    """Hold one of git-annex's locks: of this process, on the whole file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise DiskError.of(path, error) from error
    try:
        wait_for_record_lock(descriptor, path, WAIT)
        yield
    finally:
        os.close(descriptor)
