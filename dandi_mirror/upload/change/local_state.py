"""Read the state of a work tree for an upload; only regular files are read, and only if that is necessary."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dandi_mirror.errors import DiskError, PartError
from dandi_mirror.model import RemoteFile
from dandi_mirror.paths import DANDISET_YAML, is_own
from dandi_mirror.repo.annex.edits import LocalEdit
from dandi_mirror.repo.annex.keys import sha256_of
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.ignored import ignored_files
from dandi_mirror.text import quoted
from dandi_mirror.upload.change.plan import Action, LocalFile, UploadStep
from dandi_mirror.upload.kinds import Kinds, is_hidden, is_leftover, refuse_zarr
from dandi_mirror.upload.send.digest import Digests, digest
from dandi_mirror.upload.zarrs.local import LocalZarr, read_zarr


@dataclass(slots=True)
class LocalState:
    """The files of a work tree, and what an upload leaves out."""

    here: dict[str, LocalFile] = field(default_factory=dict)
    """By path."""
    files: dict[str, Path] = field(default_factory=dict)
    """The files that hold the bytes of edited files, by path, if they are present."""
    edited: list[str] = field(default_factory=list)
    """What is not as in base, but for what git-annex has unlocked and nobody has written to."""
    zarrs: dict[str, LocalZarr] = field(default_factory=dict)
    """The Zarr folders that were read, by path."""
    record_edited: bool = False
    """Whether the Dandiset's own record (``dandiset.yaml``) is not as in base."""
    junk: list[str] = field(default_factory=list)
    """New files that are left out, because programs leave such behind."""
    ignored: list[str] = field(default_factory=list)
    """Files and folders that are left out, because git ignores them."""


def read_local_state(
    clone: AnnexRepository,
    base: Mapping[str, RemoteFile],
    theirs: Mapping[str, RemoteFile],
    edits: Iterable[LocalEdit],
    kinds: Kinds,
    *,
    named: Callable[[str], bool] = lambda path: False,
    included: Callable[[str], bool] = lambda path: False,
    selected: Callable[[str], bool] = lambda path: True,
) -> LocalState:
    """The files of a work tree that differs by ``edits`` from ``base``.

    The SHA-256 of a plain file is computed where an asset has as many bytes.  What programs leave
    behind is not even looked at, unless it is ``included``, or ``named`` and so to be told of.  A Zarr counts as one
    file, of the path of its folder; it is read only if it is ``selected``.

    Raises:
        DiskError: a file cannot be read.
    """
    ours = LocalState({path: LocalFile(there.size, there.digest) for path, there in base.items()})
    sizes = {there.size for there in (*base.values(), *theirs.values())}
    zarrs = []
    for path, edit, is_whole in _present(ours, edits, kinds):
        known = path in base or path in theirs or included(path)
        if not known and is_leftover(path, tracked=edit.tracked):
            ours.junk.append(path)
            if not named(path):
                continue
        if is_whole:
            zarrs.append(path)
        else:
            ours.here[path] = _here(clone, edit, ours.files, sizes)
            ours.edited += [] if edit.unlocked or edit.problem else [path]
    for path in sorted(zarrs):
        if selected(path):
            ours.here[path] = _zarr_here(clone, path, ours.zarrs)
    ours.ignored = [path for path in ignored_files(clone.path) if not is_own(path) and not is_hidden(path)]
    return ours


def _present(ours: LocalState, edits: Iterable[LocalEdit], kinds: Kinds) -> Iterator[tuple[str, LocalEdit, bool]]:
    """Each file, and each Zarr (True) once, that is here and is not as in base; ``ours`` learns what is not here."""
    zarrs = set()
    for edit in edits:
        if edit.path == DANDISET_YAML:
            ours.record_edited = True
        elif is_own(edit.path):
            continue
        elif edit.gone:
            ours.here.pop(edit.path, None)
        elif not (zarr := kinds.zarr(edit.path)):
            yield edit.path, edit, False
        elif zarr not in zarrs:
            zarrs.add(zarr)
            yield zarr, edit, True


def _here(clone: AnnexRepository, edit: LocalEdit, files: dict[str, Path], sizes: set[int]) -> LocalFile:
    if edit.problem:
        return LocalFile(-1, "", edit.problem)
    if not edit.key:
        files[edit.path] = clone.path / edit.path
        return LocalFile(edit.size, digests_of(files[edit.path]).sha256 if edit.size in sizes else "")
    if clone.has(edit.key):
        files[edit.path] = Path(clone.object_path(edit.key))
    if sha256 := sha256_of(edit.key):
        return LocalFile(edit.size, sha256)
    if edit.path not in files:
        return LocalFile(edit.size, "", f"its content is not here; get it first: dandi-mirror get {quoted(edit.path)}")
    found = digests_of(files[edit.path])
    return LocalFile(found.size, found.sha256)


def _zarr_here(clone: AnnexRepository, path: str, zarrs: dict[str, LocalZarr]) -> LocalFile:
    if reason := refuse_zarr(path):
        return LocalFile(-1, "", reason, zarr=True)
    try:
        found = zarrs[path] = read_zarr(clone.path / path, clone)
    except PartError as error:
        return LocalFile(-1, "", str(error), zarr=True)
    return LocalFile(found.size, found.checksum, zarr=True)


def digests_of(file: Path) -> Digests:
    """The digests of a file.

    Raises:
        DiskError: it cannot be read.
    """
    try:
        return digest(file)
    except OSError as error:
        raise DiskError.of(file, error) from error


def with_known(theirs: Mapping[str, RemoteFile], ours: LocalState) -> dict[str, RemoteFile]:
    """The archive's draft, with the SHA-256 of what was sent by us and has none there yet: its etag tells."""
    found = dict(theirs)
    for path, there in theirs.items():
        here, file = ours.here.get(path), ours.files.get(path)
        if not there.sha256 and there.etag and file and here and here.size == there.size:
            digests = digests_of(file)
            if digests.etag == there.etag:
                found[path] = replace(there, sha256=digests.sha256)
                ours.here[path] = LocalFile(digests.size, digests.sha256)
    return found


def refuse_unknown_names(
    root: Path, names: Iterable[str], known: Collection[str], ignored: Mapping[str, str]
) -> Iterator[UploadStep]:
    """A refused step for each name on the command line that matches no file.

    ``known`` are the paths of the archive and the work tree; ``ignored`` has those that git ignores, with the reason.
    """
    for name in names:
        if not any(path == name or path.startswith(f"{name}/") for path in known) and (
            reason := _reason(root, name, ignored)
        ):
            yield UploadStep(Action.REFUSED, name, reason=reason)


def _reason(root: Path, name: str, ignored: Mapping[str, str]) -> str:
    if is_own(name):
        return "it is one of the dataset's own files, not an asset; upload does not send it"
    if name in ignored:
        return ignored[name]
    if not os.path.lexists(root / name):
        return "there is no such file, neither here nor in the archive"
    return "there is no file in it that could be sent" if (root / name).is_dir() else ""
