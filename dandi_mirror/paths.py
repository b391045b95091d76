"""Which paths an asset may have in a git repository, for sync and upload alike; no input or output.

The archive accepts names such as ``.git/config``.  One of them makes a whole clone fail, and some git commands drop
or rename others silently.  ``docs/format.md`` ("Admitted") has the rules.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

LONGEST_COMPONENT = 255  # bytes: the limit of common file systems
LONGEST_PATH = 1024  # bytes
DEEPEST = 64  # folders

DANDISET_YAML = "dandiset.yaml"
"""The Dandiset's record, at the top of each version."""
GITMODULES = ".gitmodules"
"""git's list of submodules: in a superdataset the datasets, in a dataset the Zarrs."""
REFUSED_FOLDER = ".dandi/refused"
"""Where a version keeps the records, and the links, of assets whose paths or records are not safe in git."""
_OWN_TOP = {".dandi", ".datalad", DANDISET_YAML}
# never in a version's tree, but commands read them when somebody works in a clone of it
_RESERVED_TOP = _OWN_TOP | {".dandi-mirror", ".dandi-mirror-download", "dandi-mirror.toml"}
# The short names that Windows may give to git's own files; git treats them so on every system
_SHORT_NAME = re.compile(r"([a-z0-9]{0,6})~([0-9]+)[ .]*(?::.*)?")
_SHORT_STEMS = {"git", "gitmod", "gitatt", "gitign", "mailma"}
_HASHED_STEMS = ("gi7eba", "gi7d29", "gi250a", "maba30")
# A fixed release of Unicode, so that the decision is the same on every Python
_UNICODE = unicodedata.ucd_3_2_0
# Default-ignorable letters: file systems that fold names drop them, so that ``.g<U+115F>it`` could become ``.git``
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_REFUSED_CATEGORIES = {
    "Cc": "a control character",
    "Cf": "an invisible character",
    "Cs": "half a surrogate pair",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
    "Cn": "a letter that Unicode 3.2 does not know",
}
_NAME = "[A-Za-z0-9_+,=()& -][A-Za-z0-9_+,=()& .-]*"
_PLAIN_NAME = re.compile(_NAME)
_PLAIN_PATH = re.compile(f"{_NAME}(?:/{_NAME})*")


def refuse_path(path: object) -> str | None:
    """Why an asset's path must not be in a git repository; None if it may."""
    if not isinstance(path, str):
        return "the path is not text"
    if _PLAIN_PATH.fullmatch(path) and len(path) <= LONGEST_COMPONENT:
        components = path.split("/")
        return _refuse_plain(components)
    return _refuse_text(path) or _refuse_shape(path) or _refuse_names(path.split("/"))


def is_plain_folder(path: str) -> bool:
    """Whether a folder has harmless names only, so that of each file in it :func:`is_plain_name` decides."""
    return _PLAIN_PATH.fullmatch(path) is not None and refuse_path(path) is None and path.count("/") + 2 <= DEEPEST


def is_plain_name(name: str) -> bool:
    """Whether a file of this name is admitted in each :func:`is_plain_folder`, up to 255 bytes of its path."""
    return _PLAIN_NAME.fullmatch(name) is not None


def _refuse_plain(components: list[str]) -> str | None:
    """The remaining rules for a short path of harmless letters in which no name begins with a dot."""
    if len(components) > DEEPEST:
        return f"more than {DEEPEST} folders deep"
    return _refuse_top(components[0])


@lru_cache(maxsize=4096)
def _refuse_top(component: str) -> str | None:
    # some file systems drop blanks and dots at the end of a name, which would make it one of our own
    if _UNICODE.normalize("NFKC", component).casefold().rstrip(" .") in _RESERVED_TOP:
        return f"the name {component} is the mirror's own"
    return None


def _refuse_text(path: str) -> str | None:
    for letter in path:
        if reason := _REFUSED_CATEGORIES.get(_UNICODE.category(letter)):
            return f"{reason} in the path (U+{ord(letter):04X})"
    if _IGNORABLE.search(path):
        return "an invisible character in the path"
    if "\\" in path:
        return "a backslash in the path"
    return None


def _refuse_shape(path: str) -> str | None:
    components = path.split("/")
    if any(component in {"", ".", ".."} for component in components):
        return "an empty, '.' or '..' component in the path"
    if len(path.encode()) > LONGEST_PATH:
        return f"a path of more than {LONGEST_PATH} bytes"
    if len(components) > DEEPEST:
        return f"more than {DEEPEST} folders deep"
    if any(len(component.encode()) > LONGEST_COMPONENT for component in components):
        return f"a name of more than {LONGEST_COMPONENT} bytes"
    return None


def _refuse_names(components: list[str]) -> str | None:
    for component in components:
        folded = _UNICODE.normalize("NFKC", component).casefold()
        if folded.startswith((".git", ".mailmap")) or _is_short_name(folded):
            return f"the name {component} is git's own"
    return _refuse_top(components[0])


def _is_short_name(folded: str) -> bool:
    """Whether git treats a name as the short form of ``.git``, ``.gitmodules`` or another file of its own.

    Such as ``gitmod~1``, or eight letters that begin with those of a hash: ``gi7eba~1``, ``~1234567``.  ``git fsck``
    and ``git clone`` refuse a link of such a name.  Source: git's path.c, ``is_ntfs_dot_generic``.
    """
    found = _SHORT_NAME.fullmatch(folded)
    if not found:
        return False
    stem, number = found.groups()
    hashed = len(stem) + len(number) == 7 and any(known.startswith(stem) for known in _HASHED_STEMS)
    return stem in _SHORT_STEMS or hashed


def is_visible(letter: str) -> bool:
    """Whether a letter is visible and does not change the text around it: no control, direction or filler character."""
    return letter.isprintable() and not _IGNORABLE.match(letter)


def is_own(path: str) -> bool:
    """Whether a path of a work tree belongs to git or to the mirror, so that it cannot be an asset."""
    return path.partition("/")[0] in _OWN_TOP or any(name.startswith(".git") for name in path.split("/"))


def same_names(paths: Iterable[str]) -> list[list[str]]:
    """The paths of which a disk that folds case, or the encoding of accents, makes one file; each group sorted."""
    groups: dict[str, list[str]] = {}
    for path in sorted(set(paths)):
        groups.setdefault(_UNICODE.normalize("NFC", path).casefold(), []).append(path)
    return [group for group in groups.values() if len(group) > 1]


def folders_of(path: str) -> tuple[str, ...]:
    """The folders that a path is in, the innermost first."""
    return _with_above(path.rpartition("/")[0])


def conflicts(paths: Iterable[str]) -> dict[str, str]:
    """The paths that cannot exist together, because one is a file and a folder at once; each with the reason."""
    files = set(paths)
    folders = {path.rpartition("/")[0] for path in files}
    above = {folder for inner in folders for folder in _with_above(inner)}
    found = dict.fromkeys(above & files, "a folder of the same name holds other assets")
    if found:
        for path in files:
            if any(folder in found for folder in folders_of(path)):
                found[path] = "a file of the same name stands where its folder would be"
    return found


@lru_cache(maxsize=4096)
def _with_above(folder: str) -> tuple[str, ...]:
    """A folder and all folders above it."""
    parts = folder.split("/") if folder else []
    return tuple("/".join(parts[:end]) for end in range(len(parts), 0, -1))
