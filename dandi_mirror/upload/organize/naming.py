"""Decide where NWB files, NWB-Zarrs and media files go in a Dandiset.  Pure.

dandi makes the names (``Worker.nwb_names``); this module checks the files before that and the names afterwards.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dandi_mirror.upload.kinds import refuse_upload

NwbFacts = Mapping[str, Any]
"""The metadata of a file: see :meth:`dandi_mirror.upload.read.worker.Worker.nwb_facts`."""

LONGEST_NAME = 240
"""Bytes of the name of a file or folder: file systems accept 255, and git-annex adds some to make its own names."""
FIELDS = {"ses": "session_id", "tis": "tissue_sample_id", "slice": "slice_id", "cell": "cell_id"}
"""Parts of a name that dandi uses only if files differ in them, with dandi's names for the fields."""
_PARTS = re.compile(rf"_({'|'.join(FIELDS)})-")
NWB_ENDINGS = (".nwb", ".nwb.zarr")
"""How the names of NWB data end in a Dandiset."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SOURCES = "subject_id, session_id or description, from which the name is made"
_SUBJECT = "it has no subject; set subject.subject_id of the NWBFile (pynwb.file.Subject) and write the file again"


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A media file that an NWB file refers to."""

    source: Path
    target: str
    """Its path in the Dandiset."""


@dataclass(frozen=True, slots=True)
class OrganizeStep:
    """An NWB file and where it goes."""

    source: Path
    target: str
    """Its path in the Dandiset."""
    media: tuple[MediaFile, ...] = ()
    """The media files that go with it, except those that it refers to by URL."""
    references: tuple[NwbFacts, ...] = ()
    """The new references to them, for :meth:`dandi_mirror.upload.read.worker.Worker.rewrite_media`."""
    is_zarr: bool = False
    """Whether it is a folder, an NWB-Zarr."""


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that stays where it is, with the reason."""

    source: Path
    reason: str


def nameable(facts: Sequence[NwbFacts]) -> tuple[list[NwbFacts], list[RefusedFile]]:
    """Split files into those that can get a name of their own and those that cannot."""
    groups: dict[str, list[NwbFacts]] = defaultdict(list)
    named, refused = [], []
    for one in facts:
        if not (one["subject_id"] or "").strip():
            refused.append(RefusedFile(Path(one["path"]), _SUBJECT))
        else:
            groups[repr(sorted((name, value) for name, value in one.items() if name not in {"path", "media"}))].append(
                one
            )
    for group in groups.values():
        if len(group) == 1:
            named += group
        for one in group[1:] and group:
            other = next(twin["path"] for twin in group if twin is not one)
            reason = f"its metadata equal those of {other}, even object_id: leave one of them out, or write it again"
            refused.append(RefusedFile(Path(one["path"]), reason))
    return sorted(named, key=lambda one: str(one["path"])), refused


def naming_steps(facts: Iterable[NwbFacts], names: Mapping[str, str]) -> tuple[list[OrganizeStep], list[RefusedFile]]:
    """The steps that bring files to their names, and the files that cannot get their name."""
    made, refused = [], []
    for one in facts:
        step = _step(one, names[one["path"]])
        reasons = list(filter(None, map(refuse_name, _targets(step))))
        if reasons:
            refused.append(RefusedFile(step.source, reasons[0]))
        else:
            made.append(step)
    taken: dict[str, list[OrganizeStep]] = defaultdict(list)
    for step in made:
        for target in _targets(step):
            # a file system may take both for the same name
            taken[target.casefold()].append(step)
    clashes = {id(step) for group in taken.values() if len(group) > 1 for step in group}
    refused += [
        RefusedFile(
            step.source, f"another file would also be called {step.target}; set what distinguishes them, as session_id"
        )
        for step in made
        if id(step) in clashes
    ]
    return [step for step in made if id(step) not in clashes], refused


def _targets(step: OrganizeStep) -> list[str]:
    return [step.target, *(media.target for media in step.media)]


def _step(facts: NwbFacts, target: str) -> OrganizeStep:
    source, path = Path(facts["path"]), PurePosixPath(target)
    media, references = [], []
    found = facts.get("found", {})
    for one in facts["media"]:
        renamed = []
        for number, name in enumerate(one["files"]):
            if is_url(name):
                renamed.append(name)
                continue
            # the name that dandi gives
            new = f"{path.stem}/{one['id']}_external_file_{number}{PurePosixPath(name).suffix.lower()}"
            renamed.append(new)
            media.append(MediaFile(source.parent / found.get(name, name), str(path.parent / new)))
        references.append({**one, "renamed": renamed})
    return OrganizeStep(source, target, tuple(media), tuple(references) if media else (), bool(facts.get("zarr")))


def is_url(name: str) -> bool:
    """Whether a reference to a media file is a URL; a normalised path may have lost a slash."""
    return bool(_URL.match(name)) or bool(re.match(r"(https?|s3|ftp):/", name))


def refuse_name(path: str) -> str | None:
    """Why a file must not get this path in a Dandiset; None if it may."""
    parts = path.split("/")
    if path.startswith("/") or any(part in {"", ".", ".."} or part.startswith((".", "-")) for part in parts):
        return f"it would be called {path[:300]!a}, which is not a valid path in a Dandiset"
    if not path.isprintable():
        return f"it would be called {path[:300]!a}, which has unprintable characters"
    if any(len(part.encode(errors="surrogateescape")) > LONGEST_NAME for part in parts):
        return f"its name would be longer than {LONGEST_NAME} bytes; shorten its {_SOURCES}"
    if reason := refuse_upload(path):
        return f"it would be called {path}, and {reason}; change in the file its {_SOURCES}"
    return None


def fields_in_use(paths: Iterable[str]) -> list[str]:
    """The fields that names in a Dandiset use already, so that new names use them, too."""
    used = {part for path in paths if path.endswith(NWB_ENDINGS) for part in _PARTS.findall(path.rpartition("/")[2])}
    return [field for part, field in FIELDS.items() if part in used]
