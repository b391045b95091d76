"""Download annexed content into a clone, from URLs and from repositories on this machine.

The bulk transfer fetches files that have a URL; this module puts them among git-annex's objects and records them.
git-annex gets the others, for it may know further repositories.  A file is reported only when it is on disk and
recorded.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

from dandi_mirror.archive.content.scheduler import fetch
from dandi_mirror.archive.content.single import ByteCounter, DownloadOutcome, Item
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.archive.http.environment import RequestRule
from dandi_mirror.errors import DiskError, LockedError, MirrorError, PartError
from dandi_mirror.mirror.fetch.get_plan import GetPlan
from dandi_mirror.mirror.fetch.other_runs import STOPPED, OtherRuns
from dandi_mirror.mirror.fetch.room import check_fits
from dandi_mirror.repo.annex import content, objects, settings
from dandi_mirror.repo.annex.keys import size_of
from dandi_mirror.repo.annex.logs import embargo_remote
from dandi_mirror.repo.annex.repository import AnnexRepository, KeyLocations, Tracked, copies, copy_urls
from dandi_mirror.text import redacted

PLACED = 250
"""Files that are moved to the objects at a time, while others are still downloaded."""
RECORDED = 4000
"""Files that are recorded and reported at a time: each recording takes a tenth of a second."""
SOON = 20.0
"""Seconds after which complete files are recorded, however few they are."""
_KEY = re.compile(r"(?:SHA256E?-s([0-9]{1,15})--([0-9a-f]{64})|MD5E?-s([0-9]{1,15})--([0-9a-f]{32}))(?:\.|$)")
_API = re.compile(r"/assets/[0-9a-f-]{36}/download/?$|/zarr/[0-9a-f-]{36}/files/\?")


@dataclass(frozen=True, slots=True)
class GetResult:
    """The result of one file."""

    path: str
    """Relative to the top of its dataset."""
    key: str = ""
    size: int = 0
    """Bytes; 0 if the key does not say."""
    status: str = "ok"
    """DataLad's words: ``ok``, ``notneeded``, ``impossible``, ``error``."""
    message: str = ""
    exit_code: int = 0


def get_content(
    clone: AnnexRepository, choice: GetPlan, access: TransferSettings, jobs: int, meter: ByteCounter
) -> Iterator[GetResult]:
    """Download what a plan needs; yield each file when it is on disk and recorded, or has failed.

    Raises:
        DiskError: the disk is full or not writable; all complete files were yielded before.
    """
    yield from run_download(Download(clone, choice, access), access, jobs, meter)


def run_download(work: Download, access: TransferSettings, jobs: int, meter: ByteCounter) -> Iterator[GetResult]:
    """Do a download; raises as :func:`get_content`."""
    yield from work.mend()
    if not work.choice.missing:
        return
    work.check_room()
    yield from _transfer(work, work.items(access, work.files), access, jobs, meter)
    while keys := work.others.next_try(meter.waiting):
        yield from _transfer(work, work.items(access, keys), access, jobs, meter)
    yield from work.give_up()
    yield from work.get_by_git_annex(meter.waiting)


def _transfer(
    work: Download, items: Iterable[Item], access: TransferSettings, jobs: int, meter: ByteCounter
) -> Iterator[GetResult]:
    """Download items; each is yielded when it is on disk and recorded, or has failed."""
    with closing(fetch(items, access, jobs=jobs, meter=meter)) as outcomes:
        try:
            for outcome in outcomes:
                yield from work.take(outcome)
        except GeneratorExit:
            work.record_complete()
            raise
        except BaseException:
            # the caller hears of the files that are complete, and then of what went wrong
            yield from work.record_complete()
            raise
        yield from work.record_complete()


