"""Content on demand: from URLs and neighbouring repositories into git-annex's objects, fast and for many files.

What comes by the bulk transfer is placed and recorded here; what has no URL is left to git-annex, which may know of
other places.  What is told to be there is on disk and recorded.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from dandi_mirror.archive.content.scheduler import ByteCounter, DownloadOutcome, Item, TransferSettings, fetch
from dandi_mirror.archive.http.environment import refuse_request
from dandi_mirror.errors import DiskError, MirrorError, PartError
from dandi_mirror.mirror.contents.selection import Wish, fits, matching, nearest, pick
from dandi_mirror.repo.annex import content, objects
from dandi_mirror.repo.annex.clone import Clone, Facts, Tracked, copies
from dandi_mirror.repo.annex.content import Annexed
from dandi_mirror.repo.annex.logs import embargo_remote
from dandi_mirror.text import redacted

PLACED = 250
"""Files that are placed together, while others come."""
RECORDED = 4000
"""Files that are recorded and told together: to record any takes a tenth of a second."""
SOON = 20.0
"""Seconds after which what has come is recorded, however little it is."""
SHOWN = 5
"""Values of a field that are named where none is as it was asked for."""
_KEY = re.compile(r"SHA256E?-s([0-9]{1,15})--([0-9a-f]{64})(?:\.|$)")
_API = re.compile(r"/assets/[0-9a-f-]{36}/download/?$")


@dataclass(frozen=True, slots=True)
class Got:
    """What became of one file."""

    path: str
    """From the top of its dataset."""
    key: str = ""
    size: int = 0
    """Bytes; 0 if the key does not say."""
    status: str = "ok"
    """DataLad's words: ``ok``, ``notneeded``, ``impossible``, ``error``."""
    message: str = ""
    exit_code: int = 0


@dataclass(slots=True)
class Choice:
    """Which files of a clone are to come."""

    missing: list[Tracked] = field(default_factory=list)
    """In the order in which they are asked for; several may have one key."""
    here: list[Tracked] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    """Files of which nothing can come: what their links name is no key."""
    nothing: list[str] = field(default_factory=list)
    """What was asked for and means no file."""
    near: dict[str, str] = field(default_factory=dict)
    """What may have been meant by those, as far as it can be told."""
    unmet: str = ""
    """Conditions that no file meets, with the values that there are."""
    beyond: int = 0
    """Files for which the budget has no room."""

    @property
    def size(self) -> int:
        """Bytes that are to come."""
        return sum({file.key: size_of(file.key) for file in self.missing}.values())


def size_of(key: str) -> int:
    """Bytes of a key's content; 0 if it does not say."""
    found = re.match(r"[A-Z0-9_]+-s([0-9]{1,15})-", key)
    return int(found[1]) if found else 0


def choose(clone: Clone, wish: Wish, commit: str | None = None) -> Choice:
    """Which files of a commit, or of the index, a wish means."""
    listing = clone.listing(commit)
    chosen, nothing = matching(listing, wish.paths or (".",))
    meant = [file for file in clone.tracked(listing) if file.path in chosen]
    files, odd = [file for file in meant if file.key], [file.path for file in meant if not file.key]
    unmet = ""
    if wish.where:
        known = clone.fields({file.key for file in files})
        fitting = [file for file in files if fits(wish.where, known[file.key])]
        unmet = "" if fitting or not files else _said(wish.where, known.values())
        files = fitting
    has = {key: clone.has(key) for key in {file.key for file in files}}
    near = {text: found for text in nothing if (found := nearest(text, listing))}
    choice = Choice(here=[file for file in files if has[file.key]], odd=odd, nothing=nothing, near=near, unmet=unmet)
    missing = [file for file in files if not has[file.key]]
    when: Mapping[str, str] = {}
    if wish.newest and missing:
        from dandi_mirror.mirror.format.record_reader import times  # it needs much else

        when = times(clone.dataset, commit or "HEAD")
    sized = [Annexed(file.path, file.key, size_of(file.key)) for file in missing]
    order = {file.key: place for place, file in enumerate(pick(sized, when, wish.most))}
    choice.missing = sorted((file for file in missing if file.key in order), key=lambda file: order[file.key])
    choice.beyond = len(missing) - len(choice.missing)
    return choice


def _said(where: Iterable[tuple[str, tuple[str, ...]]], known: Iterable[Iterable[tuple[str, str]]]) -> str:
    """Conditions that no file meets, each with the values that there are."""
    pairs = {pair for fields in known for pair in fields}
    parts = []
    for asked, patterns in where:
        values = sorted(value for name, value in pairs if name == asked)
        shown = ", ".join(values[:SHOWN]) + (f", … ({len(values):,})" if len(values) > SHOWN else "")
        parts.append(f"{asked}:{' '.join(patterns)} (there is {shown or 'none'})")
    return ", ".join(parts)


def bring(clone: Clone, choice: Choice, access: TransferSettings, jobs: int, meter: ByteCounter) -> Iterator[Got]:
    """Bring what is missing; each file when it is there and recorded, or with what is wrong.

    Raises:
        DiskError: the disk is full or not ours to write; what was complete is recorded.
    """
    work = _Work(clone, choice, access)
    yield from work.mend()
    if not choice.missing:
        return
    work.check_room()
    with closing(fetch(work.items(access), access, jobs=jobs, meter=meter)) as outcomes:
        try:
            for outcome in outcomes:
                yield from work.take(outcome)
        finally:
            admitted = work.admit()
        yield from admitted
    yield from work.leave_to_git_annex()


