"""Build a catalogue in a folder: write what has changed, each file completely or not at all.

A page names its parts by their digests, so whoever reads during a build sees the old state or the new one.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from dandi_mirror.catalogue.listing import file_scripts
from dandi_mirror.catalogue.members import members
from dandi_mirror.catalogue.pages import ALL, STATIC, Site, all_page, dandiset_page, feed, index_page, static_file
from dandi_mirror.catalogue.previews import NOT_NOW, Previews, Wanted, is_previewed, script_name
from dandi_mirror.catalogue.reading import read_dandiset
from dandi_mirror.catalogue.scripts import data_script, hashed_name
from dandi_mirror.catalogue.state import NAME, CatalogueState, program_digest, read_state, state_file
from dandi_mirror.catalogue.summary import Summary, search_document, summary_of
from dandi_mirror.catalogue.values import DandisetFacts, FileRow, Presence
from dandi_mirror.errors import DiskError, LockedError, MirrorError, UsageError
from dandi_mirror.file_lock import try_lock
from dandi_mirror.files.target import TargetFolder
from dandi_mirror.mirror.search.index import opened, path_of, update_index
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.git.dataset import ANNEX

Tell = Callable[[str, str], None]
"""Called with a Dandiset and what is being done with it."""
BUCKET = 100
"""Numbers of Dandisets that share a script of the search index."""
MISSED = 3
"""Files in turn of which the archive sends nothing; then it is not asked any more."""
SAVED = 200
"""Dandisets after which a long build writes down what it has, so that it can be ended and go on."""
_LOCK = ".lock"
_OURS = {NAME, _LOCK, "index.html", "all.html", "feed.xml", "assets", "d", "search"}
_PART = re.compile(r"(?:files-[0-9]+|folders|subjects)-[0-9a-f]{12}\.js|preview-[0-9]+-[0-9a-f]{32}\.js|\..+\.[0-9]+")
_SEARCH = re.compile(r"part-[0-9]+-[0-9a-f]{12}\.js|\..+\.[0-9]+")
"""Parts, and what a build that was killed left half-written."""


@dataclass(slots=True)
class Built:
    """What a build did."""

    dandisets: int = 0
    """How many the catalogue has."""
    written: list[str] = field(default_factory=list)
    """Dandisets whose pages are new."""
    removed: list[str] = field(default_factory=list)
    """Dandisets that are no longer in the catalogue."""
    failed: dict[str, str] = field(default_factory=dict)
    """Dandisets that could not be read, and why; their pages stay as they were."""
    unseen: dict[str, str] = field(default_factory=dict)
    """Files that have no preview because the archive did not send it, and why."""


def build(
    mirror: Mirror, top: Path, site: Site, tell: Tell, *, embargoed: bool = False, previews: Previews | None = None
) -> Built:
    """Bring the catalogue in the folder ``top`` up to date with the mirror.

    ``previews``: makes previews of NWB files and Zarrs, which are written into the folder.

    Raises:
        UsageError: the folder holds something else.
        LockedError: another build is writing there.
        DiskError: it cannot be written.
    """
    try:
        _check_folder(top)
        top.mkdir(parents=True, exist_ok=True)
        with TargetFolder(top) as folder, _locked(folder):
            freshness = update_index(mirror, tell)
            with opened(path_of(mirror)) as database:
                run = _Build(mirror, folder, site, database, tell, previews)
                run.built.failed |= dict.fromkeys(freshness.stale, freshness.why)
                return run.all(members(mirror, embargoed=embargoed))
    except OSError as error:
        raise DiskError.of(error.filename or top, error) from error


def _check_folder(top: Path) -> None:
    names = {entry.name for entry in top.iterdir()} if top.is_dir() else set()
    if top.exists() and not top.is_dir():
        raise UsageError(f"{top} is a file; name a folder for the catalogue")
    if names - _OURS and NAME not in names:
        raise UsageError(f"{top} holds something else than a catalogue ({min(names - _OURS)!a}); name a new folder")


@contextmanager
def _locked(folder: TargetFolder) -> Iterator[None]:
    with folder.place(_LOCK) as (name, above):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o666, dir_fd=above)
    try:
        if not try_lock(descriptor, folder.top / _LOCK):
            raise LockedError(f"another build is writing to {folder.top}; try again when it is done")
        yield
    finally:
        os.close(descriptor)


class _Build:
    """One build; the folder is locked."""

    def __init__(
        self,
        mirror: Mirror,
        folder: TargetFolder,
        site: Site,
        database: sqlite3.Connection,
        tell: Tell,
        previews: Previews | None,
    ) -> None:
        self.mirror, self.folder, self.site, self.database, self.tell = mirror, folder, site, database, tell
        self.previews = previews
        self.missed = 0
        self.rendering = sha256(f"{program_digest()} {site}".encode()).hexdigest()[:16]
        self.known = dict((read_state(folder.top) or CatalogueState("", {})).dandisets)
        self.refs: dict[str, str] = dict(database.execute("SELECT id, refs FROM dandiset").fetchall())
        self.built = Built()

    def all(self, wanted: Mapping[str, bool]) -> Built:
        """Write what has changed; ``wanted`` are the Dandisets to show, and whether each is under embargo."""
        for name in sorted(self.known.keys() - wanted.keys()):
            self._remove(name)
        for name in STATIC:
            self._put(f"assets/{name}", static_file(name))
        for identifier in sorted(wanted):
            state = self._state(identifier, wanted[identifier])
            known = self.known.get(identifier)
            if known and known.state == state:
                continue
            if self._one(identifier, state, wanted[identifier]) and len(self.built.written) % SAVED == 0:
                self._finish()
        self._finish()
        self.built.dandisets = len(self.known)
        return self.built

    def _state(self, identifier: str, embargoed: bool) -> str:
        """What a Dandiset's page depends on."""
        annex = self.mirror.ref(identifier, ANNEX)
        return f"{self.refs.get(identifier, '')[:16]} {(annex or '')[:16]} {self.rendering}{' embargoed' * embargoed}"

    def _one(self, identifier: str, state: str, embargoed: bool) -> bool:
        """Write the pages of a Dandiset; whether they are new."""
        self.tell(identifier, "making its page")
        try:
            facts = read_dandiset(self.mirror, self.database, identifier, embargoed=embargoed)
        except (MirrorError, ValueError, KeyError, TypeError) as error:
            why = str(error) if isinstance(error, MirrorError) else "its records cannot be read"
            self.built.failed[identifier] = why
            return False
        if facts is None:
            if identifier in self.known:
                self._remove(identifier)
            return False
        listing = file_scripts(facts.rows)
        folder = f"d/{identifier}"
        for name, content in listing.scripts.items():
            self._put(f"{folder}/{name}", content)
        previews, complete = self._previews(identifier, facts)
        # what is incomplete is made again by the next build
        summary = summary_of(facts, state if complete else "", listing.scripts)
        self._put(f"{folder}/index.html", dandiset_page(self.site, facts, listing, summary))
        self._sweep(folder, _PART, {*listing.scripts, *previews})
        self.known[identifier] = summary
        self.built.written.append(identifier)
        return True

    def _previews(self, identifier: str, facts: DandisetFacts) -> tuple[set[str], bool]:
        """Write the previews of files and Zarrs; their names, and whether all could be made that should be."""
        written: set[str] = set()
        complete = True
        for row in facts.rows if self.previews else ():
            if not self._is_wanted(row) or (name := script_name(row.digest)) in written:
                continue
            self.tell(identifier, f"looking into {row.path}")
            script, good = self._preview(identifier, row, facts.embargoed)
            self._put(f"d/{identifier}/{name}", script)
            written.add(name)
            complete = complete and good
        return written, complete

    def _is_wanted(self, row: FileRow) -> bool:
        if not row.digest or row.presence is Presence.REFUSED:
            return False
        if row.presence is Presence.ZARR:
            return bool(row.zarr)
        return is_previewed(row.path) and (row.presence is Presence.HERE or self.site.previews == ALL)

    def _preview(self, identifier: str, row: FileRow, embargoed: bool) -> tuple[bytes, bool]:
        """A script, and whether it is good; an archive that does not answer is not asked for ever."""
        assert self.previews
        wanted = Wanted(row.path, row.size, row.digest, row.zarr)
        why = "the archive did not answer for other files"
        if self.missed < MISSED or row.presence is Presence.HERE:
            try:
                script = self.previews.look(identifier, wanted, embargoed=embargoed)
                self.missed = 0 if row.presence is not Presence.HERE else self.missed
                return script, True
            except NOT_NOW as error:
                if self.previews.is_stopped:
                    raise
                why, self.missed = str(error), self.missed + 1
        self.built.unseen[f"{identifier}/{row.path}"] = why
        return self.previews.error_script(row.digest, why), False

    def _remove(self, identifier: str) -> None:
        """Take a Dandiset out of the catalogue: its page first, so that nobody reads it any more."""
        folder = f"d/{identifier}"
        with suppress(FileNotFoundError):
            self.folder.remove(f"{folder}/index.html")
            self._sweep(folder, _PART, ())
        self.folder.remove_empty(folder)
        del self.known[identifier]
        self.built.removed.append(identifier)

    def _finish(self) -> None:
        """Write what is made from all Dandisets: the search first, then the pages that name it, and the state."""
        buckets: dict[int, list[Summary]] = {}
        for identifier in sorted(self.known):
            buckets.setdefault(int(identifier) // BUCKET, []).append(self.known[identifier])
        parts = []
        for number, some in sorted(buckets.items()):
            content = data_script(f"part-{number}", [search_document(one) for one in some])
            parts.append(hashed_name(f"part-{number}", content))
            self._put(f"search/{parts[-1]}", content)
        summaries = list(self.known.values())
        self._put("index.html", index_page(self.site, summaries, parts))
        self._put("all.html", all_page(self.site, summaries))
        self._put("feed.xml", feed(self.site, summaries))
        self._put(NAME, state_file(self.known))
        self._sweep("search", _SEARCH, parts)

    def _put(self, path: str, content: bytes) -> None:
        """Write a file, unless it is there already."""
        with suppress(OSError), self.folder.place(path) as (name, above):
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
            with os.fdopen(descriptor, "rb") as file:
                if os.fstat(file.fileno()).st_size == len(content) and file.read(len(content) + 1) == content:
                    return
        self.folder.write(path, content)

    def _sweep(self, folder: str, pattern: re.Pattern[str], keep: Iterable[str]) -> None:
        """Remove the parts that no page names any more."""
        kept = set(keep)
        with suppress(FileNotFoundError), self.folder.folder(folder) as descriptor:
            for name in os.listdir(descriptor):  # noqa: PTH208 - of an open folder
                if pattern.fullmatch(name) and name not in kept:
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=descriptor)
