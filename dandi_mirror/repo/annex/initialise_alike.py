"""What git-annex wrote when it initialised one dataset, for the next ones that this process makes beside it.

``git annex init`` looks at the disk and starts a dozen programs.  Beside a dataset that it has just done, it would
find the same again.  Only the UUID, the description and the marker by which it knows its disk again differ.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from dandi_mirror.errors import DiskError
from dandi_mirror.files.opening import read_text
from dandi_mirror.files.own import OwnPath
from dandi_mirror.repo.git.dataset import Dataset

_LOG = "annex/journal-private/uuid.log"
_MARKER, _MARKER_FACTS = "annex/sentinal", "annex/sentinal.cache"
_MADE_LATER = re.compile(r"annex/(.*\.lck|index|mergedrefs|keysdb/db|fsck/fsckdb/db|verified-remote\.log)")
"""What git-annex makes again when it first needs it."""
_FILES = re.compile(r"hooks/[a-z-]+|info/attributes")
_WHEN = 1_700_000_000_123_456_789  # nanoseconds
_UUID = re.compile(r"^\tuuid = ([0-9a-f-]{36})$", re.MULTILINE)

_kept: dict[tuple[tuple[str, int], Hashable], _Initialised] = {}


@dataclass(frozen=True, slots=True)
class _Initialised:
    before: str
    """git's settings before git-annex was initialised."""
    config: str
    """git's settings afterwards."""
    uuid: str
    files: dict[str, tuple[str, int]]
    """Other files of the git folder: their content, and their permissions."""


def keep(dataset: Dataset, description: str, like: Hashable, before: str) -> None:
    """Keep what git-annex has written in a dataset, if all of it is known; ``before`` are the settings before.

    Datasets of the same folder and ``like`` are initialised in the same way.
    """
    with suppress(OSError, ValueError, IndexError):
        if found := _read(dataset.git_dir, description, before):
            _kept[_place(dataset), like] = found


def repeat(dataset: Dataset, description: str, like: Hashable) -> bool:
    """Initialise a new dataset as the one before it; false if that is not possible.

    Raises:
        DiskError: a file cannot be written.
    """
    known = _kept.get((_place(dataset), like))
    if not known or (dataset.git_dir / "annex").exists() or read_text(dataset.git_dir / "config") != known.before:
        return False
    uuid, top = str(uuid4()), dataset.git_dir
    try:
        for name, (content, mode) in known.files.items():
            _own(top, name).replace(content.encode(), mode=mode, to_disk=False)
        _own(top, _LOG).replace(_log(uuid, description, int(time.time())).encode(), to_disk=False)
        marker = _own(top, _MARKER)
        marker.replace(b"", to_disk=False)
        # releases of git-annex differ in how they write zeros at the ends of a fraction
        os.utime(marker.path, ns=(_WHEN, _WHEN), follow_symlinks=False)
        _own(top, _MARKER_FACTS).replace(" ".join(_facts(marker.path)).encode(), to_disk=False)
        # last, and as a whole: before this, the dataset counts as not initialised
        _own(top, "config").replace(known.config.replace(known.uuid, uuid).encode())
    except OSError as error:
        raise DiskError.of(top, error) from error
    return True


def _read(top: Path, description: str, before: str) -> _Initialised | None:
    config = read_text(top / "config")
    uuids = _UUID.findall(config)
    if len(uuids) != 1 or config.count(uuids[0]) != 1 or not config.startswith(before):
        return None
    files: dict[str, tuple[str, int]] = {}
    for folder in ("annex", "hooks", "info"):
        for place in (top / folder).rglob("*"):
            name = place.relative_to(top).as_posix()
            if _FILES.fullmatch(name):
                files[name] = read_text(place), place.lstat().st_mode & 0o777
            elif not (place.is_dir() or name in {_LOG, _MARKER, _MARKER_FACTS} or _MADE_LATER.fullmatch(name)):
                return None
    said = re.fullmatch(r"(.* timestamp=\d+)(?:\.\d+)?s\n", read_text(top / _LOG))  # an old git-annex writes fractions
    if not said or f"{said[1]}s\n" != _log(uuids[0], description, int(said[1].rpartition("=")[2])):
        return None
    noted, facts = read_text(top / _MARKER_FACTS).split(), _facts(top / _MARKER)
    is_known = noted[:3] == facts[:3] and noted[3].strip("0") == facts[3].strip("0")
    return _Initialised(before, config, uuids[0], files) if is_known else None


def _place(dataset: Dataset) -> tuple[str, int]:
    above = dataset.path.parent
    return str(above), above.stat().st_dev


def _own(top: Path, name: str) -> OwnPath:
    return OwnPath(top, tuple(name.split("/")))


def _log(uuid: str, description: str, seconds: int) -> str:
    return f"{uuid} {description} timestamp={seconds}s\n"


def _facts(marker: Path) -> list[str]:
    """What git-annex notes of its marker: if that has moved to another disk, so have all files."""
    found = os.lstat(marker)
    seconds, nanoseconds = divmod(found.st_mtime_ns, 1_000_000_000)
    return [str(found.st_ino), str(found.st_size), str(seconds), f"{nanoseconds:09}"]
