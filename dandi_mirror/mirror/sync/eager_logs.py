"""The git-annex logs of a first sync, imported while the listing still comes.

Three of four objects that a first sync writes are logs, and git has nothing else to do in that time.  If the draft
changes meanwhile, :meth:`EagerLogs.settle` corrects the logs at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from dandi_mirror.mirror.format.log_changes import KeyLogs, KeyUses, changed_logs, joined, key_facts, say_the_same
from dandi_mirror.mirror.format.tree import KeyUse, is_text
from dandi_mirror.model import Asset, Instance
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.branch import Stage
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.importer import Importer
from dandi_mirror.repo.git.stream import Commit

LARGE = 5000
"""Assets; with fewer, this gains nothing."""


class EagerLogs:
    """Writes the logs of each key as soon as an asset has it; for a dataset that has no git-annex branch yet."""

    def __init__(self, importer: Importer, instance: Instance, dandiset: str, now: datetime) -> None:
        self.importer = importer
        self._instance = instance
        self._dandiset = dandiset
        self._now = now
        self._written: dict[str, tuple[KeyUse, ...]] = {}
        self._stage = Stage(importer, now, {})

    def take(self, asset: Asset) -> None:
        """Write the logs of one more asset."""
        if asset.zarr or is_text(asset.path, asset.size):
            return  # a repository of its own has it; or git itself, if it comes
        before = self._written.get(asset.key, ())
        if (uses := joined(before, asset)) is not before:
            self._write(asset.key, uses)

    def settle(self, planned: KeyUses, now: datetime) -> None:
        """Correct the logs to those of ``planned``, at the archive's time ``now``; no more follow after that."""
        moved, self._now = self._now != now, now
        for key, uses in planned.items():
            if moved or not say_the_same(uses, self._written.get(key, ())):
                self._write(key, uses)
        for key in self._written.keys() - planned.keys():
            for path in KeyLogs.of(key).paths:
                self._stage.remove(path)
        self._stage.close()

    def finish(self, commit: Commit) -> None:
        """Import the first commit of the git-annex branch."""
        remote = logs.with_remote(b"", *logs.api_remote(self._instance.api_url), logs.Stamp.of(self._now))
        self._stage.graft(commit, [("remote.log", remote)])

    def _write(self, key: str, uses: tuple[KeyUse, ...]) -> None:
        self._written[key] = uses
        facts = key_facts(self._instance, self._dandiset, uses, ())
        for path, content in changed_logs(KeyLogs.of(key), facts, {}, logs.Stamp.of(self._now)):
            self._stage.put(path, content)


@contextmanager
def eager_logs(dataset: Dataset, branch: str, instance: Instance, dandiset: str, now: datetime) -> Iterator[EagerLogs]:
    """Begin the import of a first sync into a dataset; make the dataset if it does not exist.

    If the sync fails, the dataset that was made for it is removed again.
    """
    made = not dataset.path.exists()
    dataset.create(branch)
    try:
        with dataset.importing() as importer:
            yield EagerLogs(importer, instance, dandiset, now)
    except Exception:
        if made and not dataset.refs():
            dataset.remove()
        raise
