"""Letting a work tree stand as a sync would have it, where the archive has its files: before a sync brings the rest."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Collection, Container, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import file_digest
from itertools import count
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.repo.annex.clone import Clone, key_of
from dandi_mirror.repo.annex.keys import link_target, sha256_of
from dandi_mirror.repo.annex.objects import Arrived, place, record
from dandi_mirror.repo.git.dataset import Dataset, RefChange
from dandi_mirror.repo.git.files import Look, look
from dandi_mirror.repo.git.process import NO_FILTER, git
from dandi_mirror.repo.git.stream import LINK

KEPT = "uploaded/"
"""Branches below it are a person's commits that went to the archive."""
_READ_ONLY = 0o555


def annex(clone: Clone, keys: Mapping[str, str], read: Mapping[str, Look]) -> None:
    """Let files be annexed (what is small text by ``.gitattributes``: be in git) and be links to their keys.

    ``keys`` has the key of each path, as a sync makes it; empty for a file that git itself keeps.  ``read`` tells how
    files looked when the digests of their keys were taken.

    Raises:
        DiskError, GitError: git-annex cannot.
    """
    paths = [path for path in keys if os.path.lexists(clone.path / path)]
    _take(clone, {path: key for path, key in keys.items() if key and path in read}, read)
    _git_annex(clone, "add", [path for path in paths if not (clone.path / path).is_symlink()])
    # who unlocks a file means to edit it, and has
    _git_annex(clone, "lock", [path for path in paths if keys[path] and not (clone.path / path).is_symlink()])
    for path in paths:
        if keys[path]:
            _relink(clone, path, keys[path])
        else:
            _let_be_plain(clone.path / path)


def _take(clone: Clone, keys: Mapping[str, str], read: Mapping[str, Look]) -> None:
    """Let files become content of their keys as ``git annex add`` does, without another digest.

    What has changed since it was read, or is strange in any way, is left to git-annex.  The path always has the
    file or the link to it, wherever this ends.
    """
    arrived: dict[str, Arrived] = {}
    folder = clone.git_dir / "annex" / "othertmp"  # which git-annex clears of what is old
    for path, key in keys.items() if clone.plain else ():
        file, made = clone.path / path, folder / f"{os.getpid()}.{len(arrived)}"
        with suppress(OSError):
            found = file.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or clone.has(key):
                continue
            file.chmod(found.st_mode & _READ_ONLY)
            if look(file) != read[path]:
                file.chmod(found.st_mode)
                continue
            folder.mkdir(parents=True, exist_ok=True)
            os.link(file, made)
            arrived[path] = Arrived(key, made)
    place(clone, arrived.values())
    for path in arrived:
        _point(clone, path, keys[path])
    record(clone, [content.key for content in arrived.values()])
    if arrived:
        lines = b"".join(os.fsencode(path) + b"\0" for path in arrived)
        git(clone.path, *NO_FILTER, "update-index", "-z", "--add", "--replace", "--stdin", stdin=lines)


def _point(clone: Clone, path: str, key: str) -> None:
    """Let a path be a link to a key, and nothing else at any moment."""
    file = clone.path / path
    try:
        made = file.with_name(f".{os.getpid()}.dandi-mirror")
        made.unlink(missing_ok=True)
        made.symlink_to(link_target(key, path.count("/")))
        made.rename(file)
    except OSError as error:
        raise DiskError.of(file, error) from error


def forget(dataset: Dataset, stays: Container[str]) -> None:
    """Let the index have nothing that the work tree has no more, but for what ``stays`` in the archive."""
    listing = git(dataset.path, "ls-files", "-z", "--deleted")
    gone = [name for name in listing.split(b"\0") if name and os.fsdecode(name) not in stays]
    if gone:
        git(
            dataset.path,
            "update-index",
            "-z",
            "--force-remove",
            "--stdin",
            stdin=b"".join(name + b"\0" for name in gone),
        )


