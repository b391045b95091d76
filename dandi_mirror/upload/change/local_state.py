"""What is in a work tree, as an upload compares it; only plain files are ever read, and those only if they must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.model import RemoteFile
from dandi_mirror.paths import is_hidden, is_own
from dandi_mirror.repo.annex.clone import Clone
from dandi_mirror.repo.annex.edits import Edit
from dandi_mirror.repo.annex.keys import sha256_of
from dandi_mirror.repo.git.ignored import ignored_files
from dandi_mirror.upload.change.plan import Here
from dandi_mirror.upload.kinds import ZARR, Kinds, is_junk
from dandi_mirror.upload.send.digest import Digests, digest

RECORD = "dandiset.yaml"
RECORD_EDITED = (
    "the Dandiset's record is edited here, and this release does not send it; edit it on the Dandiset's page in the "
    f"archive, and take your edits back: git restore --staged --worktree {RECORD}"
)


@dataclass(slots=True)
class Ours:
    """The files of a work tree."""

    here: dict[str, Here] = field(default_factory=dict)
    """By path."""
    files: dict[str, Path] = field(default_factory=dict)
    """Where the bytes of edited files are, if they are here."""
    edited: list[str] = field(default_factory=list)
    """What is not as in base, but for what git-annex has unlocked and nobody has written to."""
    junk: list[str] = field(default_factory=list)
    """New files that are left out, because programs leave such behind."""
    ignored: list[str] = field(default_factory=list)
    """Files and folders that are left out, because git ignores them."""


def read_ours(
    clone: Clone,
    base: Mapping[str, RemoteFile],
    theirs: Mapping[str, RemoteFile],
    edits: Iterable[Edit],
    kinds: Kinds,
    *,
    named: Callable[[str], bool] = lambda path: False,
    included: Callable[[str], bool] = lambda path: False,
) -> Ours:
    """The files of a work tree that differs by ``edits`` from ``base``.

    The SHA-256 of a plain file is computed where an asset has as many bytes.  What programs leave
    behind is not even looked at, unless it is ``included``, or ``named`` and so to be told of.  A Zarr counts as one
    file, of the path of its folder.

    Raises:
        DiskError: a file cannot be read.
    """
    ours = Ours({path: Here(there.size, there.sha256) for path, there in base.items()})
    sizes = {there.size for there in (*base.values(), *theirs.values())}
    for edit in edits:
        if edit.path == RECORD:
            ours.here[RECORD] = Here(edit.size, "", RECORD_EDITED)
        elif is_own(edit.path):
            continue
        elif edit.gone:
            ours.here.pop(edit.path, None)
        elif zarr := kinds.zarr(edit.path):
            so_far = ours.here.get(zarr, Here(0, "")).size
            ours.here[zarr] = Here(so_far + max(edit.size, 0), "", ZARR)
        else:
            if is_leftover(edit) and edit.path not in base and edit.path not in theirs and not included(edit.path):
                ours.junk.append(edit.path)
                if not named(edit.path):
                    continue
            ours.here[edit.path] = _here(clone, edit, ours.files, sizes)
            ours.edited += [] if edit.unlocked or edit.strange else [edit.path]
    ours.ignored = [path for path in ignored_files(clone.path) if not is_own(path) and not is_hidden(path)]
    return ours


def is_leftover(edit: Edit) -> bool:
    """Whether a program left a file behind, or git does not know it and its name begins with a dot."""
    return is_junk(edit.path) or (is_hidden(edit.path) and not edit.tracked)


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


def with_known(theirs: Mapping[str, RemoteFile], ours: Ours) -> dict[str, RemoteFile]:
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
