"""The annex logs of a first sync, imported while its pages still come.

They are three of four objects that a first sync writes, and git has nothing else to do while the archive is
read.  What is seen of a listing that then does not hold still is put right at its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from dandi_mirror.mirror.format.log_changes import KeyLogs, Places, changed_logs, joined, key_facts, say_the_same
from dandi_mirror.mirror.format.tree import Place, is_text
from dandi_mirror.model import Asset, Instance
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.branch import Stage
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.stream import Commit, Importer

LARGE = 5000
"""Assets; with fewer, nothing is gained."""


class EarlyLogs:
    """Logs of keys, written as soon as they are known; for a dataset that has no git-annex branch yet."""

    def __init__(self, importer: Importer, instance: Instance, dandiset: str, now: datetime) -> None:
        self.importer = importer
        self._instance = instance
        self._dandiset = dandiset
        self._now = now
        self._written: dict[str, tuple[Place, ...]] = {}
        self._stage = Stage(importer, now, {})

    def take(self, asset: Asset) -> None:
        """Write the logs of one more asset that was listed."""
        if is_text(asset.path, asset.size):
            return  # not annexed, if its content comes
        before = self._written.get(asset.key, ())
        if (places := joined(before, asset)) is not before:
            self._write(asset.key, places)

    def settle(self, places: Places, now: datetime) -> None:
        """Make what was written that of the keys of ``places``, at the archive's time ``now``; ends the stage."""
        moved, self._now = self._now != now, now
        for key, there in places.items():
            if moved or not say_the_same(there, self._written.get(key, ())):
                self._write(key, there)
        for key in self._written.keys() - places.keys():
            for path in KeyLogs.of(key).paths:
                self._stage.remove(path)
        self._stage.close()

    def finish(self, commit: Commit) -> None:
        """Import the first commit of the git-annex branch."""
        remote = logs.with_remote(b"", *logs.api_remote(self._instance.api_url), logs.Stamp.of(self._now))
        self._stage.graft(commit, [("remote.log", remote)])

    def _write(self, key: str, places: tuple[Place, ...]) -> None:
        self._written[key] = places
        facts = key_facts(self._instance, self._dandiset, places, ())
        for path, content in changed_logs(KeyLogs.of(key), facts, {}, logs.Stamp.of(self._now)):
            self._stage.put(path, content)


@contextmanager
def early_logs(dataset: Dataset, branch: str, instance: Instance, dandiset: str, now: datetime) -> Iterator[EarlyLogs]:
    """Begin the import of a first sync into a dataset, which is made if it is not there.

    A dataset that was made for it goes with it, where the archive does not give what it is to hold.
    """
    made = not dataset.path.exists()
    dataset.create(branch)
    try:
        with dataset.importing() as importer:
            yield EarlyLogs(importer, instance, dandiset, now)
    except Exception:
        if made and not dataset.refs():
            dataset.remove()
        raise
