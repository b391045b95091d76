"""git-annex keys and where they live: the SHA256E backend and the two hash directories."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import md5

OBJECTS_IN_WORK_TREE = ".git/annex/objects/"
"""The folder of content in a repository with a work tree."""

_LONGEST_EXTENSION = 4
_MOST_EXTENSIONS = 2
_KEY = re.compile(r"[A-Z0-9_]+(?:-[a-zA-Z][0-9]+)*--[^/\x00-\x1f\x7f]+")
_LONGEST_KEY = 255  # bytes: a file is called so
_SHA256_KEY = re.compile(r"SHA256E?(?:-[smSC][0-9]+)*--([0-9a-f]{64})(?:\.[^/]*)?")
_MD5_KEY = re.compile(r"MD5E?(?:-[smSC][0-9]+)*--([0-9a-f]{32})(?:\.[^/]*)?")
_SIZE = re.compile(r"-s([0-9]{1,18})(?:-|$)")
_MIXED_LETTERS = "0123456789zqjxkmvwgpfZQJXKMVWGPF"
_PAIRS = [_MIXED_LETTERS[bits >> 6 & 31] + _MIXED_LETTERS[bits & 31] for bits in range(1 << 11)]
"""The two letters of each 11 bits; a table, because a Zarr has a million keys."""


def annex_key(size: int, sha256: str, path: str) -> str:
    """The SHA256E key that git-annex would give to this content under this name.

    ``size`` in bytes.  Agrees with ``git annex examinekey --migrate-to-backend=SHA256E`` for every name
    whose extensions are ASCII, and with the official mirror's keys.
    """
    return f"SHA256E-s{size}--{sha256}{extension(path)}"


def is_key(text: str) -> bool:
    """Whether a link's last part can be a git-annex key: files and folders of git-annex are called by it."""
    try:
        return _KEY.fullmatch(text) is not None and len(text.encode()) <= _LONGEST_KEY
    except UnicodeEncodeError:
        return False  # bytes that are not UTF-8


def sha256_of(key: str) -> str:
    """The SHA-256 that a key is made of; empty if it is of another backend."""
    found = _SHA256_KEY.fullmatch(key)
    return found[1] if found else ""


def digest_of(key: str) -> str:
    """The SHA-256 or MD5 that a key is made of; empty if it is of another backend."""
    found = _MD5_KEY.fullmatch(key)
    return found[1] if found else sha256_of(key)


def extension(path: str) -> str:
    """The part of a file's name that git-annex keeps in a key: ``.nwb``, ``.tar.gz``, or nothing.

    At most two suffixes of at most four letters and digits, read from the end up to the first longer one; an
    empty one (two dots in a row, a dot at the end) counts and says nothing.  Dots at the start of a name hide
    it and begin no suffix.
    A name with a suffix outside ASCII keeps none: there git-annex's answer depends on the locale.
    """
    _, _, suffixes = path.rpartition("/")[2].lstrip(".").partition(".")
    kept: list[str] = []
    for suffix in reversed(suffixes.split(".")):
        if not suffix.isascii():
            return ""
        if len(suffix) > _LONGEST_EXTENSION or len(kept) == _MOST_EXTENSIONS:
            break
        if suffix.isalnum() or not suffix:
            kept.append(suffix)
    return "".join("." + suffix for suffix in reversed(kept) if suffix)


@lru_cache(maxsize=1 << 14)
def hash_dir_lower(key: str) -> str:
    """Where a key's logs are kept on the git-annex branch: three and three digits of its MD5."""
    digits = md5(key.encode(), usedforsecurity=False).hexdigest()
    return f"{digits[:3]}/{digits[3:6]}"


@lru_cache(maxsize=1 << 14)
def hash_dir_mixed(key: str) -> str:
    """Where a key's object is kept under ``.git/annex/objects`` of a repository with a work tree.

    Four letters, five bits each at a stride of six, from the first four bytes (little-endian) of the key's
    MD5; each pair is written second letter first.  Source: git-annex's page on hashing; agrees with every
    link of the official mirror's Dandisets 000004 and 000027.
    """
    word = int.from_bytes(md5(key.encode(), usedforsecurity=False).digest()[:4], "little")
    return f"{_PAIRS[word & 0x7FF]}/{_PAIRS[word >> 12 & 0x7FF]}"


def link_target(key: str, depth: int) -> str:
    """What an annexed file's symbolic link says, ``depth`` folders below the top of the work tree."""
    return f"{'../' * depth}{OBJECTS_IN_WORK_TREE}{hash_dir_mixed(key)}/{key}/{key}"


def size_of(key: str, unknown: int = 0) -> int:
    """The bytes of a key's content; ``unknown`` if the key does not say."""
    found = _SIZE.search(key.partition("--")[0])
    return int(found[1]) if found else unknown
