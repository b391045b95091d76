"""Read a range of a key's content: from this repository, from another mirror, or from the archive."""

from __future__ import annotations

import base64
import os
import shlex
from pathlib import Path

from dandi_mirror.archive.content.downloader import Downloader, RangeIgnored
from dandi_mirror.archive.content.sources import ContentUrls, TransferSettings, TransferState
from dandi_mirror.config import Sibling
from dandi_mirror.errors import MirrorError, NotFoundError, PartError
from dandi_mirror.files.opening import open_regular
from dandi_mirror.repo.annex.keys import hash_dir_lower, hash_dir_mixed, size_of
from dandi_mirror.repo.annex.pointers import OBJECTS_IN_GIT_DIR
from dandi_mirror.repo.annex.repository import AnnexRepository, copies, copy_urls
from dandi_mirror.repo.git.mirrors import git_dir_in_script, git_dir_there, is_http, place_of
from dandi_mirror.repo.git.siblings import run_at

LARGEST = 64 << 20
"""Bytes: content up to this size is read whole, where a server gives no ranges."""
_ROOM = 1 << 18
_MISSING = "no such content"


class Absent(PartError):
    """A mirror does not have content that it says it has."""


class _Part:
    """Takes the bytes of a range, or of a whole file of which the range is kept."""

    def __init__(self, begin: int, stop: int, *, whole: bool = False) -> None:
        self.position, self.stop, self.whole = begin, stop, whole
        self._begin = begin
        self._room = memoryview(bytearray(_ROOM))
        self.taken = bytearray()

    def room(self) -> memoryview:
        """The memory for the next bytes."""
        return self._room

    def put(self, count: int) -> None:
        """Take bytes from there."""
        self.taken += self._room[:count]
        self.position += count

    def begin_anew(self) -> None:
        """Discard the bytes so far."""
        self.position = self._begin
        self.taken.clear()


class RangeReader:
    """Reads ranges for one run; keeps connections open."""

    def __init__(self, access: TransferSettings) -> None:
        self._downloader = Downloader(TransferState(access))

    def close(self) -> None:
        """Close all connections."""
        self._downloader.close()

    def here(self, clone: AnnexRepository, key: str, begin: int, length: int) -> bytes | None:
        """The range of content in this repository; None if it is not here."""
        for file in copies(clone.git_dir / OBJECTS_IN_GIT_DIR, key):
            if (found := _of_file(file, begin, length)) is not None:
                return found
        return None

    def archive(self, urls: tuple[str, ...], key: str, begin: int, length: int) -> bytes | None:
        """The range of content at the archive; None if it does not give it."""
        try:
            return self._of_urls(list(urls), key, begin, length) if urls else None
        except MirrorError:
            return None

    def there(self, sibling: Sibling, place: str, key: str, begin: int, length: int) -> bytes:
        """The range of content in a repository of another mirror; ``place`` is where a mirror has it.

        Raises:
            Absent: it does not have the content.
            MirrorError: it does not answer, so that nobody can tell.
        """
        if is_http(sibling):
            urls = copy_urls(place_of(sibling, place), key)
            try:
                return self._of_urls(urls, key, begin, length)
            except NotFoundError:
                raise Absent(_MISSING) from None
        if sibling.url.startswith("/"):
            return _of_folder(git_dir_there(sibling, place), key, begin, length)
        return _by_ssh(sibling, place, key, begin, length)

    def _of_urls(self, urls: list[str], key: str, begin: int, length: int) -> bytes:
        size = size_of(key)
        part = _Part(begin, begin + length, whole=length == size)
        try:
            self._downloader.download(ContentUrls(urls, size), part)
            return bytes(part.taken)
        except RangeIgnored:
            if size > LARGEST:
                raise PartError("the server gives no ranges of files") from None
        whole = _Part(0, size, whole=True)
        self._downloader.download(ContentUrls(urls, size), whole)
        return bytes(whole.taken[begin : begin + length])


def _of_folder(git_dir: Path, key: str, begin: int, length: int) -> bytes:
    if not git_dir.is_dir():
        raise PartError(f"{git_dir} is not there")
    for file in copies(git_dir / OBJECTS_IN_GIT_DIR, key):
        if (found := _of_file(file, begin, length)) is not None:
            return found
    raise Absent(_MISSING)


def _of_file(file: Path, begin: int, length: int) -> bytes | None:
    try:
        descriptor = open_regular(file)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as opened:
        opened.seek(begin)
        return opened.read(length)


def _by_ssh(sibling: Sibling, place: str, key: str, begin: int, length: int) -> bytes:
    name, git_dir = shlex.quote(key), git_dir_in_script(place)
    files = " ".join(
        f"{git_dir}/{OBJECTS_IN_GIT_DIR}{folder}/{name}/{name}" for folder in (hash_dir_mixed(key), hash_dir_lower(key))
    )
    script = (
        f'[ -d {git_dir} ] || exit 4; for file in {files}; do [ -f "$file" ] && '
        f'{{ tail -c +{begin + 1} "$file" | head -c {length} | base64; exit; }}; done; echo {_MISSING}'
    )
    said = run_at(sibling.url, place, script)
    if said.strip() == _MISSING:
        raise Absent(_MISSING)
    try:
        return base64.b64decode("".join(said.split()), validate=True)
    except ValueError:
        raise PartError("the other machine answered with something else than content") from None
