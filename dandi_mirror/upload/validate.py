"""What is wrong with files of a Dandiset, as dandi's validators find it in the worker; and what to do about it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dandi_mirror.upload.kinds import DESCRIPTION, ZARR, Kinds, is_junk, is_zarr, refuse_upload
from dandi_mirror.upload.read.reader import FileError
from dandi_mirror.upload.read.worker import Worker

SEVERITIES = ("INFO", "HINT", "WARNING", "ERROR", "CRITICAL")
UNREADABLE = "DANDI_MIRROR.UNREADABLE"
ZARR_FOUND = "DANDI_MIRROR.ZARR"
PATH_FOUND = "DANDI_MIRROR.PATH"
UNKNOWN_FILE = "DANDI.UNKNOWN_FILE"
_NO_MEDIUM = "it is in no folder of an NWB file that could refer to it"
_OWN = (".dandi/", ".datalad/", ".git")
_POINTER = b"/annex/objects/"
_OF_CONTENT = {"BIDS.NIFTI_HEADER_UNREADABLE", "BIDS.EMPTY_FILE"}
"""What is found of a link whose content is not here, and says no more than that."""

_REMEDIES = {
    "DANDI.NON_DANDI_FILENAME": "let dandi-mirror organize name it",
    "DANDI.NON_DANDI_FOLDERNAME": "let dandi-mirror organize bring it to its folder",
    "DANDI.METADATA_MISMATCH_SUBJECT": "git mv it to the folder of its subject, or let dandi-mirror organize name it",
    UNKNOWN_FILE: "nothing; it is left out of an upload, unless you name it: dandi-mirror upload --include PATTERN",
    "DANDI.BIDSIGNORE_DANDISET_YAML": "add the line dandiset.yaml to .bidsignore at the top of the BIDS dataset",
    "HDF5.UNREADABLE": "write or copy the file again; the program that writes it may not have closed it",
    "NWBI.check_subject_exists": "set subject of the NWBFile (pynwb.file.Subject) and write it again",
    "BIDS.VALIDATOR_ERROR": "it was not checked: see what bids-validator-deno says (below /dev it may read nothing)",
    ZARR_FOUND: "until then, keep it outside of the clone, or name it in .git/info/exclude",
    PATH_FOUND: "git mv it to a path of letters A-Z, digits, blanks and _ - + . ~ # & ( )",
    UNREADABLE: "write the file again; if it is only large, give it more: --file-time, --file-memory",
}
_REMEDIES_BY_KIND = (
    ("NWBI.", "see what nwbinspector says of it: https://nwbinspector.readthedocs.io/en/dev/best_practices/best_practices_index.html"),
    ("pynwb.", "write the file again with a current pynwb or matnwb"),
    ("dandischema.", "the archive's record of the file lacks this: set it in the NWB file and write it again"),
    ("dandi.SOFTWARE_ERROR", "the archive's record cannot be made of it: read the message, and write the file again"),
    ("BIDS.", "see https://bids-specification.readthedocs.io"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a validator says."""

    severity: str
    """One of :data:`SEVERITIES`."""
    id: str
    """The check's name, as ``dandi validate`` spells it."""
    path: str
    """The file's path in the Dandiset."""
    message: str
    within: str = ""
    """The place in the file; empty for all of it."""
    validator: str = "dandi-mirror"
    standard: str = ""

    @property
    def is_error(self) -> bool:
        """Whether the archive would not publish it so."""
        return SEVERITIES.index(self.severity) >= SEVERITIES.index("ERROR")

    @property
    def remedy(self) -> str:
        """What to do; empty where nobody can say."""
        by_kind = (words for kind, words in _REMEDIES_BY_KIND if self.id.startswith(kind))
        return _REMEDIES.get(self.id) or next(by_kind, "")


@dataclass(frozen=True, slots=True)
class Selection:
    """Files that are looked at."""

    present: list[str]
    missing: list[str]
    """Those whose content is not here: only their names are looked at."""
    strange: dict[str, str]
    """Those that are not even opened, and why."""
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Those that no upload takes, whatever they hold: the check's name, and why."""
    unknown: set[str] = field(default_factory=set)
    """Those that no upload takes unasked."""


def belongs(path: str) -> bool:
    """Whether a path may be one of the Dandiset's files, and not of the repository's own."""
    return not path.startswith(_OWN) and path != "dandiset.yaml"


