"""A state of a Zarr: DANDI's checksum, git's tree and the commit, from its entries in one pass; no input or output."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import NAMESPACE_URL, UUID, uuid5

from dandi_mirror.archive.zarr_entry import LARGEST_OBJECT, ZarrEntry
from dandi_mirror.mirror.format.tree import FORMAT
from dandi_mirror.mirror.zarr.entries import Disorder, check_entry, entry_key, entry_order, is_md5, refuse_entry
from dandi_mirror.paths import LONGEST_COMPONENT, is_plain_folder, is_plain_name
from dandi_mirror.repo.annex.keys import OBJECTS_IN_WORK_TREE, hash_dir_mixed, link_target
from dandi_mirror.repo.git.object_ids import commit_bytes
from dandi_mirror.repo.git.stream import object_id
from dandi_mirror.zarr_checksum import ZarrFolder, enter

DATE = b"1577836800 +0000"
"""Of every commit of a state: one that depends on nothing, 2020-01-01 in UTC."""
ATTRIBUTES = (
    b"* -text annex.backend=MD5E annex.largefiles=anything\n"
    b"**/.git* annex.largefiles=nothing\n"
    b"/.dandi/** annex.largefiles=nothing\n"
    b"/.datalad/** annex.largefiles=nothing\n"
)
_CLASH = "a file of the same name stands where its folder would be"

Store = Callable[[bytes, bytes], bytes]
"""Takes the kind of a git object (``blob``, ``tree``, ``commit``) and its content; the object id, 20 bytes.

:func:`.object_id` is one that keeps nothing.
"""
Refused = Callable[[str, str], None]
"""Hears of each entry that may not reach git: its path and the reason."""


@dataclass(frozen=True, slots=True)
class ZarrState:
    """What a Zarr held at one time."""

    zarr_id: str
    checksum: str
    """DANDI's."""
    commit: str
    """40 hexadecimal digits."""
    entries: int
    size: int
    """Bytes of all entries."""
    refused: int
    """Entries that count for the checksum, but may not reach git."""


def dataset_id(zarr_id: str) -> UUID:
    """The DataLad id of a Zarr's dataset, equal in every mirror."""
    return uuid5(NAMESPACE_URL, f"urn:uuid:{zarr_id}")


def zarr_state_of(zarr_id: str, entries: Iterable[ZarrEntry], store: Store = object_id) -> ZarrState:
    """The state of a Zarr of these entries, which are sorted by :func:`.entry_order`.

    Raises:
        Disorder: they are not, or one stands twice.
        BadEntry: one is nothing that a bucket can list.
    """
    building = StateBuilder(zarr_id, store)
    for entry in entries:
        building.add(entry)
    return building.state()


class _Folder(ZarrFolder):
    """A folder that is open: what its checksum and its tree are made of."""

    __slots__ = ("clash", "depth", "names", "plain", "tree", "up")

    def __init__(self, path: str, clash: bool) -> None:
        super().__init__(path)
        self.depth = path.count("/") + 1 if path else 0
        self.clash = clash
        """Whether a file has its name, so that git cannot have it."""
        self.plain = not clash and is_plain_folder(path)
        self.up = "../" * self.depth + OBJECTS_IN_WORK_TREE
        """How links in it begin."""
        self.tree = bytearray()
        self.names = [""]
        """Of the last file of the tree, and of those before it whose name it continues."""

    def add_name(self, name: str) -> None:
        """Note the name of a file of the tree."""
        names = self.names
        while not name.startswith(names[-1]):
            names.pop()
        names.append(name)

    def has_file(self, name: str) -> bool:
        """Whether git's tree has a file of this name; all entries since then continue it."""
        return name in self.names


def _begin(path: str, above: _Folder) -> _Folder:
    return _Folder(path, above.clash or above.has_file(path.rpartition("/")[2]))


