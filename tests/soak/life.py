"""What happens in an archive: one change after the other, at random."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from dandi_mirror.embedded import Archive, Blob, Dandiset, Refused, StoredAsset

FEWEST, MOST = 4, 9
"""Dandisets; at the ends none is deleted or made."""
FILES = 18
"""Assets of a draft at most: fewer than make a deletion look like a mistake of the archive."""
TEXTS = ("README.md", "participants.tsv", "code/notes.txt", "dataset_description.json")


class Action(NamedTuple):
    """Something that happens, and how often."""

    weight: int
    run: Callable[[Life, Dandiset], object]


class Life:
    """An archive's life; a change holds the archive's lock, so any thread may let one happen."""

    def __init__(self, archive: Archive, seed: str) -> None:
        self.archive = archive
        self.happened: Counter[str] = Counter()
        self.published: set[str] = set()
        """Ids of the assets that were ever in a version."""
        self._chance = random.Random(seed)
        self._count = 0
        for _ in range(6):
            dandiset = self._new()
            for _ in range(10):
                self.add(dandiset)

    def step(self) -> None:
        """Let one thing happen, or nothing, where the server would refuse it."""
        with self.archive.lock:
            dandiset = self._chance.choice(list(self.archive.dandisets.values()))
            name = self._chance.choices(list(ACTIONS), [action.weight for action in ACTIONS.values()])[0]
            try:
                ACTIONS[name].run(self, dandiset)
            except (Refused, IndexError):
                # an IndexError: there is nothing to choose from
                return
            self.happened[name] += 1

    def settle(self) -> None:
        """Let every checksum arrive; nothing happens afterwards."""
        for blob in self._pending():
            self.archive.compute_sha256(blob)

    # --- what happens

    def add(self, dandiset: Dandiset) -> None:
        if len(dandiset.draft) < FILES:
            free = [path for path in TEXTS if dandiset.draft.asset_at(path) is None]
            path = self._chance.choice([self._path(), *free])
            dandiset.add_asset(path, self._blob(path))

    def replace(self, dandiset: Dandiset) -> None:
        path = self._asset(dandiset).path
        dandiset.replace_asset(path, self._blob(path))

    def describe(self, dandiset: Dandiset) -> None:
        asset = self._asset(dandiset)
        subject = {"schemaKey": "Participant", "identifier": str(self._next() % 3)}
        dandiset.replace_asset(asset.path, metadata={"wasAttributedTo": [subject]})

    def rename(self, dandiset: Dandiset) -> None:
        dandiset.rename_asset(self._asset(dandiset).path, self._path())

    def swap(self, dandiset: Dandiset) -> None:
        one, other = self._asset(dandiset).path, self._asset(dandiset).path
        between = f"between/{self._next()}.nwb"
        dandiset.rename_asset(one, between)
        if one != other:
            dandiset.rename_asset(other, one)
        dandiset.rename_asset(between, other)

    def delete(self, dandiset: Dandiset) -> None:
        if len(dandiset.draft) > 2:
            dandiset.delete_asset(self._asset(dandiset).path)

    def copy(self, dandiset: Dandiset) -> None:
        blob = self._asset(dandiset).blob
        dandiset.add_asset(self._path(), blob)

    def text(self, dandiset: Dandiset) -> None:
        path = self._chance.choice([asset.path for asset in dandiset.draft if asset.path in TEXTS])
        dandiset.replace_asset(path, self._blob(path))

    def checksum(self, dandiset: Dandiset) -> None:
        self.archive.compute_sha256(self._chance.choice(self._pending()))

    def publish(self, dandiset: Dandiset) -> None:
        dandiset.check_publishable()
        # by a name of its own: the next free one of this minute may have been that of a version now gone
        version = dandiset.publish(f"0.260101.{self._next():04d}")
        self.published |= {asset.asset_id for asset in version}

    def withdraw(self, dandiset: Dandiset) -> None:
        dandiset.delete_version(self._chance.choice(dandiset.published).version)

    def title(self, dandiset: Dandiset) -> None:
        dandiset.set_metadata(dandiset.draft.given | {"name": f"Title {self._next()}"})

    def embargo(self, dandiset: Dandiset) -> None:
        # what was published is never embargoed again
        if not self.published & {asset.asset_id for asset in dandiset.draft} and not dandiset.published:
            dandiset.set_embargo("EMBARGOED")

    def open(self, dandiset: Dandiset) -> None:
        embargoed = [one for one in self.archive.dandisets.values() if not one.is_open]
        self._chance.choice(embargoed).set_embargo("OPEN")

    def create(self, dandiset: Dandiset) -> None:
        if len(self.archive.dandisets) < MOST:
            made = self._new()
            for _ in range(self._chance.randrange(8)):
                self.add(made)
            if self._chance.random() < 0.3:
                made.set_embargo("EMBARGOED")

    def remove(self, dandiset: Dandiset) -> None:
        if len(self.archive.dandisets) > FEWEST:
            self.archive.delete_dandiset(dandiset.identifier)

    # --- what it is made of

    def _new(self) -> Dandiset:
        # an id is given once
        return self.archive.create_dandiset(f"{100 + self._next():06d}", name=f"Number {self._count}")

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _asset(self, dandiset: Dandiset) -> StoredAsset:
        return self._chance.choice(list(dandiset.draft))

    def _path(self) -> str:
        number = self._next()
        return f"sub-{number % 4}/{self._chance.choice(['', 'ses-1/'])}sub-{number % 4}_{number}.nwb"

    def _blob(self, path: str) -> Blob:
        content = f"{self._next()}\n".encode() * self._chance.choice([1, 1, 50])
        return self.archive.add_blob(content, sha256_known=self._chance.random() > 0.05)

    def _pending(self) -> list[Blob]:
        return [blob for blob in self.archive.blobs.values() if blob.pending]


ACTIONS = {
    "add": Action(12, Life.add),
    "replace": Action(10, Life.replace),
    "replace text": Action(8, Life.text),
    "new metadata": Action(6, Life.describe),
    "rename": Action(10, Life.rename),
    "swap": Action(4, Life.swap),
    "delete": Action(10, Life.delete),
    "same content again": Action(4, Life.copy),
    "late checksum": Action(12, Life.checksum),
    "publish": Action(16, Life.publish),
    "withdraw a version": Action(1, Life.withdraw),
    "new title": Action(3, Life.title),
    "embargo": Action(2, Life.embargo),
    "open": Action(4, Life.open),
    "create a Dandiset": Action(4, Life.create),
    "delete a Dandiset": Action(3, Life.remove),
}
