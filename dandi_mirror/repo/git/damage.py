"""Signs of damage that the files of a repository show, without starting git: what a power cut or a bad disk leaves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dandi_mirror.files.opening import open_to_read

_CHECKSUM = 20  # bytes: the SHA-1 at the end of a pack; its index has it before its own
_SMALLEST_INDEX = 32  # bytes: a header and a checksum
_LARGEST_TEXT = 64 << 20  # bytes of refs that are read
_REF = re.compile(r"(?:[0-9a-f]{40}|ref: refs/\S+)\s*")
_PACKED = re.compile(r"#.*|\^[0-9a-f]{40}|[0-9a-f]{40} refs/\S.*")
_OBJECT = re.compile(r"[0-9a-f]{38}")


def why_damaged(git_dir: Path) -> str:
    """What is damaged in a repository, as far as the sizes and ends of its files show it; empty if nothing is.

    It reads the refs and the ends of packs, and looks at the sizes of loose objects: a few milliseconds.  Only
    ``git fsck`` finds an object whose bytes have changed.
    """
    for signs in (_refs, _index, _packs, _loose_objects):
        with suppress(OSError):  # git removes files while somebody looks
            if found := next(signs(git_dir), ""):
                return found.replace(f"{git_dir.parent}/", "")
    return ""


def _refs(git_dir: Path) -> Iterator[str]:
    for file in (git_dir / "HEAD", *_files(git_dir / "refs")):
        if not file.name.endswith(".lock") and not _REF.fullmatch(_text(file)):
            yield f"{file} holds no object id"
    with suppress(FileNotFoundError):
        if not all(map(_PACKED.fullmatch, _text(git_dir / "packed-refs").splitlines())):
            yield f"{git_dir}/packed-refs has a line that names no ref"


def _files(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        yield from (Path(where, name) for name in names)


def _index(git_dir: Path) -> Iterator[str]:
    with _opened(file := git_dir / "index") as opened:
        if opened.read(4) != b"DIRC" or os.fstat(opened.fileno()).st_size < _SMALLEST_INDEX:
            yield f"{file} is not an index of git"


def _packs(git_dir: Path) -> Iterator[str]:
    for index in (git_dir / "objects" / "pack").glob("pack-*.idx"):
        pack, said = index.with_suffix(".pack"), _end(index, 2 * _CHECKSUM)[:_CHECKSUM]
        if not pack.exists() and index.exists():
            yield f"{pack} is missing"
        elif said != _end(pack, _CHECKSUM):
            yield f"{pack} does not end as {index.name} says"


def _end(file: Path, size: int) -> bytes:
    with _opened(file) as opened:
        opened.seek(max(0, os.fstat(opened.fileno()).st_size - size))
        return opened.read(size)


def _loose_objects(git_dir: Path) -> Iterator[str]:
    with os.scandir(git_dir / "objects") as entries:
        folders = [entry.path for entry in entries if len(entry.name) == 2]
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _OBJECT.fullmatch(entry.name) and not entry.stat().st_size:
                    yield f"{entry.path} is empty"


def _text(file: Path) -> str:
    with _opened(file) as opened:
        return opened.read(_LARGEST_TEXT).decode(errors="replace")


def _opened(file: Path) -> BinaryIO:
    return os.fdopen(open_to_read(file), "rb")
