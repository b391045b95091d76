"""Restore a dataset's repository from one that was made anew from the archive: its objects, and then its refs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha1
from itertools import count
from pathlib import Path
from typing import BinaryIO

from dandi_mirror.files.opening import open_regular, read_file
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.verify.aside import take_back_content
from dandi_mirror.mirror.verify.differences import DifferenceKind
from dandi_mirror.mirror.verify.repository import check_objects, versions_in
from dandi_mirror.model import is_version_id
from dandi_mirror.repo.git.dataset import ANNEX, TAGS, Dataset, RefChange
from dandi_mirror.repo.git.process import git, start

BEFORE_REPAIR = "refs/dandi-mirror/before-repair/"
"""Prefix of refs for what a repair has replaced, so that a person can still look at it."""
DAMAGED_OBJECTS = "dandi-mirror-damaged"
"""The folder below ``.git`` for damaged packs and objects."""
_OBJECT = re.compile(r"[0-9a-f]{38}")


# --- objects -------------------------------------------------------------------------------------------------------


def restore_objects(damaged: Dataset, anew: Dataset | None) -> None:
    """Take damaged objects out, and put those of ``anew`` beside the others; git computed the hash of each there."""
    folder = OwnPath(damaged.git_dir, (DAMAGED_OBJECTS,))
    folder.make_folder()
    aside = folder.path
    for file in _damaged_loose(damaged):
        move_into(aside, file)
    for pack in sorted((damaged.git_dir / "objects" / "pack").glob("pack-*.pack")):
        _restore_pack(damaged, pack, aside)
    for left in (damaged.git_dir / "objects" / "pack").glob("pack-*.*"):
        if not left.with_suffix(".pack").exists():
            move_into(aside, left)
    if anew:
        _copy_objects(anew, damaged)


def has_all(dataset: Dataset, wanted: Iterable[str]) -> bool:
    """Whether these objects, and all that they need, are there."""
    names = sorted(wanted)
    return not names or _runs(dataset.path, "rev-list", "--objects", "--quiet", *names, "--")


def has_all_objects(dataset: Dataset) -> bool:
    """Whether all objects are there that the refs need."""
    return not any(found.kind is not DifferenceKind.WORKTREE for found in check_objects(dataset))


def _damaged_loose(dataset: Dataset) -> Iterator[Path]:
    """The files of loose objects whose content is not that of their name."""
    for file in sorted((dataset.git_dir / "objects").glob("??/*")):
        if _OBJECT.fullmatch(file.name) and not _is_object(file):
            yield file


def _is_object(file: Path) -> bool:
    unpacker, hashed = zlib.decompressobj(), sha1(usedforsecurity=False)
    try:
        with os.fdopen(open_regular(file), "rb") as opened:
            while piece := opened.read(1 << 20):
                hashed.update(unpacker.decompress(piece))
    except (OSError, zlib.error):
        return False
    return unpacker.eof and hashed.hexdigest() == file.parent.name + file.name


def _restore_pack(dataset: Dataset, pack: Path, aside: Path) -> None:
    """Keep a pack that is whole, with a new index if that is damaged; of another one, keep the objects that are."""
    if _runs(dataset.path, "verify-pack", str(pack)):
        return
    index = pack.with_suffix(".idx")
    if index.exists():
        move_into(aside, index)
    if _runs(dataset.path, "index-pack", str(pack)):
        return
    moved = move_into(aside, pack)
    with moved.open("rb") as content:
        _runs(dataset.path, "unpack-objects", "-r", "-q", content=content)


def _runs(folder: Path, *arguments: str, content: BinaryIO | None = None) -> bool:
    """Whether a command of git succeeds with this standard input; what it says does not matter."""
    child = start(folder, arguments, stderr=subprocess.DEVNULL)
    assert child.stdin
    with suppress(BrokenPipeError):
        if content:
            shutil.copyfileobj(content, child.stdin)
    child.communicate()
    return child.returncode == 0


def _copy_objects(source: Dataset, target: Dataset) -> None:
    there = target.git_dir / "objects"
    for file in sorted((source.git_dir / "objects").rglob("*")):
        copy = there / file.relative_to(source.git_dir / "objects")
        if not file.is_symlink() and file.is_file() and not copy.exists() and "info" not in file.parts[-2:]:
            copy.parent.mkdir(exist_ok=True)
            shutil.copy2(file, copy)


def move_into(folder: Path, file: Path, name: str = "") -> Path:
    """Move a file or folder into ``folder``, under its name (or ``name``), with a number if that is taken."""
    name = name or file.name
    names = (folder / (name if number == 1 else f"{name}-{number}") for number in count(1))
    target = next(path for path in names if not path.exists())
    file.rename(target)
    return target


# --- refs ----------------------------------------------------------------------------------------------------------


def restore_refs(
    dataset: Dataset,
    anew: Dataset,
    branch: str,
    remembered: tuple[str, ...],
    tags: set[str],
    *,
    believed: bool = True,
) -> None:
    """Restore the branches, and those of ``tags`` that a sync has made.

    ``remembered`` are the commits at which the branch was last seen by the mirror, the best first.  Of a repository
    that is not ``believed``, only tags are taken of commits that the branch contains.
    """
    refs = _readable_refs(dataset)
    theirs = anew.refs()
    tip = _branch_tip(dataset, branch, remembered, theirs)
    _set(dataset, refs, f"refs/heads/{branch}", tip)
    if ANNEX not in refs or not _has_commit(dataset, refs[ANNEX]):
        _set(dataset, refs, ANNEX, theirs.get(ANNEX, ""))
    made = versions_in(dataset, branch)
    for version in sorted(tags):
        ref = TAGS + version
        agrees = version in made and anew.tagged(version)[0] == made[version]
        if is_version_id(version) and ref in theirs and (agrees or (believed and ref not in refs)):
            _set(dataset, refs, ref, theirs[ref])
    head = read_file(dataset.git_dir / "HEAD") or b""
    if dataset.head_branch() == "" and not re.fullmatch(rb"[0-9a-f]{40}\s*", head):
        (dataset.git_dir / "HEAD").write_text(f"ref: refs/heads/{branch}\n")


def _branch_tip(dataset: Dataset, branch: str, remembered: tuple[str, ...], theirs: dict[str, str]) -> str:
    """The commit for the branch: the first remembered one that is there and that a sync made, else the new one."""
    for commit in remembered:
        if commit and _has_commit(dataset, commit) and messages.TRAILER in dataset.message(commit):
            return commit
    return theirs.get(f"refs/heads/{branch}", "")


def _has(dataset: Dataset, name: str) -> bool:
    return _runs(dataset.path, "cat-file", "-e", name)


def _has_commit(dataset: Dataset, oid: str) -> bool:
    """Whether a commit is there, with its tree."""
    return _has(dataset, f"{oid}^{{tree}}")


def _readable_refs(dataset: Dataset) -> dict[str, str]:
    """The refs that can be read; a file of a ref that cannot is removed, so that git can write it anew."""
    for file in sorted((dataset.git_dir / "refs").rglob("*")):
        if not file.is_dir() and not file.name.endswith(".lock"):
            text = (read_file(file) or b"").decode(errors="replace").strip()
            if not re.fullmatch(r"[0-9a-f]{40}|ref: refs/\S+", text):
                file.unlink()
    packed = dataset.git_dir / "packed-refs"
    if content := read_file(packed):
        lines = content.decode(errors="replace").splitlines(keepends=True)
        good = [line for line in lines if re.fullmatch(r"#.*\n|\^[0-9a-f]{40}\n|[0-9a-f]{40} refs/\S+\n", line)]
        if good != lines:
            packed.write_text("".join(good))
    return dataset.refs_in_files("refs/heads", "refs/tags")


def _set(dataset: Dataset, refs: dict[str, str], ref: str, oid: str) -> None:
    old = refs.get(ref)
    if not oid or old == oid:
        return
    if old and not _has(dataset, old):
        # git refuses to move a ref whose object is lost
        (dataset.git_dir / ref).unlink(missing_ok=True)
        dataset.move_refs([RefChange(ref, oid, None)] if dataset.ref(ref) is None else [])
        return
    keep = [RefChange(_kept_as(dataset, ref), old, None)] if old and old not in kept_refs(dataset).values() else []
    dataset.move_refs([RefChange(ref, oid, old), *keep])


def _kept_as(dataset: Dataset, ref: str) -> str:
    """A new name for what a ref was before."""
    name, taken = f"{BEFORE_REPAIR}{ref.removeprefix('refs/')}", kept_refs(dataset)
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)


def kept_refs(dataset: Dataset) -> dict[str, str]:
    """What repairs have kept of refs that they have moved."""
    found = dataset.refs_in_files(BEFORE_REPAIR.rstrip("/"))
    return {ref: oid for ref, oid in found.items() if ref.startswith(BEFORE_REPAIR)}


# --- the whole -----------------------------------------------------------------------------------------------------


def replace_dataset(damaged: Dataset, anew: Dataset, folder: Path) -> None:
    """Set a dataset aside in ``folder`` and put the new one in its place, with the content and Zarrs that were there.

    If this is cut off, what was not moved yet stays in ``folder``, and the next repair moves it; nothing is deleted.
    """
    if uuid := uuid_in(damaged.git_dir):
        git(anew.path, "config", "annex.uuid", uuid)
    aside = move_into(folder, damaged.path)
    # content is moved only into the dataset at its place: the next repair clears where the new one was made
    anew.path.rename(damaged.path)
    take_back_content(aside, Dataset(damaged.path))


def uuid_in(git_dir: Path) -> str:
    """git-annex's UUID of a repository, as its settings have it; empty if they have none."""
    config = read_file(git_dir / "config") or b""
    found = re.search(r"^\s*uuid = ([0-9a-f-]{36})$", config.decode(errors="replace"), re.M)
    return found[1] if found else ""
