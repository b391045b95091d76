"""The runs: an archive that changes between and during requests, faults, and what came of it."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.embedded import Archive, Request, Server, serve
from dandi_mirror.mirror.sync import steps
from dandi_mirror.mirror.sync.eager_logs import LARGE
from dandi_mirror.model import ABSENT
from tests.conftest import MirrorOfTest, own_home
from tests.soak import judge
from tests.soak.life import Life
from tests.support import kinds
from tests.support.proxy import Exchange, Fault, Proxy, proxy_of
from tests.support.running import Ran, impatient, sync

PAGE = 5
HASTY = RetryPolicy(attempts=2, backoff=0.02, read_timeout=0.4, total_timeout=0.8)
NEEDS_NO_HAND = {0, 3, 4, 5}
"""Exit codes of runs after which the next one is all it takes."""
CHANGES = 4
"""So many changes of the archive happen at least."""
SETTLES = 3
"""Runs in which a mirror catches up with an archive that has come to rest."""


@dataclass(slots=True)
class Soaked:
    """What came of a campaign."""

    seed: int
    seconds: float = 0.0
    codes: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    during: int = 0
    """Changes while a run was asking."""
    settled_after: int = 0
    """Runs after the last change until one had nothing to do."""
    tags: int = 0
    datasets: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Weather:
    """How rough a run is: how likely each request meets a change or a fault."""

    change: float
    fault: float

    @classmethod
    def of(cls, chance: random.Random) -> Weather:
        """Calm, windy or stormy."""
        return chance.choice([cls(0.0, 0.0), cls(0.02, 0.0), cls(0.0, 0.02), cls(0.05, 0.05), cls(0.3, 0.0)])


class Campaign:
    """One archive and one mirror of it."""

    def __init__(self, folder: Path, server: Server, proxy: Proxy, seed: int) -> None:
        self.archive = server.archive
        self.mirror = MirrorOfTest(folder / "mirror", server)
        self.fresh = MirrorOfTest(folder / "fresh", server)
        self.proxy = proxy
        self.chance = random.Random(f"{seed} runs")
        self.struck = random.Random(f"{seed} faults")
        self.life = Life(self.archive, f"{seed} life")
        self.soaked = Soaked(seed, happened=self.life.happened)
        self._server = server

    def run(self, number: int) -> None:
        """Some changes, and a run in some weather."""
        for _ in range(self.chance.choice([0, 1, 3, 8])):
            self.life.step()
        # by chance, a short campaign would have none
        while self.life.happened.total() < CHANGES:
            self.life.step()
        before = judge.tags_of(self.mirror)
        arguments = ["-J", str(self.chance.randint(1, 4))]
        arguments += ["--mode", self.chance.choices(["auto", "force", "verify"], [18, 1, 1])[0]]
        if self.chance.random() < 0.05:
            (self.mirror.path / ".dandi-mirror" / "index.sqlite").unlink(missing_ok=True)
        with self._weather(Weather.of(self.chance)), impatient(HASTY, PAGE), pytest.MonkeyPatch.context() as patch:
            # half of the first syncs write while they read, as only those of large Dandisets would
            patch.setattr(steps, "LARGE", self.chance.choice([0, LARGE]))
            ran = sync(self.mirror.path, self.proxy.api_url, "--all", *arguments)
        self.soaked.codes[ran.code] += 1
        problems = [*_wrong(ran), *judge.lost(before, judge.tags_of(self.mirror))]
        self.soaked.problems += [f"run {number} ({' '.join(arguments)}): {problem}" for problem in problems]

    def settle(self) -> None:
        """Let the archive come to rest, and the mirror catch up."""
        self.life.settle()
        before = judge.tags_of(self.mirror)
        for number in range(1, SETTLES + 1):
            with impatient(RetryPolicy(attempts=2, backoff=0.1), PAGE):
                ran = sync(self.mirror.path, self.proxy.api_url, "--all")
            self.soaked.problems += [f"at rest, run {number}: {problem}" for problem in _wrong(ran)]
            if self._at_rest(ran):
                break
        else:
            self.soaked.problems.append(f"not at rest after {SETTLES} runs: {_told(ran)}")
        self.soaked.settled_after = number
        self.soaked.problems += judge.lost(before, judge.tags_of(self.mirror))

    def _at_rest(self, ran: Ran) -> bool:
        """Whether a run had nothing to do for what is open, and says of all else only that it is not."""
        open_ones = {name for name, dandiset in self.archive.dandisets.items() if dandiset.is_open}
        others = [record for name, record in ran.records.items() if name not in open_ones]
        gone = [
            {finding["kind"] for finding in record["findings"]} & ABSENT for record in others if record["exit_code"]
        ]
        here = [ran.records.get(name, {}) for name in open_ones]
        quiet = all((record.get("status"), record.get("exit_code")) == ("notneeded", 0) for record in here)
        return quiet and all(gone) and ran.code == (3 if gone else 0)

    def judge(self) -> None:
        """Compare with the archive, and with a mirror that was made now."""
        with impatient(RetryPolicy(attempts=2, backoff=0.1), PAGE):
            ran = sync(self.fresh.path, self.proxy.api_url, "--all")
        if ran.code:
            self.soaked.problems.append(f"a fresh mirror: {_told(ran)}")
        found = judge.not_as_it_should_be(self.archive, self.mirror, self.fresh, self.life.published)
        self.soaked.problems += found
        self.soaked.tags = len(judge.tags_of(self.mirror))
        self.soaked.datasets = len(judge.datasets_of(self.mirror.path))

    @contextmanager
    def _weather(self, weather: Weather) -> Iterator[None]:
        self._server.intercept = lambda request: self._change(request, weather.change)
        self.proxy.choose = lambda asked: self._fault(asked, weather.fault)
        try:
            yield
        finally:
            self._server.intercept = None
            self.proxy.choose = lambda asked: None
            self.proxy.up()

    def _change(self, request: Request, likely: float) -> None:
        if self.struck.random() < likely:
            self.life.step()
            self.soaked.during += 1

    def _fault(self, asked: Exchange, likely: float) -> Fault | None:
        if self.struck.random() >= likely:
            return None
        name = self.struck.choice([*kinds.PERSISTENT, kinds.ELSEWHERE])
        self.soaked.faults[name] += 1
        if name == kinds.ELSEWHERE:
            return kinds.elsewhere(f"{self.proxy.origin}/elsewhere")
        away = name == "connection refused" and self.struck.random() < 0.8
        return kinds.refused_once if away else kinds.PERSISTENT[name]


def _wrong(ran: Ran) -> Iterator[str]:
    """What a run says that would have a person come."""
    if ran.code not in NEEDS_NO_HAND:
        yield f"exit {ran.code}: {_told(ran)}"
    for dandiset, record in ran.records.items():
        if "unexpected" in record["message"] or "--allow-deletes" in record["message"]:
            yield f"{dandiset}: {record['message']}"


def _told(ran: Ran) -> str:
    told = [ran.message, *(f"{name}: {ran.said(name)}" for name in ran.records if ran.said(name))]
    return " / ".join(filter(None, told))[:2000]


@contextmanager
def begin(seed: int, folder: Path | None = None) -> Iterator[Campaign]:
    """A campaign in a home and a temporary folder of its own."""
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for variable, value in own_home(Path(name) / "home").items():
            patch.setenv(variable, value)
        archive = Archive(seed=seed)
        server = stack.enter_context(serve(archive))
        proxy = stack.enter_context(proxy_of(server))
        archive.at(proxy.origin)
        yield Campaign(Path(name), server, proxy, seed)


def soak(runs: int, seed: int, folder: Path | None = None) -> Soaked:
    """A whole campaign."""
    began = time.monotonic()
    with begin(seed, folder) as campaign:
        for number in range(1, runs + 1):
            campaign.run(number)
        campaign.settle()
        campaign.judge()
    campaign.soaked.seconds = time.monotonic() - began
    return campaign.soaked
