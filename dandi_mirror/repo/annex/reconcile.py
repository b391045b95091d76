"""After an upload, bring the work tree to the state that a sync would make, for the files that the archive now has."""

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
from dandi_mirror.repo.annex.keys import link_target, sha256_of
from dandi_mirror.repo.annex.objects import FetchedContent, place_content, record
from dandi_mirror.repo.annex.pointers import key_of_link
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import Dataset, RefChange
from dandi_mirror.repo.git.files import FileStamp, stamp_of
from dandi_mirror.repo.git.process import NO_FILTER, git

UPLOADED_BRANCHES = "uploaded/"
"""Prefix of the branches that keep a person's commits after they were uploaded."""
_READ_ONLY = 0o555
_ARGUMENTS = 200
"""Paths that one command line has room for, however long they are."""


def annex(clone: AnnexRepository, keys: Mapping[str, str], read: Mapping[str, FileStamp]) -> None:
    """Add files to git-annex and make them links to their keys; small text files (``.gitattributes``) stay in git.

    ``keys`` has the key of each path, as a sync makes it; empty for a file that git keeps.  ``read`` has the stamp
    (size, time, inode) that each file had when its digest was computed.

    Raises:
        DiskError, GitError: git-annex failed.
    """
    paths = [path for path in keys if os.path.lexists(clone.path / path)]
    _take(clone, {path: key for path, key in keys.items() if key and path in read}, read)
    _add(clone, [path for path in paths if not (clone.path / path).is_symlink()])
    # a person unlocks a file to edit it, and that has happened
    _lock(clone, [path for path in paths if keys[path] and not (clone.path / path).is_symlink()])
    for path in paths:
        if keys[path]:
            _relink(clone, path, keys[path])
        else:
            _let_be_plain(clone.path / path)


def _take(clone: AnnexRepository, keys: Mapping[str, str], read: Mapping[str, FileStamp]) -> None:
    """Make files the content of their keys, as ``git annex add`` does, but without computing the digest again.

    A file that changed since it was read, or is unusual in any way, is left to git-annex.  If the run ends at any
    moment, the path holds the file or the link to it.
    """
    fetched: dict[str, FetchedContent] = {}
    folder = clone.git_dir / "annex" / "othertmp"  # git-annex removes old files from it
    for path, key in keys.items() if clone.plain else ():
        file, made = clone.path / path, folder / f"{os.getpid()}.{len(fetched)}"
        with suppress(OSError):
            found = file.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or clone.has(key):
                continue
            file.chmod(found.st_mode & _READ_ONLY)
            if stamp_of(file) != read[path]:
                file.chmod(found.st_mode)
                continue
            folder.mkdir(parents=True, exist_ok=True)
            os.link(file, made)
            fetched[path] = FetchedContent(key, made)
    place_content(clone, fetched.values())
    for path in fetched:
        _point(clone, path, keys[path])
    record(clone, [content.key for content in fetched.values()])
    if fetched:
        lines = b"".join(os.fsencode(path) + b"\0" for path in fetched)
        git(clone.path, *NO_FILTER, "update-index", "-z", "--add", "--replace", "--stdin", stdin=lines)


def _point(clone: AnnexRepository, path: str, key: str) -> None:
    """Replace a path by a link to a key, in one rename."""
    file = clone.path / path
    try:
        made = file.with_name(f".{os.getpid()}.dandi-mirror")
        made.unlink(missing_ok=True)
        made.symlink_to(link_target(key, path.count("/")))
        made.rename(file)
    except OSError as error:
        raise DiskError.of(file, error) from error


def forget(dataset: Dataset, stays: Container[str]) -> None:
    """Remove files from the index that are gone from the work tree, except those that ``stays`` names."""
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


def _add(clone: AnnexRepository, paths: Collection[str]) -> None:
    if paths:
        # no NUL at the end: an old git-annex takes what follows it for one more path, an empty one
        lines = b"\0".join(os.fsencode(path) for path in sorted(paths))
        # an archive treats names that begin with a dot like all others
        settings = ("-c", "annex.dotfiles=true", "-c", "annex.addunlocked=false")
        git(clone.path, *settings, "annex", "add", "--quiet", "--batch", "-z", stdin=lines)