def select(root: Path, paths: Iterable[str], kinds: Kinds) -> Selection:
    """The files among ``paths`` that an upload would look at, with the description of each BIDS dataset that one is in.

    ``kinds`` are those of all files below ``root``.
    """
    selection = Selection([], [], {})
    whole = {path: kinds.zarr(path) for path in paths if belongs(path) and os.path.lexists(root / path)}
    selection.refused.update((zarr, (ZARR_FOUND, ZARR)) for zarr in whole.values() if zarr)
    wanted = {zarr or path for path, zarr in whole.items()}
    datasets = {found for path in wanted if (found := bids_dataset(root, path))}
    for path in sorted({*wanted, *datasets}):
        if path.rpartition("/")[2].startswith(".") or is_junk(path):
            continue
        if reason := refuse_upload(path):
            selection.refused.setdefault(path, (PATH_FOUND, reason))
        _sort_in(root / path, path, selection)
    others = wanted - selection.refused.keys()
    selection.unknown.update(path for path in others if not is_zarr(path, ()) and not kinds.is_known(path))
    return selection


def _sort_in(file: Path, path: str, selection: Selection) -> None:
    try:
        facts = file.stat()
    except OSError as error:
        if file.is_symlink():
            selection.missing.append(path)
        else:
            selection.strange[path] = str(error.strerror)
        return
    if stat.S_ISDIR(facts.st_mode):
        # else it is a repository in the repository, or dandi does not know that it is a Zarr
        if is_zarr(file.name, ()):
            selection.present.append(path)
    elif not stat.S_ISREG(facts.st_mode):
        selection.strange[path] = "it is no regular file"
    elif not facts.st_size:
        selection.strange[path] = "it is empty; the archive takes no such file"
    elif _is_pointer(file, facts.st_size):
        selection.missing.append(path)
    else:
        selection.present.append(path)


def _is_pointer(file: Path, size: int) -> bool:
    if size > 32 << 10:
        return False
    with file.open("rb") as content:
        return content.read(len(_POINTER)) == _POINTER


def bids_dataset(root: Path, path: str) -> str:
    """The description of the outermost BIDS dataset that a path is in; empty for none."""
    parts = path.split("/")[:-1]
    for depth in range(len(parts) + 1):
        description = "/".join([*parts[:depth], DESCRIPTION])
        if os.path.lexists(root / description):
            return description
    return ""


def check(
    worker: Worker, root: Path, selection: Selection, heard: Callable[[Path], None] = lambda file: None
) -> Iterator[Found]:
    """All that is found of files, in the order of their paths; ``heard`` is told of each that has been looked at."""
    missing = set(selection.missing)

    def look(path: str) -> Sequence[Found]:
        try:
            found = _findings(worker, root, path, path not in missing)
            silent = path in selection.unknown and all(one.id != UNKNOWN_FILE for one in found)
            return [*found, Found("WARNING", UNKNOWN_FILE, path, _NO_MEDIUM)] if silent else found
        except FileError as error:
            return [Found("CRITICAL", UNREADABLE, path, str(error))]
        finally:
            heard(root / path)

    yield from (Found("ERROR", UNREADABLE, path, reason) for path, reason in selection.strange.items())
    yield from (Found("ERROR", check, path, reason) for path, (check, reason) in selection.refused.items())
    for found in worker.each(look, sorted([*selection.present, *selection.missing])):
        yield from (one for one in found if one.id not in _OF_CONTENT or (root / one.path).exists())


def _findings(worker: Worker, root: Path, path: str, present: bool) -> list[Found]:
    return [_made(one) for one in worker.findings(root / path, path, root, present=present)]


def _made(one: Mapping[str, Any]) -> Found:
    return Found(
        one["severity"], one["id"], one["path"], one["message"], one["within"], one["validator"], one["standard"]
    )


def grouped(findings: Iterable[Found]) -> dict[tuple[str, str], list[Found]]:
    """Findings by severity and check, the worst first."""
    groups: dict[tuple[str, str], list[Found]] = {}
    for one in sorted(findings, key=lambda one: (-SEVERITIES.index(one.severity), one.id, one.path, one.within)):
        groups.setdefault((one.severity, one.id), []).append(one)
    return groups
