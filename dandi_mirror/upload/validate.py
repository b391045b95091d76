"""Validate files of a Dandiset with dandi's validators in a worker process, and say what to do about each finding."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dandi_mirror.errors import PartError
from dandi_mirror.repo.annex.pointers import key_of_pointer
from dandi_mirror.repo.git.files import git_dir_of
from dandi_mirror.upload.kinds import DESCRIPTION, RENAME, Kinds, is_leftover, is_zarr, refuse_upload, refuse_zarr
from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.upload.read.worker_process import FileError
from dandi_mirror.upload.zarrs.local import check_folder

SEVERITIES = ("INFO", "HINT", "WARNING", "ERROR", "CRITICAL")
UNREADABLE = "DANDI_MIRROR.UNREADABLE"
LEFT_OUT = "DANDI_MIRROR.LEFT_OUT"
ZARR_FOUND = "DANDI_MIRROR.ZARR"
NWB_ZARR = "DANDI_MIRROR.NWB_ZARR"
PATH_FOUND = "DANDI_MIRROR.PATH"
UNKNOWN_FILE = "DANDI.UNKNOWN_FILE"
_NO_MEDIUM = "it is in no folder of an NWB file that could refer to it"
_OWN = (".dandi/", ".datalad/", ".git")
_OF_CONTENT = {"BIDS.NIFTI_HEADER_UNREADABLE", "BIDS.EMPTY_FILE"}
"""Checks that report only that the content of a link is absent."""

_REMEDIES = {
    "DANDI.NON_DANDI_FILENAME": "let dandi-mirror organize name it",
    "DANDI.NON_DANDI_FOLDERNAME": "let dandi-mirror organize bring it to its folder",
    "DANDI.METADATA_MISMATCH_SUBJECT": "git mv it to the folder of its subject, or let dandi-mirror organize name it",
    UNKNOWN_FILE: "nothing; it is left out of an upload, unless you name it: dandi-mirror upload --include PATTERN",
    "DANDI.BIDSIGNORE_DANDISET_YAML": "add the line dandiset.yaml to .bidsignore at the top of the BIDS dataset",
    "HDF5.UNREADABLE": "write or copy the file again; the program that writes it may not have closed it",
    "NWBI.check_subject_exists": "set subject of the NWBFile (pynwb.file.Subject) and write it again",
    "BIDS.VALIDATOR_ERROR": "it was not checked; see the message of bids-validator-deno (it cannot read below /dev)",
    NWB_ZARR: "write it again, for example with hdmf-zarr; subject is a pynwb.file.Subject of the NWBFile",
    ZARR_FOUND: "an upload leaves it out until then; to keep it here unsent, name it in .git/info/exclude",
    PATH_FOUND: RENAME,
    LEFT_OUT: "an upload leaves it out, for the reason that the message names",
    UNREADABLE: "write the file again; if it is just very large, allow more: --file-time, --file-memory",
}
_REMEDIES_BY_KIND = (
    ("NWBI.", "see what nwbinspector says about it: https://nwbinspector.readthedocs.io/en/dev/best_practices/best_practices_index.html"),
    ("pynwb.", "write the file again with a current pynwb or matnwb"),
    ("dandischema.", "the archive's record of the file lacks this: set it in the NWB file and write it again"),
    ("dandi.SOFTWARE_ERROR", "the archive's record cannot be made of it: read the message, and write the file again"),
    ("BIDS.", "see https://bids-specification.readthedocs.io"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ValidationFinding:
    """One finding of a validator."""

    severity: str
    """One of :data:`SEVERITIES`."""
    id: str
    """The name of the check, as in ``dandi validate``."""
    path: str
    """The file's path in the Dandiset."""
    message: str
    within: str = ""
    """The place in the file; empty for all of it."""
    validator: str = "dandi-mirror"
    standard: str = ""

    @property
    def is_error(self) -> bool:
        """Whether the archive would refuse to publish the file."""
        return SEVERITIES.index(self.severity) >= SEVERITIES.index("ERROR")

    @property
    def remedy(self) -> str:
        """What to do; empty if we have no advice."""
        by_kind = (words for kind, words in _REMEDIES_BY_KIND if self.id.startswith(kind))
        return _REMEDIES.get(self.id) or next(by_kind, "")


