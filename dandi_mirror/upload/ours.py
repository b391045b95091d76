"""What is in a work tree, as an upload compares it; only plain files are ever read, and those only if they must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.model import There
from dandi_mirror.paths import is_hidden, is_own
from dandi_mirror.repo.clone import Clone
from dandi_mirror.repo.edits import Edit
from dandi_mirror.repo.ignored import ignored_files
from dandi_mirror.repo.keys import sha256_of
from dandi_mirror.upload.digest import Digests, digest
from dandi_mirror.upload.plan import Here


@dataclass(slots=True)
class Ours:
    """The files of a work tree."""

    here: dict[str, Here] = field(default_factory=dict)
    """By path."""
    files: dict[str, Path] = field(default_factory=dict)
    """Where the bytes of edited files are, if they are here."""
    edited: list[str] = field(default_factory=list)
    """What is not as in base, but for what git-annex has unlocked and nobody has written to."""
    hidden: list[str] = field(default_factory=list)
    """Untracked files that are left out, because their names begin with a dot."""
    ignored: list[str] = field(default_factory=list)
    """Files and folders that are left out, because git ignores them."""


def read_ours(
    clone: Clone,
    base: Mapping[str, There],
    theirs: Mapping[str, There],
    edits: Iterable[Edit],
    named: Callable[[str], bool] = lambda path: False,
) -> Ours:
    """The files of a work tree that differs by ``edits`` from ``base``.

    The SHA-256 of a plain file is computed where an asset has as many bytes.  ``named`` says whether a path was asked
    for by name, so that it counts though it is hidden.

    Raises:
        DiskError: a file cannot be read.
    """
    ours = Ours({path: Here(there.size, there.sha256) for path, there in base.items()})
    sizes = {there.size for there in (*base.values(), *theirs.values())}
    for edit in edits:
        if is_own(edit.path):
            continue
        if edit.gone:
            ours.here.pop(edit.path, None)
        elif is_hidden(edit.path) and not edit.tracked and not named(edit.path):
            ours.hidden.append(edit.path)
        else:
            ours.here[edit.path] = _here(clone, edit, ours.files, sizes)
            ours.edited += [] if edit.unlocked or edit.strange else [edit.path]
    ours.ignored = [path for path in ignored_files(clone.path) if not is_own(path) and not is_hidden(path)]
    return ours


def _here(clone: Clone, edit: Edit, files: dict[str, Path], sizes: set[int]) -> Here:
    if edit.strange:
        return Here(-1, "", edit.strange)
    if not edit.key:
        files[edit.path] = clone.path / edit.path
        return Here(edit.size, look(files[edit.path]).sha256 if edit.size in sizes else "")
    if clone.has(edit.key):
        files[edit.path] = Path(clone.object_path(edit.key))
    if sha256 := sha256_of(edit.key):
        return Here(edit.size, sha256)
    if edit.path not in files:
        return Here(edit.size, "", f"its content is not here; get it first: dandi-mirror get {edit.path}")
    found = look(files[edit.path])
    return Here(found.size, found.sha256)


def look(file: Path) -> Digests:
    """The digests of a file.

    Raises:
        DiskError: it cannot be read.
    """
    try:
        return digest(file)
    except OSError as error:
        raise DiskError.of(file, error) from error


def with_known(theirs: Mapping[str, There], ours: Ours) -> dict[str, There]:
    """The archive's draft, with the SHA-256 of what was sent by us and has none there yet: its etag tells."""
    found = dict(theirs)
    for path, there in theirs.items():
        here, file = ours.here.get(path), ours.files.get(path)
        if not there.sha256 and there.etag and file and here and here.size == there.size:
            digests = look(file)
            if digests.etag == there.etag:
                found[path] = replace(there, sha256=digests.sha256)
                ours.here[path] = Here(digests.size, digests.sha256)
    return found
