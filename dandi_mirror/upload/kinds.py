"""Tell from its path and the paths around it what kind of file DANDI takes a file for.  Pure.

``organize``, ``validate`` and ``upload`` all use this module, so that they agree.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from dandi_mirror.paths import folders_of, refuse_path

DESCRIPTION = "dataset_description.json"
"""The file that makes a folder a BIDS dataset."""
ZARR_ENDINGS = (".zarr", ".ngff")
ZARR_MARKS = frozenset({".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json"})
"""A folder with one of these files is a Zarr, whatever its name is."""
ZARR_NAME = (
    "it holds the files of a Zarr, and DANDI tells a Zarr by its name; rename the folder so that its name ends in .zarr"
)
"""Why a folder is refused that is a Zarr by what it holds, and not by its name."""
MEDIA = frozenset({".mp4", ".avi", ".wmv", ".mov", ".flv", ".mkv", ".png", ".jpg", ".jpeg", ".gif"})
"""Endings of videos and images that an NWB file may refer to."""

LEFTOVER = "a program left it behind, or its name begins with a dot; to send it anyway: --include {}"
UNKNOWN = "DANDI does not know this kind of file; to send it anyway: --include {}"
UNKNOWN_AND_REFUSED = "DANDI does not know this kind of file, and "

LONGEST_PATH = 512  # characters: the server's limit

# the characters that the server accepts in a path; the range A-z is the server's own mistake
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
    """The folders that determine the kind of the files in them."""

    marked: frozenset[str]
    """Folders that hold a file that only a Zarr has."""
    bids: frozenset[str]
    """The tops of BIDS datasets."""
    nwb: frozenset[str]
    """The paths of NWB files without their ending: the folders of their videos and images."""

    @classmethod
    def of(cls, paths: Iterable[str]) -> Kinds:
        """Make it from all paths of a Dandiset."""
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
        """The outermost folder of a path that is a Zarr; empty if there is none.

        For a file of a Zarr at the very top, the path itself.
        """
        for folder in reversed(folders_of(path)):
            if folder in self.marked or is_zarr(folder.rpartition("/")[2], ()):
                return folder
        return path if path in ZARR_MARKS else ""

    def in_bids(self, path: str) -> bool:
        """Whether a path is in a BIDS dataset."""
        return "" in self.bids or any(folder in self.bids for folder in folders_of(path))

    def is_known(self, path: str) -> bool:
        """Whether DANDI knows the kind of a file: NWB, part of a BIDS dataset, or a video or image of an NWB file."""
        if path.endswith(".nwb") or self.in_bids(path):
            return True
        medium = PurePosixPath(path).suffix.lower() in MEDIA
        return medium and any(folder in self.nwb for folder in folders_of(path))


RENAME = "rename it, with letters A-Z, digits, blanks and _ - + . ~ # & ( ) only"
"""What to do about a path that :func:`refuse_upload` refuses."""


def refuse_upload(path: str) -> str | None:
    """Why the archive would not take an asset at a path; None if it would."""
    if reason := refuse_path(path):
        return reason
    if not _SERVER_PATH.fullmatch(path):
        strange = sorted({letter for letter in path if not re.fullmatch(r"[A-z0-9(),&\s#+~_=./-]", letter, re.ASCII)})
        shown = (letter if letter.isprintable() else f"U+{ord(letter):04X}" for letter in strange)
        return f"the archive does not accept {' '.join(shown) if strange else 'these dots'} in a path"
    if len(path) > LONGEST_PATH:
        return f"the archive does not accept a path of more than {LONGEST_PATH} characters"
    return None


def path_problem(path: str) -> str:
    """Why the archive would not take an asset at a path, and what to do; empty if it would."""
    reason = refuse_upload(path)
    return f"{reason}; {RENAME}" if reason else ""


def can_be_sent(path: str, size: int) -> bool:
    """Whether the archive takes a file of this path and size at all."""
    return size > 0 and not path_problem(path)


def why_unasked(path: str, kinds: Kinds, junk: Collection[str], patterns: Iterable[str]) -> str | None:
    """Why a new file is sent only if somebody asks for it; None if it is sent anyway.

    ``junk`` are the files that programs left behind; ``patterns`` name the files that somebody asked for.
    """
    if is_included(path, patterns) or (path not in junk and kinds.is_known(path)):
        return None
    if problem := path_problem(path):
        return UNKNOWN_AND_REFUSED + problem
    return (LEFTOVER if path in junk else UNKNOWN).format(shlex.quote(path))


def is_zarr(name: str, holds: Collection[str]) -> bool:
    """Whether a folder is a Zarr, by its name or by the names of its files."""
    return name.lower().endswith(ZARR_ENDINGS) or not ZARR_MARKS.isdisjoint(holds)


def refuse_zarr(path: str) -> str | None:
    """Why a Zarr must not have this path; None if it may."""
    return None if path.endswith(ZARR_ENDINGS) else ZARR_NAME


def in_zarrs(paths: Iterable[str]) -> set[str]:
    """The paths that are in a Zarr, among all new files of a work tree."""
    paths = list(paths)
    kinds = Kinds.of(paths)
    return {path for path in paths if kinds.zarr(path)}


def is_junk(path: str) -> bool:
    """Whether a file is one that programs leave behind: of desktops, editors, crashes, downloads."""
    *folders, name = path.split("/")
    return bool(_JUNK_FILE.fullmatch(name)) or any(map(_JUNK_FOLDER.fullmatch, folders))


def is_hidden(path: str) -> bool:
    """Whether the name of a file, or of a folder that it is in, begins with a dot; ``.bidsignore`` does not count."""
    return any(name.startswith(".") for name in path.split("/")) and not path.endswith(".bidsignore")


def is_leftover(path: str, *, tracked: bool = False) -> bool:
    """Whether ``organize``, ``validate`` and ``upload`` leave out a file, or a Zarr, unless somebody asks for it.

    A program left it behind, or it is hidden and git does not know it (``tracked``).
    """
    return is_junk(path) or (is_hidden(path) and not tracked)


def is_left_folder(path: str) -> bool:
    """Whether all files of a folder are left out for the folder's name, so that nobody has to look into it."""
    return is_leftover(f"{path}/file")


def is_included(path: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern matches a path: the whole path, its name, or a folder that it is in."""
    names = [path, path.rpartition("/")[2], *folders_of(path)]
    return any(fnmatchcase(name, pattern.rstrip("/")) for pattern in patterns for name in names)
