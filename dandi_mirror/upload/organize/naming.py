"""Where NWB files and the media files that they refer to belong in a Dandiset.  Pure.

The names themselves are dandi's (``Worker.nwb_names``); here is what must hold before they are asked for and after.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dandi_mirror.upload.kinds import refuse_upload

Facts = Mapping[str, Any]
"""What a file says of itself: see :meth:`dandi_mirror.upload.read.worker.Worker.nwb_facts`."""

LONGEST_NAME = 240
"""Bytes of a file's or a folder's name: file systems take 255, and git-annex needs some for names of its own."""
FIELDS = {"ses": "session_id", "tis": "tissue_sample_id", "slice": "slice_id", "cell": "cell_id"}
"""Parts of a name that it has when files differ in them, by dandi's names for the fields."""
_PARTS = re.compile(rf"_({'|'.join(FIELDS)})-")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SOURCES = "subject_id, session_id, description, or what else the name is made of"
_SUBJECT = "it names no subject; set subject.subject_id of the NWBFile (pynwb.file.Subject) and write it again"


@dataclass(frozen=True, slots=True)
class Media:
    """A media file that an NWB file refers to."""

    source: Path
    target: str
    """Its path in the Dandiset."""


@dataclass(frozen=True, slots=True)
class Step:
    """An NWB file and where it goes."""

    source: Path
    target: str
    """Its path in the Dandiset."""
    media: tuple[Media, ...] = ()
    """Files that go with it; none of those that it refers to by URL."""
    references: tuple[Facts, ...] = ()
    """What it shall say of them: as :meth:`dandi_mirror.upload.read.worker.Worker.rewrite_media` takes it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is left where it is, and why."""

    source: Path
    reason: str


def nameable(facts: Sequence[Facts]) -> tuple[list[Facts], list[Refused]]:
    """Those of the files that can have a name of their own."""
    groups: dict[str, list[Facts]] = defaultdict(list)
    named, refused = [], []
    for one in facts:
        if not (one["subject_id"] or "").strip():
            refused.append(Refused(Path(one["path"]), _SUBJECT))
        else:
            groups[repr(sorted((name, value) for name, value in one.items() if name not in {"path", "media"}))].append(
                one
            )
    for group in groups.values():
        if len(group) == 1:
            named += group
        for one in group[1:] and group:
            other = next(twin["path"] for twin in group if twin is not one)
            reason = f"it says of itself all that {other} does, object_id too: leave one of them out, or write it again"
            refused.append(Refused(Path(one["path"]), reason))
    return sorted(named, key=lambda one: str(one["path"])), refused


def steps(facts: Iterable[Facts], names: Mapping[str, str]) -> tuple[list[Step], list[Refused]]:
    """What goes where, and what cannot go where it would."""
    made, refused = [], []
    for one in facts:
        step = _step(one, names[one["path"]])
        reason = next((why for target in _targets(step) if (why := unfit(target))), "")
        if reason:
            refused.append(Refused(step.source, reason))
        else:
            made.append(step)
    taken: dict[str, list[Step]] = defaultdict(list)
    for step in made:
        for target in _targets(step):
            # a file system may hold both as one
            taken[target.casefold()].append(step)
    clashes = {id(step) for group in taken.values() if len(group) > 1 for step in group}
    refused += [
        Refused(
            step.source, f"another file would be called {step.target}, too; set what tells them apart, as session_id"
        )
        for step in made
        if id(step) in clashes
    ]
    return [step for step in made if id(step) not in clashes], refused


def _targets(step: Step) -> list[str]:
    return [step.target, *(media.target for media in step.media)]


def _step(facts: Facts, target: str) -> Step:
    source, path = Path(facts["path"]), PurePosixPath(target)
    media, references = [], []
    found = facts.get("found", {})
    for one in facts["media"]:
        renamed = []
        for number, name in enumerate(one["files"]):
            if is_url(name):
                renamed.append(name)
                continue
            # as dandi names them
            new = f"{path.stem}/{one['id']}_external_file_{number}{PurePosixPath(name).suffix.lower()}"
            renamed.append(new)
            media.append(Media(source.parent / found.get(name, name), str(path.parent / new)))
        references.append({**one, "renamed": renamed})
    return Step(source, target, tuple(media), tuple(references) if media else ())


def is_url(name: str) -> bool:
    """Whether a media file is referred to by URL; a path that was normalised may have lost a slash."""
    return bool(_URL.match(name)) or bool(re.match(r"(https?|s3|ftp):/", name))


def unfit(path: str) -> str:
    """Why nothing may be called so; empty if it may."""
    parts = path.split("/")
    if path.startswith("/") or any(part in {"", ".", ".."} or part.startswith((".", "-")) for part in parts):
        return f"it would be called {path[:300]!a}, which is no path in a Dandiset"
    if not path.isprintable():
        return f"it would be called {path[:300]!a}, with characters that cannot be printed"
    if any(len(part.encode(errors="surrogateescape")) > LONGEST_NAME for part in parts):
        return f"its name would be longer than {LONGEST_NAME} bytes; shorten its {_SOURCES}"
    if reason := refuse_upload(path):
        return f"it would be called {path}, and {reason}; write it again with another {_SOURCES}"
    return ""


def fields_in_use(paths: Iterable[str]) -> list[str]:
    """The fields that names in a Dandiset have already, so that new names have them too."""
    used = {part for path in paths if path.endswith(".nwb") for part in _PARTS.findall(path.rpartition("/")[2])}
    return [field for part, field in FIELDS.items() if part in used]
