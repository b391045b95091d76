"""Where the content of a Zarr's entries is, and what the git-annex branch of its repository says about that.

In format 1's words: for each key a location log and a URL log.  Pure but for the objects that go into a pack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from itertools import groupby
from urllib.parse import quote

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.mirror.zarr.entries import entry_key, is_odd, refuse_entry
from dandi_mirror.mirror.zarr.state import DATE
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.logs import Stamp
from dandi_mirror.repo.git.object_ids import commit_bytes
from dandi_mirror.repo.git.pack import PackWriter

NOW = datetime(2020, 1, 1, tzinfo=UTC)
"""The time of each line: that of all commits of states."""
AT_ONCE = 250_000
"""Entries whose keys are sorted at a time; more are read several times, so that memory is bounded."""

_STAMP = Stamp.of(NOW)
_FOLDERS = 1 << 12  # at the top of the branch: three hexadecimal digits
_FILE = b"100644 %b\0%b"
_FOLDER = b"40000 %b\0%b"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the content of a Zarr's entries is."""

    api_url: str
    """Of the archive, without a slash at the end."""
    base: str | None
    """The Zarr's folder in the bucket, with a slash at the end, as an admitted content URL; None if it is not known."""
    embargoed: bool = False
    """Whether the API gives it only with a token."""

    @property
    def remote(self) -> str:
        """The UUID of the remote that has the content."""
        return logs.embargo_remote(self.api_url)[0] if self.embargoed else logs.WEB

    def urls(self, zarr_id: str, entry: ZarrEntry) -> list[str]:
        """The URLs of an entry's content: the API's, and that of the exact object in the bucket."""
        query = f"prefix={quote(entry.path, safe='')}&download=true"
        urls = [f"{self.api_url}/zarr/{zarr_id}/files/?{query}"]
        if self.base and not self.embargoed:
            version = f"?versionId={entry.version_id}" if entry.version_id else ""
            urls.append(f"{self.base}{quote(entry.path)}{version}")
        return urls

    def remote_log(self, before: bytes = b"") -> bytes:
        """The file ``remote.log``: after the bucket git-annex asks the API."""
        after = logs.with_remote(before, *logs.api_remote(self.api_url, "zarr"), _STAMP)
        return logs.with_remote(after, *logs.embargo_remote(self.api_url), _STAMP) if self.embargoed else after

    def location_log(self, before: bytes = b"") -> bytes:
        """The location log of each key."""
        return logs.with_presence(before, _STAMP, {self.remote: True})

    def url_log(self, urls: Iterable[str], before: bytes = b"") -> bytes:
        """The URL log of a key with these URLs."""
        return logs.with_presence(before, _STAMP, dict.fromkeys(urls, True))


def annexed(entries: Iterable[ZarrEntry]) -> Iterator[tuple[str, str, ZarrEntry]]:
    """The entries that may reach git, with their keys and the MD5 of these, which gives the folder of their logs."""
    for entry in entries:
        # a file in place of a folder is not looked for: its log does no harm
        if not is_odd(entry.path) and refuse_entry(entry.path) is None:
            key = entry_key(entry.path, entry.size, entry.etag)
            yield md5(key.encode(), usedforsecurity=False).hexdigest(), key, entry


def log_folder(digest: str) -> str:
    """The folder of a key's logs."""
    return f"{digest[:3]}/{digest[3:6]}"


def put_branch(
    pack: PackWriter, zarr_id: str, sources: Sources, read: Callable[[], Iterator[ZarrEntry]], count: int
) -> str:
    """Put the git-annex branch of a new repository into its pack; the id of its commit.

    ``read`` yields the entries of all states, ``count`` of them; it is called several times if they are many.
    """
    location = pack.put(b"blob", sources.location_log())
    lines: list[bytes] = []
    parts = count // AT_ONCE + 1
    for part in range(parts):
        first, end = (_FOLDERS * place // parts for place in (part, part + 1))
        urls = _urls_by_key(zarr_id, sources, read(), f"{first:03x}", f"{end:03x}" if end < _FOLDERS else "g")
        lines += _folders(pack, sources, location, urls)
    lines.append(_FILE % (b"remote.log", pack.put(b"blob", sources.remote_log())))
    tree = pack.put(b"tree", b"".join(lines))
    return pack.put(b"commit", commit_bytes(tree.hex(), DATE, "update\n")).hex()


def _urls_by_key(
    zarr_id: str, sources: Sources, entries: Iterator[ZarrEntry], first: str, end: str
) -> dict[str, dict[str, list[str]]]:
    """The URLs of each key whose MD5 is from ``first`` up to ``end``, by the folder of its logs."""
    found: dict[str, dict[str, list[str]]] = {}
    for digest, key, entry in annexed(entries):
        if first <= digest < end:
            found.setdefault(log_folder(digest), {}).setdefault(key, []).extend(sources.urls(zarr_id, entry))
    return found


def _folders(
    pack: PackWriter, sources: Sources, location: bytes, urls: dict[str, dict[str, list[str]]]
) -> Iterator[bytes]:
    """The lines of folders at the top of the branch, whose trees and logs go into the pack."""
    for top, folders in groupby(sorted(urls), key=lambda folder: folder[:3]):
        trees = ((folder[4:].encode(), _put_logs(pack, sources, location, urls[folder])) for folder in folders)
        yield _FOLDER % (top.encode(), pack.put_new(b"tree", b"".join(_FOLDER % tree for tree in trees)))


def _put_logs(pack: PackWriter, sources: Sources, location: bytes, urls: dict[str, list[str]]) -> bytes:
    """Put the logs of the keys of one folder into the pack; the id of its tree."""
    lines: list[bytes] = []
    for key, some in urls.items():
        log = pack.put_new(b"blob", sources.url_log(some))
        lines += [_FILE % (f"{key}.log".encode(), location), _FILE % (f"{key}.log.web".encode(), log)]
    return pack.put_new(b"tree", b"".join(sorted(lines)))
