"""Write presence into the location logs of many keys with one import, beside a git-annex that may write, too."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime

from dandi_mirror.repo.annex.branch import MANY, import_logs
from dandi_mirror.repo.annex.journal import held_journal, journal_name
from dandi_mirror.repo.annex.keys import hash_dir_lower
from dandi_mirror.repo.annex.logs import Stamp, location_path, with_presence, with_remote
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import ANNEX, TEMPORARY, ZERO, RefChange
from dandi_mirror.repo.git.process import GitError, git
from dandi_mirror.repo.git.stream import Commit

Presence = Mapping[str, Mapping[str, bool]]
"""Key → UUID → whether that repository has its content."""
_TRIES = 3
"""Attempts to move the branch, because somebody else may move it at the same time."""
_DESCRIPTIONS = "uuid.log"


def record_presence(
    clone: AnnexRepository,
    presence: Presence,
    descriptions: Mapping[str, str] | None = None,
    ready: Callable[[], object] = lambda: None,
) -> None:
    """Record where content is; on disk when this returns.

    ``descriptions`` are names for repositories that have none yet, by UUID.  ``ready`` is called before the branch
    is moved.

    Raises:
        DiskError, GitError: the logs cannot be written.
    """
    theirs = presence
    if clone.plain:
        with held_journal(clone.git_dir) as waiting:
            # git-annex will later write the logs in its journal over those of the branch
            theirs = {key: places for key, places in presence.items() if _is_in(waiting, key)}
            ours = {key: places for key, places in presence.items() if key not in theirs}
            _write(clone, ours, {} if _DESCRIPTIONS in waiting else descriptions or {}, ready)
    _by_git_annex(clone, theirs)


def _write(
    clone: AnnexRepository, presence: Presence, descriptions: Mapping[str, str], ready: Callable[[], object]
) -> None:
    """Write logs with one import.  Only under the journal's lock."""
    dataset, now = clone.dataset, datetime.now(UTC)
    paths = {location_path(hash_dir_lower(key), key): key for key in presence}
    for attempt in range(1, _TRIES + 1):
        base = dataset.ref(ANNEX)
        changed = [
            (path, new)
            for path, log in clone.locations(list(paths)).items()
            if (new := with_presence(log, Stamp.of(now), presence[paths[path]])) != log
        ]
        top = _described(clone, descriptions, Stamp.of(now))
        if not changed and not top:
            return
        temporary = f"{TEMPORARY}get-{os.getpid()}"
        with dataset.importing() as importer:
            folders = dataset.folders(base) if len(changed) >= MANY else {}
            import_logs(importer, Commit(temporary, now, "update\n", base=base), [*changed, *top], folders)
            importer.finish()
            made = dataset.ref(temporary)
            assert made
            ready()
            try:
                dataset.move_refs([RefChange(ANNEX, made, base), RefChange(temporary, ZERO, made)])
                clone.moved(made, dict(changed))
                return
            except GitError:
                dataset.drop_refs([temporary])
                if attempt == _TRIES or dataset.ref(ANNEX) == base:
                    raise


def _described(clone: AnnexRepository, descriptions: Mapping[str, str], stamp: Stamp) -> list[tuple[str, bytes]]:
    """The log of descriptions, if it changes."""
    if not descriptions:
        return []
    before = after = clone.logs([_DESCRIPTIONS])[_DESCRIPTIONS]
    for uuid, words in descriptions.items():
        after = with_remote(after, uuid, words, stamp)
    return [] if after == before else [(_DESCRIPTIONS, after)]


def _is_in(journal: Container[str], key: str) -> bool:
    return journal_name(location_path(hash_dir_lower(key), key)) in journal


def _by_git_annex(clone: AnnexRepository, presence: Presence) -> None:
    lines = [f"{key} {uuid} {int(there)}\n" for key, places in presence.items() for uuid, there in places.items()]
    if lines:
        git(clone.path, "annex", "setpresentkey", "--batch", stdin="".join(lines).encode())