def _lock(clone: AnnexRepository, paths: Collection[str]) -> None:
    """Lock the files that are in the index; an old git-annex locks none that it reads by ``--batch``."""
    if paths:
        tracked = set(git(clone.path, "ls-files", "-z").split(b"\0"))
        unlocked = [path for path in sorted(paths) if os.fsencode(path) in tracked]
        for begin in range(0, len(unlocked), _ARGUMENTS):
            git(clone.path, "annex", "lock", "--quiet", "--", *unlocked[begin : begin + _ARGUMENTS])


def _relink(clone: AnnexRepository, path: str, key: str) -> None:
    """Correct the key of a link: after a rename, the file's key may have another ending."""
    file = clone.path / path
    if not file.is_symlink():
        return
    has = key_of_link(file)
    target = link_target(key, path.count("/"))
    if not has or os.fspath(file.readlink()) == target or not _is_alike(clone, has, key):
        return
    try:
        if has != key and clone.has(has) and not clone.has(key):
            copied = clone.git_dir / "annex" / "tmp" / key
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clone.object_path(has), copied)
            place_content(clone, [FetchedContent(key, copied)])
            record(clone, [key])
    except OSError as error:
        raise DiskError.of(file, error) from error
    _point(clone, path, key)


def _is_alike(clone: AnnexRepository, has: str, key: str) -> bool:
    """Whether two keys stand for the same bytes; a file may have been edited after it was sent."""
    if sha256 := sha256_of(has):
        return sha256 == sha256_of(key)
    try:
        with Path(clone.object_path(has)).open("rb") as content:
            return file_digest(content, "sha256").hexdigest() == sha256_of(key)
    except FileNotFoundError:
        return False


def _let_be_plain(file: Path) -> None:
    """Make a small text file a plain file that is not executable, as a sync would."""
    try:
        if file.is_symlink() and file.is_file():
            made = file.with_name(f".{os.getpid()}.dandi-mirror")
            made.unlink(missing_ok=True)  # copyfile would follow a link
            shutil.copyfile(file, made)
            made.rename(file)
        elif file.is_file() and (mode := file.stat().st_mode) & 0o111:
            file.chmod(mode & ~0o111)
    except OSError as error:
        raise DiskError.of(file, error) from error


def step_back(dataset: Dataset, branch: str, commit: str) -> str:
    """Move a branch back to the commit of the last sync; index and work tree stay as they are.

    Returns the name of the branch that keeps the commits made since; empty if there are none, or if together they
    change nothing.

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
        # this one first, so that a branch always holds the commits
        changes.insert(0, RefChange(f"refs/heads/{name}", tip, dataset.ref(f"refs/heads/{name}")))
    dataset.move_refs(changes)
    return name


def unstage(dataset: Dataset, commit: str, paths: Iterable[str]) -> None:
    """Reset these paths of the index to a commit; the work tree has that state already."""
    if names := b"".join(os.fsencode(path) + b"\0" for path in paths):
        how = ("--pathspec-from-file=-", "--pathspec-file-nul")
        git(dataset.path, *NO_FILTER, "--literal-pathspecs", "reset", "--quiet", *how, commit, stdin=names)


def _free_name(dataset: Dataset, tip: str) -> str:
    """``uploaded/2026-11-22-1`` or the next free number; if an earlier run named the same commit, that name."""
    refs = dataset.refs()
    if there := next(
        (ref for ref, oid in refs.items() if ref.startswith(f"refs/heads/{UPLOADED_BRANCHES}") and oid == tip), ""
    ):
        return there.removeprefix("refs/heads/")
    today = f"{UPLOADED_BRANCHES}{datetime.now(UTC):%Y-%m-%d}"
    return next(name for number in count(1) if f"refs/heads/{(name := f'{today}-{number}')}" not in refs)
