"""The entries of a Zarr: their order, their git-annex keys, and which of them may reach git; no input or output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dandi_mirror.archive.zarr_entry import LARGEST_OBJECT, ZarrEntry
from dandi_mirror.paths import refuse_path
from dandi_mirror.repo.annex.keys import extension

_KEY = re.compile(r"(?:MD5E|VURL)-s([0-9]{1,13})--([0-9a-f]{32}(?:-[1-9][0-9]{0,4})?)(?:\.[^/]*)?")
is_md5 = re.compile(r"[0-9a-f]{32}").fullmatch
"""Whether an ETag is the MD5 of the content."""
_ETAG = re.compile(r"[0-9a-f]{32}(?:-[1-9][0-9]{0,4})?")
_MD5 = 32  # letters; a longer ETag is not the MD5 of the content
_ODD = re.compile(r"(?:\A|/)\.?(?:/|\Z)")


class BadEntry(ValueError):
    """An entry that no bucket can list: its size is no number of bytes, or its ETag no ETag."""


class Disorder(ValueError):
    """Entries that are not in the order of :func:`entry_order`, or stand twice."""


def is_odd(path: str) -> bool:
    """Whether the archive reads a path as another one, without its empty and ``.`` components."""
    return _ODD.search(path) is not None


def entry_order(path: str) -> tuple[str, str]:
    """What entries are sorted by: the path as the archive reads it, then the path itself.

    That of S3, by bytes of UTF-8, but for the paths that are odd.
    """
    return (_read_as(path) if is_odd(path) else path), path


def in_order(entries: Iterable[ZarrEntry]) -> list[ZarrEntry]:
    """The entries, sorted by :func:`entry_order`."""
    return sorted(entries, key=lambda entry: entry_order(entry.path))


def changed_entries(new: Iterable[ZarrEntry], old: Iterable[ZarrEntry]) -> Iterator[ZarrEntry]:
    """The entries that are not in ``old`` in the same way; both are sorted by :func:`entry_order`."""
    others = iter(old)
    other = next(others, None)
    for entry in new:
        while other is not None and entry_order(other.path) < entry_order(entry.path):
            other = next(others, None)
        if entry != other:
            yield entry


def _read_as(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in {"", "."})


def check_entry(entry: ZarrEntry) -> None:
    """Refuse what no bucket can list.

    Raises:
        BadEntry: see there.
    """
    path, size, etag = entry.path, entry.size, entry.etag
    if type(size) is not int or not 0 <= size <= LARGEST_OBJECT:
        raise BadEntry(f"{path!a:.200}: the size is not a number of bytes up to 5 TiB")
    if not isinstance(etag, str) or not _ETAG.fullmatch(etag):
        raise BadEntry(f"{path!a:.200}: not the ETag of an object: {etag!a:.80}")


def refuse_entry(path: str) -> str | None:
    """Why an entry must not be in a git repository; None if it may.

    Format 1's rules for paths.  They are asked about the path within the Zarr, so that a state's commit does not
    depend on where the Zarr stands.
    """
    return refuse_path(path)


def entry_key(path: str, size: int, etag: str) -> str:
    """The git-annex key of an entry: by the MD5 of its content, or by not an ETag.

    The second kind, ``VURL``, says nothing about the content: git-annex notes a SHA-256 when it first gets it, and
    verifies by that from then on.  A git-annex that does not know it verifies the size.
    """
    if len(etag) != _MD5:
        return f"VURL-s{size}--{etag}"
    ending = extension(path) if "." in path else ""
    return f"MD5E-s{size}--{etag}{ending}"


def entry_of(path: str, key: str) -> ZarrEntry | None:
    """The entry that stands at a path of a state's tree with this key; None if it is no entry's key."""
    found = _KEY.fullmatch(key)
    return ZarrEntry(path, int(found[1]), found[2]) if found else None
