"""One history: an archive whose clock moves by leaps, and two mirrors that look at it at the same times."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dandi_mirror.embedded import Archive, Blob, Refused, Request, Zarr, serve
from dandi_mirror.mirror.sync import newest
from dandi_mirror.model import Finding, Report
from tests.conftest import MirrorOfTest
from tests.support.dandisets import participant
from tests.support.zarrs import a_zarr, change

FILES = 45
LEAPS = [timedelta(0), timedelta(microseconds=1), timedelta(seconds=2), timedelta(minutes=40), timedelta(days=9)]
ASSETS = "/versions/draft/assets/"


class Interrupted(BaseException):
    """A run ends in the middle."""


@dataclass
class Clock:
    """The archive's."""

    now: datetime = datetime(2024, 1, 1, tzinfo=UTC)


class History:
    """A Dandiset that changes at random, a mirror that reads what is new, and one that reads everything."""

    def __init__(self, seed: int, clock: Clock, mirrors: tuple[MirrorOfTest, MirrorOfTest]) -> None:
        self.choose = random.Random(seed)
        self.mirror, self.whole = mirrors
        self.archive = self.mirror.server.archive
        self.clock = clock
        self.happened: Counter[str] = Counter()
        self.spared = 0
        """Syncs that did not read the whole listing."""
        self._tagged_untold: set[str] = set()
        self._count = 0
        self._gone: list[tuple[str, Blob]] = []
        self.dandiset = self.archive.create_dandiset("000123", name="A test")
        self._zarrs = list(self._begin(with_zarr=seed % 5 == 0))

    def _begin(self, *, with_zarr: bool) -> Iterator[Zarr]:
        for number in range(FILES):
            metadata = participant(f"m{number % 4}") | {"description": "word " * 150}
            self.dandiset.add_asset(f"sub-{number % 4}/{number}.nwb", self._blob(), metadata=metadata)
            self.leap(timedelta(hours=5))
        if with_zarr:
            yield a_zarr(self.dandiset, "sub-0/x.zarr", {"0": b"0"})

    def leap(self, by: timedelta | None = None) -> None:
        """Let time pass; now and then the server's clock steps back a little."""
        step = self.choose.choice(LEAPS) if by is None else by
        if by is None and self.choose.random() < 0.1:
            step = -timedelta(seconds=self.choose.randrange(1, 600))
        self.clock.now += step

    def rounds(self, count: int) -> Iterator[str]:
        """Changes and syncs; what differs between the mirrors afterwards.

        In the last one something changes while the first mirror reads; then the times of commits may differ.
        """
        for _ in range(count - 1):
            self._change()
            if self.choose.random() < 0.2:
                self._interrupt()
            yield from self._sync("")
        self._change()
        self.mirror.server.intercept = self._while_read()
        yield from self._sync("^{tree}")

    def _change(self) -> None:
        # never the time of the last change to the letter, or the Dandiset's list entry would be as before
        self.clock.now += timedelta(microseconds=self.choose.randrange(10, 99_000))
        for _ in range(self.choose.choice([1, 1, 2, 4, 9])):
            self.step()

    def _sync(self, what: str) -> Iterator[str]:
        self.mirror.server.requests.clear()
        reports = [self.mirror.sync(allow_deletes=True)]
        asked = [request for request in self.mirror.server.requests if request.path.endswith(ASSETS)]
        self.spared += bool(asked) and all(request.params["order"] == "-modified" for request in asked)
        self.mirror.server.intercept = None
        reports.append(self.whole.sync(mode="force", allow_deletes=True))
        if self._told(reports[0]) != self._told(reports[1]) or reports[0].status == "error":
            yield f"{reports[0]}, {reports[1]}"
        refs = [self._refs(mirror, what) for mirror in (self.mirror, self.whole)]
        yield from (str(differing) for differing in sorted(refs[0] ^ refs[1]))

    def _told(self, report: Report) -> list[Finding]:
        """What a sync found, without what only the run that tagged a version tells: that may have been interrupted."""
        return [finding for finding in report.findings if f"refs/tags/{finding.version}" not in self._tagged_untold]

    def _refs(self, mirror: MirrorOfTest, what: str) -> set[tuple[str, str]]:
        names = mirror.refs()
        return {(name, mirror.git("rev-parse", f"{name}{what}")) for name in names} if what else {*names.items()}

    def step(self) -> None:
        """Let one thing happen, or nothing, where the server would refuse it."""
        name = self.choose.choices(list(ACTIONS), [weight for weight, _ in ACTIONS.values()])[0]
        self.leap()
        try:
            ACTIONS[name][1](self)
        except (Refused, IndexError):
            return
        self.happened[name] += 1

    def _interrupt(self) -> None:
        left, before = self.choose.randrange(1, 7), set(self.mirror.refs())

        def progress(dandiset: str, doing: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Interrupted

        try:
            self.mirror.sync(allow_deletes=True, progress=progress)
        except Interrupted:
            self.happened["interrupted run"] += 1
            self._tagged_untold |= set(self.mirror.refs()) - before

    def _while_read(self) -> Callable[[Request], None]:
        changes = iter([self.replace])

        def changing(request: Request) -> None:
            if request.path.endswith(ASSETS) and (happen := next(changes, None)):
                self.clock.now += timedelta(seconds=1)
                happen()
                self.happened["change while it is read"] += 1

        return changing

    # --- what happens

    def add(self) -> None:
        self.dandiset.add_asset(self._path(), self._blob(), metadata=participant("new"))

    def replace(self) -> None:
        self.dandiset.replace_asset(self._old(), self._blob())

    def describe(self) -> None:
        self.dandiset.replace_asset(self._old(), metadata=participant(str(self.choose.random())))

    def rename(self) -> None:
        self.dandiset.rename_asset(self._old(), self._path())

    def swap(self) -> None:
        one, other = self._old(), self._old()
        self.dandiset.rename_asset(one, "between.nwb")
        if one != other:
            self.dandiset.rename_asset(other, one)
        self.dandiset.rename_asset("between.nwb", other)

    def delete(self) -> None:
        path = self._old()
        asset = self.dandiset.draft.asset_at(path)
        if len(self.dandiset.draft) > FILES - 10 and asset and asset.blob:
            self.dandiset.delete_asset(path)
            self._gone.append((path, asset.blob))

    def come_back(self) -> None:
        path, blob = self._gone.pop()
        self.dandiset.add_asset(path, blob)

    def text(self) -> None:
        self.dandiset.add_asset(f"{self._path()}.json", self.archive.add_blob(b'{"a": %d}\n' % self._count))

    def refused(self) -> None:
        self.dandiset.add_asset(f".git/{self._path()}", self._blob(), unchecked=True)

    def clash(self) -> None:
        self.dandiset.add_asset(f"{self._old()}/below", self._blob(), unchecked=True)

    def checksum(self) -> None:
        self.archive.compute_sha256(self.choose.choice([blob for blob in self.archive.blobs.values() if blob.pending]))

    def title(self) -> None:
        self.dandiset.set_metadata(self.dandiset.draft.given | {"name": f"Title {self._next()}"})

    def publish(self) -> None:
        if not self.dandiset.draft.totals.pending:
            self.dandiset.publish(f"0.240101.{self._next():04d}", unchecked=True)

    def zarr(self) -> None:
        change(self.choose.choice(self._zarrs), {"0": self.choose.randbytes(4)})

    # --- what it is made of

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _old(self) -> str:
        return self.choose.choice([asset.path for asset in self.dandiset.draft if asset.blob])

    def _path(self) -> str:
        return f"sub-{self.choose.randrange(4)}/new-{self._next()}.nwb"

    def _blob(self) -> Blob:
        content = self.choose.randbytes(self.choose.choice([8, 8, 9, 20]))
        return self.archive.add_blob(content, sha256_known=not self.happened or self.choose.random() > 0.1)


ACTIONS: dict[str, tuple[int, Callable[[History], None]]] = {
    "add": (12, History.add),
    "replace": (14, History.replace),
    "new metadata": (10, History.describe),
    "rename": (3, History.rename),
    "swap": (5, History.swap),
    "delete": (4, History.delete),
    "come back": (4, History.come_back),
    "text": (3, History.text),
    "refused path": (1, History.refused),
    "file and folder": (1, History.clash),
    "late checksum": (6, History.checksum),
    "new title": (3, History.title),
    "publish": (4, History.publish),
    "new state of a Zarr": (4, History.zarr),
}


@contextmanager
def begun(seed: int, folder: Path) -> Iterator[History]:
    """A history at its beginning, both mirrors having seen it; drafts this small count as large."""
    before, newest.FEWEST, newest.BEHIND = (newest.FEWEST, newest.BEHIND), 8, 3
    clock = Clock()
    try:
        with serve(Archive(instance_name="DANDI", seed=seed, clock=lambda: clock.now)) as server:
            mirrors = MirrorOfTest(folder / "mirror", server), MirrorOfTest(folder / "whole", server)
            history = History(seed, clock, mirrors)
            for mirror in mirrors:
                mirror.sync()
            yield history
    finally:
        newest.FEWEST, newest.BEHIND = before
