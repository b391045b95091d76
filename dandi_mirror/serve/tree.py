"""A mirror as one tree of files: Dandisets, versions in them, and in these the files and Zarrs of each version."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule
from dandi_mirror.model import is_dandiset_id
from dandi_mirror.paths import DANDISET_YAML
from dandi_mirror.serve.content import Content, find_content
from dandi_mirror.serve.served import ServedMirror
from dandi_mirror.serve.versions import Child, VersionAssets
from dandi_mirror.serve.zarrs import Zarrs, entry_at
from dandi_mirror.zarr_checksum import counts_of

_AFTER = "0"  # the letter after the slash: what sorts behind everything in a folder


@dataclass(frozen=True, slots=True)
class Node:
    """A file, or a folder with what is in it."""

    name: str
    modified: str = ""
    """When it was made, as the API has times; empty if that is not known."""
    size: int = 0
    tag: str = ""
    """The same for the same bytes."""
    content: Callable[[], Content] | None = None
    """None for a folder."""
    children: Callable[[], list[Node]] = list


class ServedTree:
    """Finds files and folders by their paths."""

    def __init__(self, served: ServedMirror, zarrs: Zarrs) -> None:
        self._served = served
        self._zarrs = zarrs

    def find(self, path: str) -> Node | None:
        """What is at a path (the top: empty); None if nothing is there.

        Raises:
            Refused: 404, the entries of a Zarr cannot be read.
        """
        identifier, _, rest = path.strip("/").partition("/")
        if not identifier:
            return Node("", children=self._dandisets)
        if not is_dandiset_id(identifier) or not (entry := self._served.dandiset(identifier)):
            return None
        version, _, inside = rest.partition("/")
        if not version:
            return Node(identifier, str(entry["modified"]), children=lambda: self._versions(identifier))
        if not (oid := self._served.versions(identifier).get(version)):
            return None
        return _Version(self._zarrs, identifier, self._served.assets(identifier, oid), version).find(inside)

    def _dandisets(self) -> list[Node]:
        return [Node(str(entry["identifier"]), str(entry["modified"])) for entry in self._served.dandisets()]

    def _versions(self, identifier: str) -> list[Node]:
        return [Node(version) for version in self._served.versions(identifier)]


class _Version:
    """The files of one version."""

    def __init__(self, zarrs: Zarrs, identifier: str, assets: VersionAssets, version: str) -> None:
        self._zarrs = zarrs
        self._identifier = identifier
        self._assets = assets
        self._version = version

    def find(self, path: str) -> Node | None:
        if not path:
            return Node(self._version, children=lambda: [*self._record(), *self._in(path)])
        if path == DANDISET_YAML:
            return next(self._record(), None)
        children = self._assets.children(path)
        if children and children[0].path == path:
            return self._node(children[0]) if self._has(children[0]) else None
        if children is not None:
            return Node(path.rpartition("/")[2], children=lambda: self._in(path))
        parts = path.split("/")
        for count in range(1, len(parts)):
            if module := self._assets.zarrs.get("/".join(parts[:count])):
                return self._entry(module, "/".join(parts[count:]))
        return None

    def _in(self, folder: str) -> list[Node]:
        return [self._node(child) for child in self._assets.children(folder) or [] if self._has(child)]

    def _has(self, child: Child) -> bool:
        """Whether a work tree has it: an asset that was refused stands in none."""
        return child.row is None or child.path in self._assets.tree

    def _record(self) -> Iterator[Node]:
        mode, oid = self._assets.tree.get(DANDISET_YAML, (b"", ""))
        if mode == b"100644":
            with self._assets.dataset.reader() as reader:
                (found,) = reader.read([oid])
            data = found or b""
            yield Node(DANDISET_YAML, "", len(data), oid, lambda: Content(len(data), oid, data=data))

    def _node(self, child: Child) -> Node:
        name, row = child.path.rpartition("/")[2], child.row
        if row is None:
            return Node(name)
        if module := self._assets.zarrs.get(child.path):
            size = counts_of(module.checksum)[1]
            return Node(name, row.created, size, children=lambda: self._entries(module, ""))
        tag = row.sha256 or self._assets.text(row)
        return Node(name, row.created, row.size, tag, lambda: find_content(self._assets, row))

    def _entry(self, module: ZarrModule, path: str) -> Node | None:
        entries = self._zarrs.entries(module)
        if entry := entry_at(entries, path):
            return self._file(module, entry)
        name = path.rpartition("/")[2]
        found = next(_names_in(entries, path), None)
        return Node(name, children=lambda: self._entries(module, path)) if found else None

    def _entries(self, module: ZarrModule, folder: str) -> list[Node]:
        found = _names_in(self._zarrs.entries(module), folder)
        return [self._file(module, entry) if entry else Node(name) for name, entry in found]

    def _file(self, module: ZarrModule, entry: ZarrEntry) -> Node:
        name, when = entry.path.rpartition("/")[2], entry.modified or ""
        return Node(name, when, entry.size, entry.etag, lambda: self._zarrs.content(self._identifier, module, entry))


def _names_in(entries: list[ZarrEntry], folder: str) -> Iterator[tuple[str, ZarrEntry | None]]:
    """What is in a folder of a Zarr: names, with the entry of each file; does not go through the folders in it."""
    inside = f"{folder}/" if folder else ""
    place = _place(entries, inside)
    while place < len(entries) and entries[place].path.startswith(inside):
        entry = entries[place]
        name, slash, _ = entry.path[len(inside) :].partition("/")
        if name:
            yield name, None if slash else entry
        place = _place(entries, f"{inside}{name}{_AFTER}") if slash and name else place + 1


def _place(entries: list[ZarrEntry], path: str) -> int:
    return bisect_left(entries, path.encode(), key=lambda entry: entry.path.encode())


def made_seconds(node: Node) -> float | None:
    """When a file was made, in seconds since 1970; None if that is not known."""
    try:
        return datetime.fromisoformat(node.modified.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