class _Work:
    """One clone's part of a run."""

    def __init__(self, clone: Clone, choice: Choice, access: TransferSettings) -> None:
        self._clone = clone
        # the special remote would ask the API in the same way
        self._asked = {embargo_remote(access.api_url)[0]}
        self._choice = choice
        self._partials = clone.git_dir / "annex" / "dandi-mirror"
        self._files: dict[str, list[Tracked]] = {}
        for file in choice.missing:
            self._files.setdefault(file.key, []).append(file)
        self._facts: Mapping[str, Facts] = dict(clone.facts(self._files))
        self._neighbours = clone.neighbours()
        self._arrived: list[objects.Arrived] = []
        self._placed: list[str] = []
        self._since = time.monotonic()
        self._left: dict[str, MirrorError | None] = {}

    def mend(self) -> Iterator[Got]:
        """What is here: a run that was killed may have left it unrecorded, or unlocked files without it."""
        clone, here = self._clone, self._choice.here
        known = dict(clone.facts({file.key for file in here}))
        objects.record(clone, [key for key, facts in known.items() if clone.uuid not in facts.places])
        objects.populate(clone, [file for file in here if file.pointer and not objects.is_populated(clone, file)])
        for key in known:
            (self._partials / key).unlink(missing_ok=True)
        yield from (Got(file.path, file.key, size_of(file.key), "notneeded") for file in here)

    def check_room(self) -> None:
        """Refuse what cannot fit, before anything is fetched."""
        try:
            self._partials.mkdir(parents=True, exist_ok=True)
            disk = os.statvfs(self._partials)
            there = sum(file.stat().st_blocks * 512 for file in self._partials.iterdir())
        except OSError as error:
            raise DiskError.of(self._partials, error) from error
        free = disk.f_bavail * disk.f_frsize + there
        if self._choice.size > free:
            raise DiskError(
                f"{self._clone.path}: {self._choice.size:,} bytes are to come and {free:,} are free; make room, or set "
                "--max-size"
            )

    def items(self, access: TransferSettings) -> Iterator[Item]:
        """What the bulk transfer can bring; the rest is noted for git-annex."""
        for key, facts in self._facts.items():
            found = _KEY.match(key)
            refused = {url: why for url in facts.urls if (why := refuse_request(url, access.allowed))}
            urls = tuple(sorted((url for url in facts.urls if url not in refused), key=_last))
            places = tuple(copy for uuid, place in self._neighbours.items() if uuid in facts.places
                           for copy in copies(place, key))  # fmt: skip
            if not found or not self._clone.plain or not (urls or places):
                self._left[key] = PartError(next(iter(refused.values()))) if refused else None
                continue
            yield Item(urls, int(found[1]), found[2], self._partials / key, places)

    def take(self, outcome: DownloadOutcome) -> Iterator[Got]:
        """Keep what has come; what was admitted with it."""
        key = outcome.item.partial.name
        if outcome.error is not None:
            if self._facts[key].places & self._clone.remotes() - set(self._neighbours) - self._asked:
                self._left[key] = outcome.error
            else:
                yield from self._failed(key, outcome.error)
            return
        self._arrived.append(objects.Arrived(key, outcome.item.partial))
        if len(self._placed) + len(self._arrived) >= RECORDED or time.monotonic() - self._since > SOON:
            yield from self.admit()
        elif len(self._arrived) >= PLACED:
            self._place()

    def _place(self) -> None:
        arrived, self._arrived = self._arrived, []
        try:
            objects.place(self._clone, arrived)
        except BaseException:
            # some may be
            arrived = [content for content in arrived if self._clone.has(content.key)]
            raise
        finally:
            self._placed += [content.key for content in arrived]

    def admit(self) -> list[Got]:
        """Place what has come, and record what is placed."""
        self._place()
        placed, self._placed, self._since = self._placed, [], time.monotonic()
        objects.record(self._clone, placed)
        files = [file for key in placed for file in self._files[key]]
        objects.populate(self._clone, [file for file in files if file.pointer])
        return [Got(file.path, file.key, size_of(file.key)) for file in files]

    def leave_to_git_annex(self) -> Iterator[Got]:
        """Let git-annex bring what no URL gave; from the web only keys whose URLs were neither tried nor refused here.

        git-annex would ask a refused URL through a proxy, which can reach what this machine must not.
        """
        for web in (True, False):
            keys = [key for key, error in self._left.items() if (error is None) == web]
            for key, reason in content.get(self._clone.path, keys, None, web=web) if keys else ():
                if reason:
                    yield from self._failed(key, self._left[key] or PartError(redacted(reason)[:300]))
                else:
                    yield from (Got(file.path, key, size_of(key)) for file in self._files[key])

    def _failed(self, key: str, error: MirrorError) -> Iterator[Got]:
        for file in self._files[key]:
            yield Got(file.path, key, size_of(key), "error", str(error), error.exit_code)


def _last(url: str) -> bool:
    """The API's URLs come after those of S3."""
    return _API.search(url) is not None


def paths_of(folder: Path, texts: Iterable[str]) -> list[str]:
    """Paths as they are typed here, from the top of ``folder``'s work tree."""
    return [os.path.relpath(os.path.abspath(text), folder) for text in texts]  # noqa: PTH100
