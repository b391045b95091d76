"""The assets of a draft as the last sync knew them, asked by key: what a small change needs of a large draft."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Self

import msgspec

from dandi_mirror.errors import IntegrityError
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.state.asset_rows import is_admitted, read_assets
from dandi_mirror.model import Asset

TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|\+00:00)", re.ASCII)
"""A time as the API writes it; up to the seconds, such times are in order as texts."""


class SpoiltMemory(Exception):
    """The file is not as a sync writes it."""


class DraftTotals(msgspec.Struct):
    """What the assets of a draft are together."""

    files: int = 0
    listed: int = 0
    """Entries of the listing; more than ``files`` if assets were refused or waited."""
    size: int = 0
    """Bytes."""
    zarrs: int = 0
    without_url: int = 0
    """Assets without a content URL that git-annex may use."""
    strange_times: int = 0
    """Assets whose ``modified`` is not written as the API does."""
    subjects: dict[str, int] = {}
    """Assets by subject."""
    hosts: dict[str, int] = {}
    """Assets by the origin of their content URLs."""

    @classmethod
    def of(cls, assets: Iterable[Asset]) -> Self:
        """The totals of some assets."""
        return cls(subjects={}, hosts={}).changed(assets, ())

    def changed(self, new: Iterable[Asset], gone: Iterable[Asset]) -> Self:
        """The totals with some assets more and some less."""
        totals = msgspec.structs.replace(self)
        subjects, hosts = Counter(self.subjects), Counter(self.hosts)
        for assets, times in ((new, 1), (gone, -1)):
            for asset in assets:
                totals.files += times
                totals.size += times * asset.size
                totals.zarrs += times * bool(asset.zarr)
                totals.without_url += times * (asset.content_url is None)
                totals.strange_times += times * (TIME.fullmatch(asset.modified) is None)
                if url := asset.content_url:
                    hosts[content_origin(url)] += times
                for field, value in asset.fields:
                    if field == "subject":
                        subjects[value] += times
        totals.subjects, totals.hosts = dict(+subjects), dict(+hosts)
        return totals

    def as_text(self) -> str:
        """As :meth:`read` reads it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: object) -> Self | None:
        """Read what :meth:`as_text` has written; None if it has not."""
        try:
            return msgspec.json.decode(text, type=cls) if isinstance(text, str) else None
        except (msgspec.MsgspecError, UnicodeError):
            return None


def content_origin(url: str) -> str:
    """Scheme and host of an admitted content URL."""
    return url[: url.index("/", len("https://"))]


class KnownDraft:
    """The assets in one file; a row is checked when it is read."""

    def __init__(self, database: sqlite3.Connection, totals: DraftTotals, hosts: ContentHosts) -> None:
        """``hosts`` are those to which a content URL may point."""
        self._database = database
        self._hosts = hosts
        self.totals = totals

    def newest(self) -> str:
        """The newest ``modified`` of all assets; empty if there is none."""
        return str(self._rows("SELECT max(modified) FROM asset")[0][0] or "")

    def since(self, modified: str) -> list[tuple[str, str]]:
        """Asset id and path of the assets that were modified at a time or later."""
        return [(str(one), str(path)) for one, path in
                self._rows("SELECT asset_id, path FROM asset WHERE modified >= ?", modified)]  # fmt: skip

    def by_id(self, ids: Collection[str]) -> dict[str, Asset]:
        """The assets with these ids."""
        return {asset.asset_id: asset for asset in self._assets("asset_id", ids)}

    def by_path(self, paths: Collection[str]) -> dict[str, Asset]:
        """The assets at these paths."""
        return {asset.path: asset for asset in self._assets("path", paths)}

    def by_key(self, keys: Collection[str]) -> list[Asset]:
        """The assets that have one of these git-annex keys."""
        return self._assets("key", keys)

    def is_folder(self, path: str) -> bool:
        """Whether assets are below a path."""
        # "0" is the character behind "/"
        return bool(self._rows("SELECT 1 FROM asset WHERE path > ? AND path < ? LIMIT 1", f"{path}/", f"{path}0"))

    def everything(self) -> dict[str, Asset]:
        """All assets by id."""
        return {asset.asset_id: asset for asset in self._assets("", ())}

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _assets(self, where: str, values: Collection[str]) -> list[Asset]:
        try:
            found = list(read_assets(self._database, where, values))
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            raise SpoiltMemory(str(error)) from error
        if not all(is_admitted(asset, self._hosts) for asset in found):
            raise SpoiltMemory("an asset that no sync would have admitted")
        return found

    def _rows(self, question: str, *values: str) -> list[tuple[object, ...]]:
        try:
            return self._database.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise SpoiltMemory(str(error)) from error


class DraftAssets(Mapping[str, Asset]):
    """The assets of a draft by path: those that a sync knew, but for what has changed.

    Whoever goes through all of them loads all of them; whoever asks for one path reads one row.
    """

    def __init__(
        self, known: KnownDraft, changed: Mapping[str, Asset], replaced: Collection[Asset],
        load: Callable[[], Mapping[str, Asset]],
    ) -> None:  # fmt: skip
        """``replaced`` are the known assets that are gone; ``load`` gives all that were known, by id."""
        self.known = known
        self.changed = changed
        self.replaced = replaced
        self.totals = known.totals.changed(changed.values(), replaced)
        self._load = load
        self._all: dict[str, Asset] | None = None

    def __getitem__(self, path: str) -> Asset:
        return self._everything()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._everything())

    def __len__(self) -> int:
        return self.totals.files

    def with_keys(self, keys: Collection[str]) -> list[Asset]:
        """The assets that have one of these git-annex keys."""
        gone = {asset.asset_id for asset in self.replaced}
        known = [asset for asset in self.known.by_key(keys) if asset.asset_id not in gone]
        return known + [asset for asset in self.changed.values() if asset.key in keys]

    def before(self) -> Mapping[str, Asset]:
        """All assets that were known, by id."""
        return self._load()

    def _everything(self) -> dict[str, Asset]:
        if self._all is None:
            gone = {asset.asset_id for asset in self.replaced}
            known = {asset.path: asset for asset in self._load().values() if asset.asset_id not in gone}
            if len(found := {**known, **self.changed}) != self.totals.files:
                raise IntegrityError("what the last sync has remembered of the draft is damaged; add --mode force")
            self._all = found
        return self._all
