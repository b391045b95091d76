"""What a file of a work tree is to DANDI, as far as its path and those of its neighbours tell.  Pure.

``organize``, ``validate`` and ``upload`` all ask here, so that they agree.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from dandi_mirror.paths import refuse_path

DESCRIPTION = "dataset_description.json"
"""What makes a folder a BIDS dataset."""
ZARR_ENDINGS = (".zarr", ".ngff")
ZARR_MARKS = frozenset({".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json"})
"""Files by which a folder is a Zarr, whatever it is called."""
ZARR = (
    "it is a Zarr, which this release cannot send, and its chunks are no files of their own; "
    "send it with the dandi client: dandi upload"
)
"""Why a Zarr is refused."""
MEDIA = frozenset({".mp4", ".avi", ".wmv", ".mov", ".flv", ".mkv", ".png", ".jpg", ".jpeg", ".gif"})
"""Endings of the videos and images that NWB files may refer to."""

LEFTOVER = "a program left it behind, or its name begins with a dot; to send it all the same: --include {}"
UNKNOWN = "DANDI knows no such kind of file; to send it all the same: --include {}"

LONGEST_PATH = 512  # characters: the server's limit

# what the server takes in a path; the letters between Z and a are its own slip
_SERVER_PATH = re.compile(r"(?:/?\.?[A-z0-9(),&\s#+~_=-])+", re.ASCII)

_JUNK_FOLDER = re.compile(r"__pycache__|\.ipynb_checkpoints|\.Spotlight-V100|\.Trashes|.*\.dandidownload")
_JUNK_FILE = re.compile(
    r"\.DS_Store|\._.*|Thumbs\.db|ehthumbs\.db|[Dd]esktop\.ini"  # of desktops
    r"|~\$.*|\.~lock\..*#|~WRL[0-9]+\.tmp"  # of offices
    r"|.*~|\.#.*|#.*#|\..*\.sw[a-p]|\.netrwhist"  # of editors
    r"|.*\.py[co]|core|core\.[0-9]+|vgcore\.[0-9]+|\.nfs[0-9a-f]+"  # of programs that ran, or crashed
    r"|.*\.(?:dandidownload|crdownload|partial)"  # of downloads
)


@dataclass(frozen=True, slots=True)
class Kinds:
    """The folders that say what the files in them are."""

    marked: frozenset[str]
    """Those that hold a file that only a Zarr has."""
    bids: frozenset[str]
    """The tops of BIDS datasets."""
    nwb: frozenset[str]
    """The paths of NWB files without their ending: the folders of their videos and images."""

    @classmethod
    def of(cls, paths: Iterable[str]) -> Kinds:
        """What all paths of a Dandiset tell together."""
        marked, bids, nwb = set(), set(), set()
        for path in paths:
            folder, _, name = path.rpartition("/")
            if name in ZARR_MARKS:
                marked.add(folder)
            elif name == DESCRIPTION:
                bids.add(folder)
            elif name.endswith(".nwb"):
                nwb.add(path.removesuffix(".nwb"))
        return cls(frozenset(marked), frozenset(bids), frozenset(nwb))

    def zarr(self, path: str) -> str:
        """The Zarr that a path is in, by the outermost folder that is one; empty for none.

        What only a Zarr has, at the very top, stands for itself.
        """
        for folder in _folders(path):
            if folder in self.marked or is_zarr(folder.rpartition("/")[2], ()):
                return folder
        return path if path in ZARR_MARKS else ""

    def in_bids(self, path: str) -> bool:
        """Whether a path is in a BIDS dataset."""
        return "" in self.bids or any(folder in self.bids for folder in _folders(path))

    def is_known(self, path: str) -> bool:
        """Whether DANDI knows the kind of a file: NWB, part of a BIDS dataset, or a medium of an NWB file."""
        if path.endswith(".nwb") or self.in_bids(path):
            return True
        medium = PurePosixPath(path).suffix.lower() in MEDIA
        return medium and any(folder in self.nwb for folder in _folders(path))


def refuse_upload(path: str) -> str:
    """Why a path can be no asset's; empty if it can."""
    if reason := refuse_path(path):
        return reason
    if not _SERVER_PATH.fullmatch(path):
        strange = sorted({letter for letter in path if not re.fullmatch(r"[A-z0-9(),&\s#+~_=./-]", letter, re.ASCII)})
        shown = (letter if letter.isprintable() else f"U+{ord(letter):04X}" for letter in strange)
        return f"the archive takes no {' '.join(shown) if strange else 'such dots'} in a path"
    if len(path) > LONGEST_PATH:
        return f"the archive takes no path of more than {LONGEST_PATH} characters"
    return ""


def why_unasked(path: str, kinds: Kinds, junk: Collection[str], patterns: Iterable[str]) -> str:
    """Why a new file does not go up unless somebody asks for it; empty if it does.  ``junk``: what programs left."""
    if is_included(path, patterns):
        return ""
    reason = LEFTOVER if path in junk else "" if kinds.is_known(path) else UNKNOWN
    return reason.format(shlex.quote(path))


def is_zarr(name: str, holds: Collection[str]) -> bool:
    """Whether a folder is a Zarr, by its name or by what it holds."""
    return name.lower().endswith(ZARR_ENDINGS) or not ZARR_MARKS.isdisjoint(holds)


def is_junk(path: str) -> bool:
    """Whether a file is one of those that programs leave behind unasked."""
    *folders, name = path.split("/")
    return bool(_JUNK_FILE.fullmatch(name)) or any(map(_JUNK_FOLDER.fullmatch, folders))


def is_included(path: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern means a path: all of it, its name alone, or a folder that it is in."""
    names = [path, path.rpartition("/")[2], *_folders(path)]
    return any(fnmatchcase(name, pattern.rstrip("/")) for pattern in patterns for name in names)


def _folders(path: str) -> list[str]:
    """The folders that a path is in, the outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]
