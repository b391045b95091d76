"""Hash content that is here, and compare what is here with the location logs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.digests import Hasher, hasher
from dandi_mirror.files.opening import open_regular, read_file
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind
from dandi_mirror.mirror.verify.sample import Window
from dandi_mirror.repo.annex.journal import journal_name
from dandi_mirror.repo.annex.keys import digest_of, hash_dir_lower, size_of
from dandi_mirror.repo.annex.logs import location_path, present
from dandi_mirror.repo.annex.pointers import OBJECTS_IN_GIT_DIR
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import ANNEX, Dataset
from dandi_mirror.repo.git.reader import ObjectReader

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Held:
    """Content in a repository."""

    key: str
    file: Path


def held_content(git_dir: Path) -> Iterator[Held]:
    """The content that git-annex has in a repository, in the order of its folders."""
    for folder, _, names in os.walk(git_dir / OBJECTS_IN_GIT_DIR):
        for name in names:
            if Path(folder).name == name:
                yield Held(name, Path(folder, name))


def check_content(
    git_dir: Path, top: Path, window: Window, threads: int, told: Callable[[int], None] = lambda size: None
) -> Iterator[Difference]:
    """Hash the content of the keys in the window; ``told`` is called with the bytes of each file when it is done.

    The paths of the differences are relative to ``top``.
    """
    chosen = [held for held in held_content(git_dir) if window.has(held.key)]
    with ThreadPoolExecutor(threads, thread_name_prefix="content") as pool:
        for held, why in zip(chosen, pool.map(_why_wrong, chosen), strict=True):
            if why:
                yield Difference(DifferenceKind.CONTENT, os.path.relpath(held.file, top), why)
            told(size_of(held.key))


def is_content_whole(held: Held) -> bool:
    """Whether content is the key's."""
    return not _why_wrong(held)


def _why_wrong(held: Held) -> str:
    """What is wrong with content; empty if it is the key's."""
    size, digest = size_of(held.key, unknown=-1), digest_of(held.key)
    try:
        found = os.lstat(held.file).st_size
        if size >= 0 and found != size:
            return f"it has {found:,} bytes, and its key says {size:,}"
        if digest and (now := _digest(held.file, hasher(digest))) != digest:
            return f"its checksum is {now}, and its key says {digest}"
    except FileNotFoundError:
        return ""  # dropped meanwhile
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return ""


def _digest(file: Path, hashed: Hasher) -> str:
    piece = memoryview(bytearray(_PIECE))
    with os.fdopen(open_regular(file), "rb", buffering=0) as opened:
        with suppress(AttributeError, OSError):
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while count := opened.readinto(piece):
            hashed.update(piece[:count])
    return hashed.hexdigest()


def check_locations(git_dir: Path, uuid: str, reader: ObjectReader, keys: Iterable[str]) -> Iterator[Difference]:
    """Keys whose location log is wrong about this repository; ``keys`` are those of the dataset's records.

    A key that is here and not in the log is found by no other repository; one in the log that is not here may be the
    copy on which somebody relies.
    """
    here = {held.key for held in held_content(git_dir)}
    wanted = sorted(here | set(keys))
    paths = [location_path(hash_dir_lower(key), key) for key in wanted]
    on_branch = reader.read([f"{ANNEX}:{path}" for path in paths])
    for key, path, log in zip(wanted, paths, on_branch, strict=True):
        waiting = read_file(git_dir / "annex" / "journal" / journal_name(path))
        said = present(waiting or log or b"").get(uuid, False)
        if said and key not in here:
            yield Difference(
                DifferenceKind.CONTENT, key, "the location log says that its content is here, but it is not"
            )
        elif key in here and not said:
            yield Difference(DifferenceKind.CONTENT, key, "its content is here, but the location log does not say so")


def uuid_of(dataset: Dataset) -> str:
    """The UUID of the repository; empty if git-annex is not initialised there."""
    clone = AnnexRepository(dataset.path, dataset)
    clone.read_config()
    return clone.uuid