class StateBuilder:
    """Takes the entries of a Zarr one by one, sorted by :func:`.entry_order`."""

    def __init__(self, zarr_id: str, store: Store = object_id, on_refused: Refused | None = None) -> None:
        self._zarr_id = zarr_id
        self._store = store
        self._on_refused = on_refused
        self._refused = 0
        self._last = ("", "")
        self._begun = False
        self._stack = [_Folder("", clash=False)]
        self._first: list[tuple[bytes, bytes]] = []
        """What the tree has at its top before our own files could come: sort key and line."""

    def add(self, entry: ZarrEntry) -> None:
        """Add the next entry; raises as :func:`zarr_state_of`."""
        if not self._add_plain(entry):
            self._add_any(entry)

    def _add_plain(self, entry: ZarrEntry) -> bool:
        """Add an entry as nearly all are: in the folder of the one before, of a harmless name, with an MD5.

        Does nothing that :meth:`_add_any` would not do, in half the time.
        """
        path, size, etag, _, _ = entry
        above, _, name = path.rpartition("/")
        folder = self._stack[-1]
        if not (folder.plain and above == folder.path and path > self._last[0] and is_plain_name(name)):
            return False
        if not (is_md5(etag) and type(size) is int and 0 <= size <= LARGEST_OBJECT and len(path) <= LONGEST_COMPONENT):
            return False
        self._last = (path, path)
        folder.add_file(name, size, etag)
        key = entry_key(name, size, etag)
        target = f"{folder.up}{hash_dir_mixed(key)}/{key}/{key}"
        raw = name.encode()
        folder.tree += b"120000 %b\0%b" % (raw, self._store(b"blob", target.encode()))
        folder.add_name(name)
        return True

    def _add_any(self, entry: ZarrEntry) -> None:
        check_entry(entry)
        path = entry.path
        reason = refuse_entry(path)
        where = (path, path) if reason is None else entry_order(path)
        if where <= self._last and self._begun:
            raise Disorder(f"the entry {path!a:.200} does not come after the one before it, {self._last[1]!a:.200}")
        self._last, self._begun = where, True
        above, _, name = where[0].rpartition("/")
        folder = self._stack[-1]
        if folder.path != above:
            folder = enter(self._stack, above, _begin, self._close)
        folder.add_file(name, entry.size, entry.etag)
        if reason is None and not folder.clash:
            self._put_link(folder, name, entry)
        else:
            self._refuse(path, reason or _CLASH)

    def _refuse(self, path: str, reason: str) -> None:
        self._refused += 1
        if self._on_refused:
            self._on_refused(path, reason)

    def _put_link(self, folder: _Folder, name: str, entry: ZarrEntry) -> None:
        target = link_target(entry_key(name, entry.size, entry.etag), folder.depth)
        raw = name.encode()
        self._put(folder, raw, b"120000 %b\0%b" % (raw, self._store(b"blob", target.encode())))
        folder.add_name(name)

    def _put(self, folder: _Folder, key: bytes, line: bytes) -> None:
        if folder.depth or key > b".gitattributes":
            folder.tree += line
        else:
            self._first.append((key, line))

    def _close(self, folder: _Folder, above: _Folder) -> None:
        """Count a complete folder in the one above it."""
        above.add_folder(folder)
        if folder.tree:  # git has no folder without files
            raw = folder.path.rpartition("/")[2].encode()
            self._put(above, raw + b"/", b"40000 %b\0%b" % (raw, self._store(b"tree", bytes(folder.tree))))

    def state(self) -> ZarrState:
        """The state, when all entries are added."""
        top = enter(self._stack, "", _begin, self._close)
        checksum = top.checksum()
        lines = sorted(self._first + self._own_files(checksum))
        tree = self._store(b"tree", b"".join([line for _, line in lines] + [top.tree]))
        commit = self._store(b"commit", commit_bytes(tree.hex(), DATE, state_message(self._zarr_id, checksum)))
        return ZarrState(self._zarr_id, checksum, commit.hex(), top.count, top.size, self._refused)

    def _own_files(self, checksum: str) -> list[tuple[bytes, bytes]]:
        """What the top of the tree has besides the entries: sort key and line of each."""
        store = self._store
        config = f'[datalad "dataset"]\n\tid = {dataset_id(self._zarr_id)}\n'.encode()
        dandi = store(b"tree", b"100644 zarr-checksum\0%b" % store(b"blob", f"{checksum}\n".encode()))
        datalad = store(b"tree", b"100644 config\0%b" % store(b"blob", config))
        return [
            (b".dandi/", b"40000 .dandi\0%b" % dandi),
            (b".datalad/", b"40000 .datalad\0%b" % datalad),
            (b".gitattributes", b"100644 .gitattributes\0%b" % store(b"blob", ATTRIBUTES)),
        ]


def state_message(zarr_id: str, checksum: str) -> str:
    """The message of a state's commit."""
    return f"Zarr {zarr_id}\n\nZarr-Checksum: {checksum}\nMirror-Format: {FORMAT}\n"
