"""Read the links and pointer files that stand for annexed content: in a tree of git, and on disk.

git-annex tracks a locked file as a symbolic link to ``.git/annex/objects/…/KEY``, and an unlocked file as a small text
that begins with ``/annex/objects/KEY``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from dandi_mirror.repo.annex.keys import is_key
from dandi_mirror.repo.git.stream import FILE, LINK

OBJECTS_IN_GIT_DIR = "annex/objects/"
"""The folder of annexed content in a ``.git`` folder."""
LONGEST_POINTER = 32 << 10
"""Bytes; git-annex takes no longer file for a pointer."""
_POINTER = b"/annex/objects/"


def name_in(mode: bytes, content: bytes) -> str:
    """What a link or a pointer file names, whether or not this is a valid key; empty for any other file.

    ``mode`` is git's mode of the file.  ``content`` is the target of the link, or the whole text of the file.
    """
    if mode == LINK:
        folder, _, name = content.decode(errors="surrogateescape").rpartition("/")
        return name if OBJECTS_IN_GIT_DIR in f"{folder}/" else ""
    if not is_pointer(content) or len(content) > LONGEST_POINTER:
        return ""
    return content.split(b"\n", 1)[0].rpartition(b"/")[2].decode(errors="surrogateescape")


def key_in(mode: bytes, content: bytes) -> str:
    """The key that a link or a pointer file names; empty if it names no valid key."""
    return name if is_key(name := name_in(mode, content)) else ""


def is_pointer(content: bytes) -> bool:
    """Whether a file that begins with these bytes is a pointer file."""
    return content.startswith(_POINTER)


def key_of_link(file: Path) -> str:
    """The key that a symbolic link on disk names; empty if the file is anything else.

    Raises:
        OSError: it cannot be read.
    """
    return key_in(LINK, os.fsencode(file.readlink())) if file.is_symlink() else ""


def key_of_pointer(file: BinaryIO) -> str:
    """The key that an open file names as a pointer; empty if the file holds anything else.

    The file is read from its beginning.  Afterwards its position is at the beginning again.
    """
    content = file.read(len(_POINTER))
    if is_pointer(content):
        content += file.read(LONGEST_POINTER + 1 - len(content))
    file.seek(0)
    return key_in(FILE, content)
