"""Find the files of a version that a name identifies, and the entries of its Zarrs: here, or at the archive."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.workflows.access import current_clone, tokens
from dandi_mirror.workflows.names import naming
from dandi_mirror.workflows.names.zarr_names import ENDINGS, read_zarr_place

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


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files that a name means, and what is known here of the Zarrs among them."""

    name: Name
    found: Contents
    zarrs: LocalZarrs | None = None
    """Where entries of Zarrs are read; None if there are no Zarrs, or the archive was asked."""

    @property
    def lacks_entries(self) -> bool:
        """Whether the name means entries or a state of a Zarr that are not known here."""
        if not (self.name.entry or self.name.state):
            return False
        zarrs = [file for file in self.found.files if file.is_zarr]
        return bool(zarrs) and not (self.zarrs and all(map(self.zarrs.knows, zarrs)))

    def files(self, *, recursive: bool = False, urls: bool = False) -> Iterable[VersionFile]:
        """Return the files, each Zarr as one of them; where the name or ``recursive`` means them, entries instead.

        Raises:
            NotFoundError: nothing inside has the name, or nothing here has the entries.
        """
        return _expanded(self.found, self.zarrs, self.name, recursive=recursive, urls=urls)


def find_files(name: Name, path: Path, folder: Path | None, hosts: frozenset[str] = frozenset()) -> FoundFiles | None:
    """Find what a name means in the clone at ``folder``, or in the mirror or clone at ``path``; ask no archive.

    None if the version is not there.  ``hosts`` are further ones where content may be.

    Raises:
        NotFoundError: the version is there, but has no such file.
    """
    from dandi_mirror.mirror.contents.local import local_contents
    from dandi_mirror.mirror.contents.local_zarrs import LocalZarrs

    if not (found := local_contents(name, path, folder)):
        return None
    zarrs = None
    if found.dataset and any(file.is_zarr for file in found.files):
        zarrs = LocalZarrs(found.dataset, found.dandiset, path, hosts)
    return FoundFiles(name, _in_state(found, name), zarrs)


def list_files(text: str, path: Path, instance: str | None, *, recursive: bool, urls: bool) -> ListedFiles:
    """Find what a name means; ``path`` is the mirror; with ``urls`` also where the entries of Zarrs are.

    Raises:
        UsageError, NotFoundError: it means nothing, or nothing that is there.
    """
    from dataclasses import replace

    from dandi_mirror.archive.instances import api_url
    from dandi_mirror.mirror.contents.folders import file_entries, folder_entries
    from dandi_mirror.mirror.format.admission import ContentHosts

    name, folder = read_zarr_place(text, path)
    settings = naming.settings_for(path, [name], current_clone.api_here(name, path, folder), instance=instance)
    hosts = frozenset(settings.content_hosts)
    here = find_files(replace(name, instance=name.instance or instance), path, folder, hosts)
    remarks = []
    if here and here.lacks_entries:
        remarks.append("no mirror on this machine has the entries of this state: this is what the archive has now")
        here = None
    found = here or FoundFiles(name, _at_archive(name, path, settings.instance, recursive=recursive))
    files = found.files(recursive=recursive, urls=urls)
    entries = file_entries(files) if recursive else folder_entries(name, files)
    remarks += _unlisted(found.found, found.zarrs) if recursive else []
    return ListedFiles(found.found, entries, ContentHosts.of_api(api_url(settings.instance), hosts), remarks)


def _at_archive(name: Name, path: Path, instance: str, *, recursive: bool) -> Contents:
    """Ask the archive what a name means."""
    from dataclasses import replace

    from dandi_mirror.mirror.contents.remote import remote_contents as remote

    asked = replace(name, entry=name.entry or ("/" if recursive and _names_zarr(name) else ""))
    found = naming.known(name, path, lambda: tokens.asked(instance, name.instance, lambda there: remote(asked, there)))
    return _in_state(found, name)


def _in_state(found: Contents, name: Name) -> Contents:
    """Return the files, Zarrs in the state that the name has, if it has one."""
    from dataclasses import replace

    if not name.state:
        return found
    return replace(found, files=[file.in_state(name.state) if file.is_zarr else file for file in found.files])


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
