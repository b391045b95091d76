"""The ids that git gives to trees and commits, computed without writing anything.  Pure.

Source: gitformat-pack(5) and git's ``tree.c``: a tree is sorted by name, as if the name of a folder ended in a slash.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from dandi_mirror.repo.git.stream import FOLDER, IDENTITY, object_id, when

_Folder = dict[str, "tuple[bytes, str] | _Folder"]


def tree_id(files: Mapping[str, tuple[bytes, str]]) -> str:
    """The id of the tree that has these files: path → (mode, object id)."""
    top: _Folder = {}
    for path, entry in files.items():
        *folders, name = path.split("/")
        here = top
        for folder in folders:
            below = here.setdefault(folder, {})
            assert isinstance(below, dict)  # no path is both file and folder
            here = below
        here[name] = entry
    return _folder_id(top)


def _folder_id(folder: _Folder) -> str:
    lines = []
    for name, entry in folder.items():
        raw = name.encode(errors="surrogateescape")
        if isinstance(entry, dict):
            lines.append((raw + b"/", FOLDER.lstrip(b"0"), raw, _folder_id(entry)))
        else:
            lines.append((raw, entry[0], raw, entry[1]))
    content = b"".join(b"%b %b\0%b" % (mode, raw, bytes.fromhex(oid)) for _, mode, raw, oid in sorted(lines))
    return object_id(b"tree", content).hex()


def commit_id(tree: str, date: datetime, message: str) -> str:
    """The id of a commit without parents that this program makes."""
    return object_id(b"commit", commit_bytes(tree, when(date), message)).hex()


def commit_bytes(tree: str, date: bytes, message: str) -> bytes:
    """The content of such a commit; ``date`` is in git's raw format."""
    who = IDENTITY + b" " + date
    return b"tree %b\nauthor %b\ncommitter %b\n\n%b" % (tree.encode(), who, who, message.encode())
