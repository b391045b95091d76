"""What somebody has changed in a work tree since a commit; of annexed files, without reading their content."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.repo.annex.clone import key_of
from dandi_mirror.repo.git.changes import changes
from dandi_mirror.repo.git.dataset import Dataset, Tree
from dandi_mirror.repo.git.process import GitError, git
from dandi_mirror.repo.git.stream import FILE, LINK, blob_id

_POINTER = b"/annex/objects/"
_LONGEST_LINK = 32 << 10
"""Bytes; a longer file is no pointer of git-annex."""
_SMALL = 1 << 20
"""Bytes; a longer file is kept in git by nobody."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A path at which the work tree is not as in the commit."""

    path: str
    size: int = -1
    """Bytes; -1 where nobody can tell."""
    key: str = ""
    """Of an annexed file, also of one that is unlocked and as git-annex left it."""
    unlocked: bool = False
    """Whether it is annexed and no link."""
    gone: bool = False
    strange: str = ""
    """What it is, if it is no file."""
    tracked: bool = True
    """Whether git knows of it."""


def read_edits(dataset: Dataset, commit: str) -> list[Edit]:
    """How the work tree differs from a commit, with what is untracked and not ignored; sorted by path.

    Raises:
        DiskError, GitError: it cannot be read.
    """
    edits = list(_tracked(dataset, commit, dataset.tree(commit)))
    known = {edit.path for edit in edits}
    listing = git(dataset.path, "ls-files", "-z", "--others", "--exclude-standard")
    for name in filter(None, listing.split(b"\0")):
        path = os.fsdecode(name)
        if path.endswith("/"):
            edits.append(Edit(path.rstrip("/"), strange="it is a repository of its own", tracked=False))
        elif path not in known and (edit := _look(dataset, path, tracked=False)):
            edits.append(edit)
    return sorted(edits, key=lambda edit: edit.path)


def files(folder: Path) -> list[str]:
    """Every file of a work tree that git has or would add."""
    listing = git(folder, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    return sorted({os.fsdecode(name) for name in listing.split(b"\0")[:-1]})


def _tracked(dataset: Dataset, commit: str, tree: Tree) -> Iterator[Edit]:
    """What the index has, or the commit, and is another thing there or here.

    git says so of whatever it is not sure of, so each is looked at; a file that it is sure of is as the index has it.
    """
    clean: dict[str, str] = {}
    for change in changes(dataset, "diff-index", commit):
        path, (mode, oid) = os.fsdecode(change.path), change.new
        if change.status == b"U":
            yield Edit(path, strange="a merge left it in conflict")
        elif mode == FILE and oid.strip(b"0"):
            clean[path] = oid.decode()
        elif (edit := _look(dataset, path)) is None:
            yield Edit(path, gone=True)
        elif not _is_same(dataset, edit, tree):
            yield edit
    with dataset.reader() as reader:
        contents = reader.read(list(clean.values()), _LONGEST_LINK, b"")
        for (path, _), content in zip(clean.items(), contents, strict=True):
            # an unlocked file holds its content, and what git has of it is the pointer
            key = key_of(FILE, content or b"")
            if edit := Edit(path, _size_of(key), key, unlocked=True) if key else _look(dataset, path):
                yield edit


def _look(dataset: Dataset, path: str, *, tracked: bool = True) -> Edit | None:
    """What is at a path; None if nothing is."""
    file = dataset.path / path
    try:
        found = os.lstat(file)
        if stat.S_ISLNK(found.st_mode):
            return _link(path, os.fsencode(file.readlink()), tracked)
        if stat.S_ISDIR(found.st_mode):
            there = (file / ".git").exists()
            return Edit(path, strange="it is a repository of its own", tracked=tracked) if there else None
        if not stat.S_ISREG(found.st_mode):
            return Edit(path, strange="it is no file", tracked=tracked)
        key = _pointer(file, found.st_size)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DiskError.of(file, error) from error
    return Edit(path, _size_of(key) if key else found.st_size, key, bool(key), tracked=tracked)


def _link(path: str, target: bytes, tracked: bool) -> Edit:
    if key := key_of(LINK, target):
        return Edit(path, _size_of(key), key, tracked=tracked)
    shown = ascii(os.fsdecode(target))[1:-1]
    return Edit(path, strange=f"it is a link to {shown}; put the file itself there", tracked=tracked)


def _pointer(file: Path, size: int) -> str:
    """The key of an unlocked file whose content is not here."""
    if size > _LONGEST_LINK:
        return ""
    with file.open("rb") as content:
        return key_of(FILE, content.read()) if content.read(len(_POINTER)) == _POINTER and not content.seek(0) else ""


def _is_same(dataset: Dataset, edit: Edit, tree: Tree) -> bool:
    """Whether the work tree has at a path what the commit has, of which git was not sure."""
    mode, oid = tree.get(edit.path, (b"", ""))
    file = dataset.path / edit.path
    if mode == LINK:
        return file.is_symlink() and blob_id(os.fsencode(file.readlink())) == oid
    if mode != FILE or file.is_symlink() or edit.size > _SMALL or edit.strange:
        return False
    return blob_id(file.read_bytes()) == oid


def _size_of(key: str) -> int:
    found = re.search(r"-s([0-9]+)", key.partition("--")[0])
    return int(found[1]) if found else -1


def is_tracked(file: Path) -> bool:
    """Whether git tracks a file, whoever owns the repository; false where there is none.

    Starts no git where the index does not have the file's name at all.
    """
    with suppress(OSError):
        index = (file.parent / ".git" / "index").read_bytes()
        # version 4 of the index shortens its paths, and a split index ("link") has some of them in another file
        whole = index[:4] == b"DIRC" and index[4:8] < b"\0\0\0\4" and b"link" not in index
        if whole and os.fsencode(file.name) not in index:
            return False
    # what its settings would have git start is not started
    settings = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false")
    try:
        return bool(git(file.parent, *settings, "--literal-pathspecs", "ls-files", "-z", "--", file.name))
    except GitError:
        return False