def _git_annex(clone: Clone, command: str, paths: Collection[str]) -> None:
    if paths:
        lines = b"".join(os.fsencode(path) + b"\0" for path in sorted(paths))
        # names that begin with a dot are no exception in an archive
        settings = ("-c", "annex.dotfiles=true", "-c", "annex.addunlocked=false")
        git(clone.path, *settings, "annex", command, "--quiet", "--batch", "-z", stdin=lines)


def _relink(clone: Clone, path: str, key: str) -> None:
    """Let a link name the key that its bytes have under its name: after a rename it may have another ending."""
    file = clone.path / path
    if not file.is_symlink():
        return
    has = key_of(LINK, os.fsencode(file.readlink()))
    target = link_target(key, path.count("/"))
    if not has or os.fspath(file.readlink()) == target or not _is_alike(clone, has, key):
        return
    try:
        if has != key and clone.has(has) and not clone.has(key):
            copied = clone.git_dir / "annex" / "tmp" / key
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clone.object_path(has), copied)
            place(clone, [Arrived(key, copied)])
            record(clone, [key])
    except OSError as error:
        raise DiskError.of(file, error) from error
    _point(clone, path, key)


def _is_alike(clone: Clone, has: str, key: str) -> bool:
    """Whether a key stands for the bytes of another one; a file may have been edited since it was sent."""
    if sha256 := sha256_of(has):
        return sha256 == sha256_of(key)
    try:
        with Path(clone.object_path(has)).open("rb") as content:
            return file_digest(content, "sha256").hexdigest() == sha256_of(key)
    except FileNotFoundError:
        return False


def _let_be_plain(file: Path) -> None:
    """A small text is a file of its own, and for nobody to execute."""
    try:
        if file.is_symlink() and file.is_file():
            made = file.with_name(f".{os.getpid()}.dandi-mirror")
            made.unlink(missing_ok=True)  # a link there would be followed
            shutil.copyfile(file, made)
            made.rename(file)
        elif file.is_file() and (mode := file.stat().st_mode) & 0o111:
            file.chmod(mode & ~0o111)
    except OSError as error:
        raise DiskError.of(file, error) from error


def step_back(dataset: Dataset, branch: str, commit: str) -> str:
    """Let a branch be at the last sync's commit again, with index and work tree as they are.

    Returns the branch that keeps what was committed since; empty if nothing was, or what adds up to nothing.

    Raises:
        DiskError, GitError: the refs cannot be moved.
    """
    ref = f"refs/heads/{branch}"
    tip = dataset.ref(ref)
    if tip is None or tip == commit:
        return ""
    changes = [RefChange(ref, commit, tip)]
    name = ""
    if git(dataset.path, "rev-parse", f"{tip}^{{tree}}") != git(dataset.path, "rev-parse", f"{commit}^{{tree}}"):
        name = _free_name(dataset, tip)
        # first: what is committed is never without a name
        changes.insert(0, RefChange(f"refs/heads/{name}", tip, dataset.ref(f"refs/heads/{name}")))
    dataset.move_refs(changes)
    return name


def unstage(dataset: Dataset, commit: str, paths: Iterable[str]) -> None:
    """Let the index have at these paths what a commit has; the work tree has it already."""
    if names := b"".join(os.fsencode(path) + b"\0" for path in paths):
        how = ("--pathspec-from-file=-", "--pathspec-file-nul")
        git(dataset.path, *NO_FILTER, "--literal-pathspecs", "reset", "--quiet", *how, commit, stdin=names)


def _free_name(dataset: Dataset, tip: str) -> str:
    """``uploaded/2026-11-22-1``, or the next number; the name that a run before has given to the same commit."""
    refs = dataset.refs()
    if there := next((ref for ref, oid in refs.items() if ref.startswith(f"refs/heads/{KEPT}") and oid == tip), ""):
        return there.removeprefix("refs/heads/")
    today = f"{KEPT}{datetime.now(UTC):%Y-%m-%d}"
    return next(name for number in count(1) if f"refs/heads/{(name := f'{today}-{number}')}" not in refs)
