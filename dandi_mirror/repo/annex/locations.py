"""Read all location logs of a git-annex branch at once, and record where content is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

from dandi_mirror.errors import MirrorError
from dandi_mirror.repo.annex.keys import hash_dir_lower, is_key
from dandi_mirror.repo.annex.logs import present
from dandi_mirror.repo.git.dataset import Dataset

_LOG = re.compile(r"([0-9a-f]{3}/[0-9a-f]{3})/([^/]+)\.log")
_LARGEST_LOG = 1 << 20
"""Bytes; a log that is larger counts as empty.  One line has about 60."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Places = Mapping[str, frozenset[str]]
"""Key → UUIDs of the repositories that have its content, as recorded."""


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID as git-annex writes it."""
    return _UUID.fullmatch(text) is not None


def read_locations(dataset: Dataset, commit: str | None) -> Places:
    """What the location logs of a git-annex branch say, of each key that has one.

    A log in another folder than its key's, or one that cannot be read, counts as missing: the branch may come from
    somebody else.

    Raises:
        GitError, DamagedError: git cannot read the branch.
    """
    keys: dict[str, str] = {}
    for path, (_, oid) in dataset.tree(commit).items():
        found = _LOG.fullmatch(path)
        if found and is_key(found[2]) and hash_dir_lower(found[2]) == found[1]:
            keys[found[2]] = oid
    # most logs of a branch are equal: those of a sync have the same line
    unique = list(dict.fromkeys(keys.values()))
    with dataset.reader() as reader:
        logs = reader.read(unique, _LARGEST_LOG, b"")
        places = {oid: _there(log or b"") for oid, log in zip(unique, logs, strict=True)}
    return {key: places[oid] for key, oid in keys.items()}


def _there(log: bytes) -> frozenset[str]:
    return frozenset(what for what, there in present(log).items() if there and is_uuid(what))


def read_trust(dataset: Dataset, commit: str | None) -> dict[str, str]:
    """The trust that ``trust.log`` gives to repositories: ``1`` trusted, ``0`` untrusted, ``X`` dead, by UUID."""
    return {uuid: words[0] for uuid, words in _newest(dataset, commit, "trust.log").items() if words}


def read_numcopies(dataset: Dataset, commit: str | None) -> int:
    """How many copies git-annex has to keep of each key, as ``git annex numcopies`` has set it; 1 if it has not."""
    with suppress(MirrorError), dataset.reader() as reader:
        (log,) = reader.read([f"{commit}:numcopies.log"], _LARGEST_LOG, b"") if commit else (b"",)
        lines = [line.split() for line in (log or b"").decode(errors="replace").splitlines()]
        found = max(((_time(words[0]), words[1]) for words in lines if len(words) == 2), default=(0.0, "1"))
        return max(1, int(found[1])) if found[1].isdigit() else 1
    return 1


def wanted_expression(dataset: Dataset, commit: str | None, uuid: str) -> str:
    """The expression that says which content a repository wants; empty if there is none."""
    with dataset.reader() as reader:
        (log,) = reader.read([f"{commit}:preferred-content.log"], _LARGEST_LOG, b"") if commit else (b"",)
    newest, said = -1.0, ""
    for line in (log or b"").decode(errors="replace").splitlines():
        whose, _, rest = line.partition(" ")
        text, _, stamp = rest.rpartition(" timestamp=")
        if whose == uuid and _time(stamp) >= newest:
            newest, said = _time(stamp), text
    return said


def _newest(dataset: Dataset, commit: str | None, name: str) -> dict[str, list[str]]:
    """The words of the newest line about each UUID in a log of lines ``UUID WORD… timestamp=TIME``."""
    with dataset.reader() as reader:
        (log,) = reader.read([f"{commit}:{name}"], _LARGEST_LOG, b"") if commit else (b"",)
    found: dict[str, tuple[float, list[str]]] = {}
    for line in (log or b"").decode(errors="replace").splitlines():
        uuid, *words = line.split() or [""]
        time = _time(words[-1].removeprefix("timestamp=")) if words else -1.0
        if is_uuid(uuid) and (uuid not in found or found[uuid][0] <= time):
            found[uuid] = (time, words[:-1])
    return {uuid: words for uuid, (_, words) in found.items()}


def _time(text: str) -> float:
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        return -1.0