class Download:
    """The state of one download into a clone."""

    def __init__(self, clone: AnnexRepository, choice: GetPlan, access: TransferSettings) -> None:
        self.clone = clone
        # the special remote would ask the API for the same content again
        self._same_source = {embargo_remote(access.api_url)[0]}
        self.choice = choice
        self._partials = clone.git_dir / "annex" / "dandi-mirror"
        self.files: dict[str, list[Tracked]] = {}
        for file in choice.missing:
            self.files.setdefault(file.key, []).append(file)
        self._facts: Mapping[str, KeyLocations] = dict(clone.facts(self.files))
        self._neighbours = settings.local_remotes(clone.config)
        self._web_mirrors = settings.web_mirrors(clone.config)
        self.arrived: list[objects.FetchedContent] = []
        self._placed: list[str] = []
        self._since = time.monotonic()
        self.left: dict[str, MirrorError | None] = {}
        self.others = OtherRuns()
        self._from_others: list[str] = []

    def only(self, uuids: Collection[str]) -> None:
        """Ask no other repositories than those with these UUIDs, apart from git-annex."""
        self._neighbours = {uuid: place for uuid, place in self._neighbours.items() if uuid in uuids}
        self._web_mirrors = {uuid: place for uuid, place in self._web_mirrors.items() if uuid in uuids}

    def mend(self) -> Iterator[GetResult]:
        """Repair what a killed run left: content that is not recorded, unlocked files without their content."""
        clone, here = self.clone, self.choice.here
        known = dict(clone.facts({file.key for file in here}))
        objects.record(clone, [key for key, facts in known.items() if clone.uuid not in facts.places])
        objects.populate(clone, [file for file in here if file.pointer and not objects.is_populated(clone, file)])
        for key in known:
            (self._partials / key).unlink(missing_ok=True)
        yield from (GetResult(file.path, file.key, size_of(file.key), "notneeded") for file in here)

    def check_room(self) -> None:
        """Refuse a download that does not fit on the disk.

        Raises:
            DiskError: it does not fit, or the folder for partial files cannot be made.
        """
        try:
            self._partials.mkdir(parents=True, exist_ok=True)
            check_fits(self.clone.path, self._partials, self.choice.size, (), "set --max-size")
        except PermissionError as error:
            words = "to get content, make a clone of your own elsewhere, and get it there: datalad clone"
            raise DiskError(f"{DiskError.of(self._partials, error)}; {words} {self.clone.path}") from error
        except OSError as error:
            raise DiskError.of(self._partials, error) from error

    def items(self, access: TransferSettings, keys: Iterable[str]) -> Iterator[Item]:
        """Yield what the bulk transfer can fetch; note what another run has brought, and the rest for git-annex."""
        rule, plain = RequestRule(access.allowed), self.clone.plain
        for key in keys:
            if self.clone.has(key):
                self._from_others.append(key)
                continue
            facts, found = self._facts[key], _KEY.match(key)
            known = self.urls_of(key, facts)
            refused = {url: why for url in known if (why := rule.refuses(url))}
            urls = tuple(url for url in known if url not in refused)
            places = tuple(copy for uuid, place in self._neighbours.items() if self.may_have(uuid, facts)
                           for copy in copies(place, key))  # fmt: skip
            if not found or not plain or not (urls or places):
                self.left[key] = PartError(next(iter(refused.values()))) if refused else None
                continue
            yield Item(urls, int(found[1] or found[3]), found[2] or found[4], self._partials / key, places)

    def urls_of(self, key: str, facts: KeyLocations) -> list[str]:
        """The URLs of a key's content in the order in which they are tried: S3, other mirrors, the API."""
        mirrors = self.mirror_urls(key, facts)
        return sorted([*facts.urls, *mirrors], key=lambda url: (_is_api(url), url in mirrors))

    def mirror_urls(self, key: str, facts: KeyLocations) -> list[str]:
        """The URLs at which other mirrors may have a key."""
        return [url for uuid, place in self._web_mirrors.items() if self.may_have(uuid, facts)
                for url in copy_urls(place, key)]  # fmt: skip

    def may_have(self, uuid: str, facts: KeyLocations) -> bool:
        """Whether a repository is asked for a key."""
        return uuid in facts.places

    def take(self, outcome: DownloadOutcome) -> Iterator[GetResult]:
        """Take a result of the bulk transfer; yield the files that were recorded meanwhile."""
        key = outcome.item.partial.name
        if isinstance(outcome.error, LockedError):
            self.others.have(key, outcome.item.partial)
            return
        if outcome.error is not None:
            other = settings.remotes(self.clone.config) - set(self._neighbours) - self._same_source
            if self._facts[key].places & other:
                self.left[key] = outcome.error
            else:
                yield from self._failed(key, outcome.error)
            return
        self.arrived.append(objects.FetchedContent(key, outcome.item.partial))
        if len(self._placed) + len(self.arrived) >= RECORDED or time.monotonic() - self._since > SOON:
            yield from self.record_complete()
        elif len(self.arrived) >= PLACED:
            self.place()

    def place(self) -> None:
        """Move complete files to git-annex's objects."""
        arrived, self.arrived = self.arrived, []
        try:
            objects.place_content(self.clone, arrived)
        except BaseException:
            # some of them may have been moved
            arrived = [content for content in arrived if self.clone.has(content.key)]
            raise
        finally:
            self._placed += [content.key for content in arrived]

    def record_complete(self) -> list[GetResult]:
        """Move complete files to git-annex's objects and record them; return their results."""
        self.place()
        placed, self._placed, self._since = self._placed, [], time.monotonic()
        # others may have placed content that they have not recorded yet
        others, self._from_others = self._from_others, []
        objects.record(self.clone, [*placed, *others])
        files = [(file, status) for keys, status in ((placed, "ok"), (others, "notneeded"))
                 for key in keys for file in self.files[key]]  # fmt: skip
        objects.populate(self.clone, [file for file, _ in files if file.pointer])
        return [GetResult(file.path, file.key, size_of(file.key), status) for file, status in files]

    def give_up(self) -> Iterator[GetResult]:
        """Yield what other processes hold without going on."""
        for key in self.others.given_up():
            yield from self._failed(key, LockedError(STOPPED))
        yield from self.record_complete()

    def get_by_git_annex(self, waiting: Callable[[int], None]) -> Iterator[GetResult]:
        """Let git-annex get what our URLs did not give; from the web only keys whose URLs were not tried or refused.

        git-annex would request a refused URL through a proxy, which can reach what this machine must not.
        """
        for web in (True, False):
            keys = [key for key, error in self.left.items() if (error is None) == web]
            yield from self.by_git_annex(keys, waiting, web=web)

    def by_git_annex(self, keys: list[str], waiting: Callable[[int], None], *, web: bool) -> Iterator[GetResult]:
        """Let git-annex get keys; ``web``: whether it may request the URLs that it knows."""
        yield from self._once_by_git_annex(keys, web=web)
        while again := self.others.next_try(waiting):
            yield from self._once_by_git_annex(again, web=web)
        yield from self.give_up()

    def _once_by_git_annex(self, keys: list[str], *, web: bool) -> Iterator[GetResult]:
        failed: dict[str, str] = {}
        yield from self._asked(keys, (), failed, web=web)
        folders = [name for name, uuid in settings.named_remotes(self.clone.config) if uuid in self._neighbours]
        others = settings.remotes(self.clone.config) - set(self._neighbours) - self._same_source
        if folders and (again := [key for key in failed if self._facts[key].places & others]):
            # git-annex ends with a damaged copy in a folder, and does not ask the next remote
            for key in again:
                del failed[key]
            yield from self._asked(again, folders, failed, web=False)
        for key, reason in failed.items():
            yield from self._failed(key, self.left[key] or PartError(redacted(reason)[:300]))

    def _asked(
        self, keys: list[str], ignored: Iterable[str], failed: dict[str, str], *, web: bool
    ) -> Iterator[GetResult]:
        """Let git-annex get keys; note in ``failed`` why some did not come."""
        closed = bool(keys and self.clone.closed_api())  # its special remote needs the API key
        asked = content.get(self.clone.path, keys, None, secrets=closed, web=web, ignored=ignored) if keys else ()
        for key, reason in asked:
            if content.BUSY in reason:
                self.others.have(key, self.clone.git_dir / "annex" / "tmp" / key)
            elif reason:
                failed[key] = reason
            else:
                yield from (GetResult(file.path, key, size_of(key)) for file in self.files[key])

    def _failed(self, key: str, error: MirrorError) -> Iterator[GetResult]:
        """Yield a failed result for each file of a key."""
        for file in self.files[key]:
            yield GetResult(file.path, key, size_of(key), "error", str(error), error.exit_code)


def _is_api(url: str) -> bool:
    """Whether a URL is one of the API; those at S3 are tried first."""
    return _API.search(url) is not None
