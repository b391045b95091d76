"""Find the files of a version that a name identifies, and the entries of its Zarrs: here, or at the archive."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.workflows import current_clone, naming, tokens
from dandi_mirror.workflows.zarr_names import ENDINGS, read_zarr_place

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name
    from dandi_mirror.mirror.contents.files import Contents, VersionFile
    from dandi_mirror.mirror.contents.folders import FolderEntry
    from dandi_mirror.mirror.contents.local_zarrs import LocalZarrs
    from dandi_mirror.mirror.format.admission import ContentHosts


@dataclass(slots=True)
class ListedFiles:
    """What `ls` lists of one name."""

    found: Contents
    """The version, and its files that the name identifies; a Zarr is one of them."""
    entries: Iterable[FolderEntry]
    """What is listed; read only once if ``recursive``."""
    hosts: ContentHosts
    """Where content may be."""
    remarks: list[str] = field(default_factory=list)
    """What a person would not expect of this listing."""


def list_files(text: str, path: Path, instance: str | None, *, recursive: bool, urls: bool) -> ListedFiles:
    """Find what a name means; ``path`` is the mirror; with ``urls`` also where the entries of Zarrs are.

    Raises:
        UsageError, NotFoundError: it means nothing, or nothing that is there.
    """
    from dataclasses import replace

    from dandi_mirror.archive.instances import api_url
    from dandi_mirror.mirror.contents.files import Contents
    from dandi_mirror.mirror.contents.folders import file_entries, folder_entries
    from dandi_mirror.mirror.contents.local import local_contents
    from dandi_mirror.mirror.contents.remote import remote_contents as remote
    from dandi_mirror.mirror.format.admission import ContentHosts

    name, folder = read_zarr_place(text, path)
    settings = naming.settings_for(path, [name], current_clone.api_here(name, path, folder), instance=instance)
    found = local_contents(replace(name, instance=name.instance or instance), path, folder)
    hosts = ContentHosts.of_api(api_url(settings.instance), frozenset(settings.content_hosts))
    listing = ListedFiles(Contents("", "", "", []), [], hosts)
    zarrs = _zarrs(found, name, path, frozenset(settings.content_hosts)) if found else None
    if found and zarrs is None and (name.entry or name.state) and _has_zarrs(found):
        listing.remarks.append(
            "no mirror on this machine has the entries of this state: this is what the archive has now"
        )
        found = None
    if not found:
        asked = replace(name, entry=name.entry or ("/" if recursive and _names_zarr(name) else ""))
        found = naming.known(
            name, path, lambda: tokens.asked(settings.instance, name.instance, lambda there: remote(asked, there))
        )
    if name.state:
        found = replace(found, files=[file.in_state(name.state) if file.is_zarr else file for file in found.files])
    files = _expanded(found, zarrs, name, recursive=recursive, urls=urls)
    listing.found, listing.entries = found, file_entries(files) if recursive else folder_entries(name, files)
    if recursive:
        listing.remarks += _unlisted(found, zarrs)
    return listing


def _unlisted(found: Contents, zarrs: LocalZarrs | None) -> list[str]:
    """Which Zarrs stand as one row, though all files were asked for."""
    rows = [file for file in found.files if file.is_zarr and not (zarrs and zarrs.knows(file))]
    if not rows:
        return []
    return [
        f"{_count(len(rows))} one row each, because no mirror on this machine has the entries; name one to list "
        f"what the archive has: dandi-mirror ls -r {found.dandiset}@{found.version}/{shlex.quote(rows[0].path)}"
    ]


def _count(number: int) -> str:
    return f"{number:,} Zarrs are" if number > 1 else "a Zarr is"


def _names_zarr(name: Name) -> bool:
    return bool(name.zarr) or name.path.endswith(ENDINGS)


def _has_zarrs(found: Contents) -> bool:
    return any(file.is_zarr for file in found.files)


def _zarrs(found: Contents, name: Name, path: Path, hosts: frozenset[str]) -> LocalZarrs | None:
    """Return the Zarrs of the files; None if there are none, or entries that are named are not known here."""
    from dandi_mirror.mirror.contents.local_zarrs import LocalZarrs

    if not found.dataset or not _has_zarrs(found):
        return None
    zarrs = LocalZarrs(found.dataset, found.dandiset, path, hosts)
    wanted = [file.in_state(name.state) if name.state else file for file in found.files if file.is_zarr]
    return None if (name.entry or name.state) and not all(map(zarrs.knows, wanted)) else zarrs


def _expanded(
    found: Contents, zarrs: LocalZarrs | None, name: Name, *, recursive: bool, urls: bool
) -> Iterable[VersionFile]:
    """Return the files, and in place of Zarrs their entries, where these are meant and known here.

    Raises:
        NotFoundError: nothing inside has the name.
    """
    from dandi_mirror.errors import NotFoundError

    if zarrs is None:
        return found.files
    files = _with_entries(found.files, zarrs, name, recursive=recursive, urls=urls)
    if not name.entry.strip("/"):
        return files
    first = next(files, None)
    if first is None:
        raise NotFoundError(f"{found.files[0].path} has no {name.entry.strip('/')}")
    return chain([first], files)


def _with_entries(
    files: Iterable[VersionFile], zarrs: LocalZarrs, name: Name, *, recursive: bool, urls: bool
) -> Iterator[VersionFile]:
    for file in files:
        if file.is_zarr and (name.entry or (recursive and zarrs.knows(file))):
            yield from (inner for inner in zarrs.files(file, urls=urls) if name.chooses(inner.entry))
        elif not name.entry:
            yield zarrs.counted(file) if file.is_zarr else file