@dataclass(frozen=True, slots=True)
class ValidationTargets:
    """The files to validate, sorted by what can be done with them."""

    present: list[str]
    missing: list[str]
    """Files whose content is absent: only their names are checked."""
    strange: dict[str, str]
    """Files that are not opened, each with the reason."""
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Files that no upload sends, whatever they hold: the name of the check, and the reason."""
    unknown: set[str] = field(default_factory=set)
    """Files that an upload sends only if somebody asks for it."""


def belongs(path: str) -> bool:
    """Whether a path may be a file of the Dandiset, and not of the repository itself."""
    return not path.startswith(_OWN) and path != "dandiset.yaml"


def select_targets(
    root: Path, paths: Iterable[str], kinds: Kinds, tracked: Container[str] = frozenset()
) -> ValidationTargets:
    """The files among ``paths`` that an upload would send, with the description of each BIDS dataset that they are in.

    ``kinds`` is made from all files below ``root``; ``tracked`` has those of the hidden ones that git knows.
    """
    selection = ValidationTargets([], [], {})
    whole = {path: kinds.zarr(path) for path in paths if belongs(path) and os.path.lexists(root / path)}
    zarrs = sorted({zarr for zarr in whole.values() if zarr})
    selection.refused.update((zarr, (ZARR_FOUND, reason)) for zarr in zarrs if (reason := _refuse_zarr(root, zarr)))
    wanted = {zarr or path for path, zarr in whole.items()}
    datasets = {found for path in wanted if (found := bids_dataset(root, path))}
    own = [os.path.realpath(root), os.path.realpath(git_dir_of(root))] if (root / ".git").exists() else []
    for path in sorted({*wanted, *datasets}):
        if is_leftover(path, tracked=path in tracked):
            continue
        leads = os.path.realpath(root / path)
        if own and os.path.exists(leads) and not any(_is_in(top, leads) for top in own):  # noqa: PTH110
            selection.strange[path] = "it is a link out of the clone, or below one, and is not read"
            continue
        if reason := refuse_upload(path):
            selection.refused.setdefault(path, (PATH_FOUND, reason))
        _sort_in(root / path, path, selection)
    others = wanted - selection.refused.keys()
    selection.unknown.update(path for path in others if not is_zarr(path, ()) and not kinds.is_known(path))
    return selection


def _is_in(folder: str, path: str) -> bool:
    return path.startswith(f"{folder}/")


def _refuse_zarr(root: Path, path: str) -> str | None:
    """Why a Zarr folder cannot be sent; None if it can."""
    if reason := refuse_zarr(path):
        return reason
    try:
        check_folder(root / path)
    except PartError as error:
        return str(error)
    return None


def _sort_in(file: Path, path: str, selection: ValidationTargets) -> None:
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
        selection.strange[path] = "it is not a regular file"
    elif not facts.st_size:
        selection.strange[path] = "it is empty; the archive does not accept empty files"
    elif _is_pointer(file):
        selection.missing.append(path)
    else:
        selection.present.append(path)


def _is_pointer(file: Path) -> bool:
    with file.open("rb") as content:
        return bool(key_of_pointer(content))


def bids_dataset(root: Path, path: str) -> str:
    """The description of the outermost BIDS dataset of a path; empty if there is none."""
    parts = path.split("/")[:-1]
    for depth in range(len(parts) + 1):
        description = "/".join([*parts[:depth], DESCRIPTION])
        if os.path.lexists(root / description):
            return description
    return ""


def validate_files(
    worker: Worker, root: Path, selection: ValidationTargets, heard: Callable[[Path], None] = lambda file: None
) -> Iterator[ValidationFinding]:
    """All findings, by path; ``heard`` is called after each file."""
    missing = set(selection.missing)

    def look(path: str) -> Sequence[ValidationFinding]:
        try:
            found = _findings(worker, root, path, path not in missing)
            silent = path in selection.unknown and all(one.id != UNKNOWN_FILE for one in found)
            return [*found, ValidationFinding("WARNING", UNKNOWN_FILE, path, _NO_MEDIUM)] if silent else found
        except FileError as error:
            return [ValidationFinding("CRITICAL", UNREADABLE, path, str(error))]
        finally:
            heard(root / path)

    yield from (ValidationFinding("ERROR", LEFT_OUT, path, reason) for path, reason in selection.strange.items())
    yield from (ValidationFinding("ERROR", check, path, reason) for path, (check, reason) in selection.refused.items())
    for found in worker.each(look, sorted([*selection.present, *selection.missing])):
        yield from (one for one in found if one.id not in _OF_CONTENT or (root / one.path).exists())


def _findings(worker: Worker, root: Path, path: str, present: bool) -> list[ValidationFinding]:
    return [_made(one) for one in worker.findings(root / path, path, root, present=present)]


def _made(one: Mapping[str, Any]) -> ValidationFinding:
    return ValidationFinding(
        one["severity"], one["id"], one["path"], one["message"], one["within"], one["validator"], one["standard"]
    )


def grouped(findings: Iterable[ValidationFinding]) -> dict[tuple[str, str], list[ValidationFinding]]:
    """Findings grouped by severity and check, the worst first."""
    groups: dict[tuple[str, str], list[ValidationFinding]] = {}
    for one in sorted(findings, key=lambda one: (-SEVERITIES.index(one.severity), one.id, one.path, one.within)):
        groups.setdefault((one.severity, one.id), []).append(one)
    return groups
