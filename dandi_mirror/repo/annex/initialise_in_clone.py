"""Initialise git-annex in a clone while other processes may do the same, as the tasks of a job array do.

git fails at once if another process writes the repository's settings, and so does ``git annex init``.  Runs of this
program take turns.  Other programs take no part in that, so a failed attempt is repeated.
"""

from __future__ import annotations

import time

from dandi_mirror.repo.annex import settings
from dandi_mirror.repo.git.dataset import ANNEX, Dataset
from dandi_mirror.repo.git.lock import turn
from dandi_mirror.repo.git.process import GitError, git

_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds before further attempts: an attempt fails if another program writes the settings at that moment."""
_HALF = 5.0
"""Seconds: how long to wait for a program that has begun to initialise git-annex."""


def is_initialised(dataset: Dataset, config: settings.Settings) -> bool:
    """Whether git-annex is initialised, and has its branch; git-annex sets its UUID first, and the others later."""
    return bool(config.get("annex.uuid") and config.get("annex.version") and dataset.ref(ANNEX))


def initialise_in_clone(dataset: Dataset) -> None:
    """Initialise git-annex, unless another process does.

    Raises:
        DiskError, GitError: git-annex failed.
        LockedError: another run initialises it for minutes.
    """
    with turn(dataset.git_dir, f"the initialisation of git-annex in {dataset.path}"):
        _wait_for_others(dataset)
        for pause in (*_PAUSES, None):
            if is_initialised(dataset, settings.read(dataset.path)):
                return
            try:
                git(dataset.path, "annex", "init", "--quiet")
                return
            except GitError:
                if pause is None:
                    raise
                time.sleep(pause)


def _wait_for_others(dataset: Dataset) -> None:
    """Give a program that has set a UUID, and nothing else yet, time to go on: with two UUIDs, one would be lost."""
    end = time.monotonic() + _HALF
    while time.monotonic() < end:
        config = settings.read(dataset.path)
        if not config.get("annex.uuid") or is_initialised(dataset, config):
            return
        time.sleep(_PAUSES[0])
