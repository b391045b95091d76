"""Find what a person changed in a work tree since a commit, without reading the content of annexed files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.repo.annex.keys import size_of
from dandi_mirror.repo.annex.pointers import LONGEST_POINTER, key_in, key_of_pointer
from dandi_mirror.repo.git.changes import changes
from dandi_mirror.repo.git.dataset import Dataset, Tree
from dandi_mirror.repo.git.folding import one_file_here
from dandi_mirror.repo.git.git_folder import find_repository
from dandi_mirror.repo.git.process import GitError, git
from dandi_mirror.repo.git.stream import FILE, GITLINK, LINK, blob_id

CHANGED_REPOSITORY = (
    "it is a repository of its own, and something in it has changed; to send it, copy it to a plain folder without its "
    ".git (cp -rL), and put that in its place"
)
_SMALL = 1 << 20
"""Bytes; no sync keeps a longer file in git."""


@dataclass(frozen=True, slots=True)
class LocalEdit:
    """A path at which the work tree differs from the commit."""

    path: str
    size: int = -1
    """Bytes; -1 if unknown."""
    key: str = ""
    """Of an annexed file, also of an unlocked one that nobody edited."""
    unlocked: bool = False
    """Whether it is an annexed file, but not a link."""
    gone: bool = False
    problem: str | None = None
    """Why this is not a file that can be sent; None if it is one."""
    tracked: bool = True
    """Whether git knows of it."""


def read_edits(
    dataset: Dataset, commit: str, passed: Callable[[list[str]], Container[str]] = lambda untracked: ()
) -> list[LocalEdit]:
    """The differences between the work tree and a commit, with untracked files that git does not ignore; by path.

    ``passed`` gives the untracked files that are only named, and not looked at, from a list of all of them.

    Raises:
        DiskError, GitError: the work tree cannot be read.
    """
    tree = dataset.tree(commit)
    edits = list(_tracked(dataset, commit, tree))
    known = {edit.path for edit in edits}
    listing = git(dataset.path, "ls-files", "-z", "--others", "--exclude-standard")
    untracked = [os.fsdecode(name) for name in listing.split(b"\0") if name] + list(_in_subdatasets(dataset, tree))
    unseen = passed(untracked)
    for path in untracked:
        if path in unseen:
            edits.append(LocalEdit(path, tracked=False))
        elif path.endswith("/"):
            edits.append(LocalEdit(path.rstrip("/"), problem="it is a repository of its own", tracked=False))
        elif path not in known and (edit := _look(dataset, path, tracked=False)):
            edits.append(edit)
    one_file = one_file_here(dataset, tree)
    edits = [_named(edit, reason) if (reason := one_file.get(edit.path)) else edit for edit in edits]
    return sorted(edits, key=lambda edit: edit.path)


def _in_subdatasets(dataset: Dataset, tree: Tree) -> Iterator[str]:
    """The files in folders that stand for subdatasets and are none here: git does not list them.

    Such a folder is empty in a new clone; a person may have put a Zarr into it.
    """
    for path, (mode, _) in tree.items():
        folder = dataset.path / path
        if mode != GITLINK or folder.is_symlink() or os.path.lexists(folder / ".git"):
            continue
        for inner, _, names in os.walk(folder):
            yield from (os.path.relpath(f"{inner}/{name}", dataset.path) for name in names)


def _named(edit: LocalEdit, reason: str) -> LocalEdit:
    """Take a difference that the disk makes for no edit: nobody meant to send or to delete it."""
    return replace(edit, problem=reason, gone=False)


def files(folder: Path) -> list[str]:
    """Every file of a work tree that git tracks or would add."""
    listing = git(folder, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    return sorted({os.fsdecode(name) for name in listing.split(b"\0")[:-1]})


def _tracked(dataset: Dataset, commit: str, tree: Tree) -> Iterator[LocalEdit]:
    """The paths of the index or the commit at which the work tree may differ.

    git also lists files that it is not sure of, so each of these is compared.  Where git gives an object id, the file
    is as the index has it.
    """
    clean: dict[str, str] = {}
    # without the option, git of 2.34 and newer does not count new files in a subdataset
    for change in changes(dataset, "diff-index", "--ignore-submodules=none", commit):
        path, (mode, oid) = os.fsdecode(change.path), change.new
        if change.status == b"U":
            yield LocalEdit(path, problem="a merge left it in conflict")
        elif mode == FILE and oid.strip(b"0"):
            clean[path] = oid.decode()
        elif (edit := _look(dataset, path)) is None:
            # to remove the empty folder of a subdataset is not to delete that
            if tree.get(path, (b"", ""))[0] != GITLINK:
                yield LocalEdit(path, gone=True)
        elif not _is_same(dataset, edit, tree):
            yield edit
    with dataset.reader() as reader:
        contents = reader.read(list(clean.values()), LONGEST_POINTER, b"")
        for (path, _), content in zip(clean.items(), contents, strict=True):
            # an unlocked file holds its content, while git tracks the pointer
            key = key_in(FILE, content or b"")
            if edit := LocalEdit(path, size_of(key, unknown=-1), key, unlocked=True) if key else _look(dataset, path):
                yield edit


def _look(dataset: Dataset, path: str, *, tracked: bool = True) -> LocalEdit | None:
    """The file at a path; None if there is nothing."""
    file = dataset.path / path
    try:
        found = os.lstat(file)
        if stat.S_ISLNK(found.st_mode):
            return _link(path, os.fsencode(file.readlink()), tracked)
        if stat.S_ISDIR(found.st_mode):
            there = (file / ".git").exists()
            return LocalEdit(path, problem=CHANGED_REPOSITORY, tracked=tracked) if there else None
        if not stat.S_ISREG(found.st_mode):
            return LocalEdit(path, problem="it is not a file", tracked=tracked)
        key = _pointer(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DiskError.of(file, error) from error
    return LocalEdit(path, size_of(key, unknown=-1) if key else found.st_size, key, bool(key), tracked=tracked)


def _link(path: str, target: bytes, tracked: bool) -> LocalEdit:
    if key := key_in(LINK, target):
        return LocalEdit(path, size_of(key, unknown=-1), key, tracked=tracked)
    shown = ascii(os.fsdecode(target))[1:-1]
    return LocalEdit(path, problem=f"it is a link to {shown}; put the file itself there", tracked=tracked)


def _pointer(file: Path) -> str:
    """The key of an unlocked file whose content is absent; empty for any other file."""
    with file.open("rb") as content:
        return key_of_pointer(content)


def _is_same(dataset: Dataset, edit: LocalEdit, tree: Tree) -> bool:
    """Whether the work tree and the commit have the same at a path; for files that git is not sure of."""
    mode, oid = tree.get(edit.path, (b"", ""))
    file = dataset.path / edit.path
    if mode == LINK:
        return file.is_symlink() and blob_id(os.fsencode(file.readlink())) == oid
    if mode != FILE or file.is_symlink() or edit.size > _SMALL or edit.problem:
        return False
    return blob_id(file.read_bytes()) == oid


def is_tracked(file: Path) -> bool:
    """Whether git tracks a file, whoever owns the repository; false if there is no repository.

    Starts no git if there is no repository, or the index does not contain the name of the file at all.
    """
    if find_repository(file.parent) is None:
        return False
    with suppress(OSError):
        index = (file.parent / ".git" / "index").read_bytes()
        # version 4 of the index shortens paths, and a split index ("link") keeps some of them in another file
        whole = index[:4] == b"DIRC" and index[4:8] < b"\0\0\0\4" and b"link" not in index
        if whole and os.fsencode(file.name) not in index:
            return False
    try:
        return bool(git(file.parent, "--literal-pathspecs", "ls-files", "-z", "--", file.name))
    except GitError:
        return False
