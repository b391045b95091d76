"""Reading the listing of a version's assets as one state, not as a mixture of two.

Pages are by position: if an asset is deleted between two requests, another one is missing from the pages.  So a
listing counts only if the number of entries, their distinct ids and the count of the first page agree; the caller
compares the draft's ``modified`` before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from math import ceil
from typing import Any, NamedTuple

from dandi_mirror.archive.api import client
from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.http.response import MissingRecord, ResponseTooDeep
from dandi_mirror.errors import BadAnswerError, NotFoundError
from dandi_mirror.model import is_asset_id

AHEAD = 3
"""Pages that are requested ahead of the current one."""


class Unstable(BadAnswerError):
    """The listing changed while it was read."""


def asset_pages(
    archive: ArchiveClient,
    dandiset: str,
    version: str,
    *,
    repeats: bool = False,
    metadata: bool = True,
    where: Mapping[str, str] | None = None,
) -> Iterator[list[object]]:
    """The entries of a version's assets, with or without metadata, one page at a time, in no reliable order.

    ``repeats`` accepts an asset that is listed twice, for an archive that always does so.  ``where`` selects some of
    the assets: by ``path`` (the beginning of their paths) or ``glob``.

    Raises:
        Unstable: the pages contradict each other.
        BadAnswerError: a response is not what the API promises.
    """
    path = _path(dandiset, version)
    ask = partial(_page, archive, path, metadata, where or {})
    first = ask(1)
    count = first.get("count")
    if type(count) is not int or not 0 <= count <= client.PAGE * client.MOST_PAGES:
        raise BadAnswerError(f"{path} does not say how many assets there are")
    pages = max(1, ceil(count / client.PAGE))
    entries = 0
    ids: set[object] = set()
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="pages") as pool:
        for number, answer in enumerate(_ahead(pool, ask, first, pages), start=1):
            results = answer["results"]
            assert isinstance(results, list)
            more = client.check_next(archive.session.api_url, path, answer.get("next"), number)
            if more != (number < pages):
                raise Unstable(f"{path}: {'more' if more else 'fewer'} pages than its count of {count} needs")
            ids.update(_identity(entry, entries + place) for place, entry in enumerate(results))
            entries += len(results)
            yield results
    if entries != count:
        raise Unstable(f"{path}: {entries} entries instead of the {count} counted")
    if len(ids) < entries and not repeats:
        raise Unstable(f"{path}: an asset is listed twice")


def newest_entries(archive: ArchiveClient, dandiset: str, version: str, count: int) -> list[object]:
    """The ``count`` assets that were modified last, with their metadata; at most a page.

    Empty if the page cannot be read, perhaps because of one bad record.
    """
    query: dict[str, str | int] = {"order": "-modified", "page": 1, "page_size": min(count, client.PAGE)}
    try:
        answer = archive.session.get(_path(dandiset, version), metadata="true", **query)
    except BadAnswerError:
        return []
    results = answer.get("results") if isinstance(answer, dict) else None
    return results if isinstance(results, list) else []


class NewestPage(NamedTuple):
    """Some list entries of a version, in the order in which they were modified, newest first."""

    entries: list[object]
    counted: int
    """All assets of the version, as the first page says."""
    last: bool
    """Whether no page follows."""


def newest_pages(
    archive: ArchiveClient, dandiset: str, version: str, first: int, *, metadata: bool = True
) -> Iterator[NewestPage]:
    """The assets that were modified last: ``first`` of them (at most a page), then as many again, and so on.

    Raises:
        BadAnswerError: a page cannot be read, perhaps because of one bad record, or is not what the API promises.
    """
    path, number, size, count = _path(dandiset, version), 1, min(first, client.PAGE), 0
    wanted = {"metadata": "true"} if metadata else {}
    while number <= client.MOST_PAGES:
        answer = archive.session.get(path, **wanted, order="-modified", page=number, page_size=size)
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(answer, dict) or not isinstance(results, list) or len(results) > size:
            raise BadAnswerError(f"{path}: not a page of {size} entries")
        if number == 1:
            count = answer["count"] if type(answer.get("count")) is int else -1
        more = client.check_next(archive.session.api_url, path, answer.get("next"), number)
        if more and len(results) < size:
            raise BadAnswerError(f"{path}: a page of {len(results)} instead of {size} entries is followed by another")
        yield NewestPage(results, count, not more)
        if not more:
            return
        # the second page of the double size begins where the second page of the size ends
        number, size = (2, 2 * size) if number == 2 and 2 * size <= client.PAGE else (number + 1, size)


def _path(dandiset: str, version: str) -> str:
    return f"/dandisets/{dandiset}/versions/{version}/assets/"


def _identity(entry: object, place: int) -> object:
    """The asset's id, which no other entry may have; for an entry without one, its position."""
    asset_id = entry.get("asset_id") if isinstance(entry, dict) else None
    return asset_id if isinstance(asset_id, str) else place


def _ahead(
    pool: ThreadPoolExecutor, ask: Callable[[int], dict[str, object]], first: dict[str, object], pages: int
) -> Iterator[dict[str, object]]:
    """The pages in order; a few are requested ahead."""
    waiting: list[Future[dict[str, object]]] = []
    following = iter(range(2, pages + 1))
    try:
        waiting += [pool.submit(ask, number) for number in islice(following, AHEAD)]
        yield first
        while waiting:
            answer = waiting.pop(0).result()
            waiting += [pool.submit(ask, number) for number in islice(following, 1)]
            yield answer
    finally:
        for future in waiting:
            future.cancel()


def _page(
    archive: ArchiveClient, path: str, metadata: bool, where: Mapping[str, str], number: int
) -> dict[str, object]:
    query: dict[str, str | int] = {**where, "order": "path", "page": number, "page_size": client.PAGE}
    try:
        wanted = {"metadata": "true"} if metadata else {}
        answer = archive.session.get(path, **wanted, **query)
    except BadAnswerError:
        # too large or unreadable, perhaps because of one record, so read the records one by one
        if not metadata:
            raise
        answer = archive.session.get(path, **query)
        _read_singly(archive, answer)
    if not isinstance(answer, dict) or not isinstance(answer.get("results"), list):
        raise BadAnswerError(f"{path}: a page without results")
    return answer


def _read_singly(archive: ArchiveClient, answer: object) -> None:
    """Add each asset's metadata to a page that came without; ``MissingRecord`` for a record that did not come.

    It may come next time, so the mirror concludes nothing from its absence.
    """
    results = answer.get("results") if isinstance(answer, dict) else None
    for entry in results if isinstance(results, list) else []:
        if not isinstance(entry, dict) or not is_asset_id(entry.get("asset_id")):
            continue
        entry["metadata"] = _record(archive, entry)


def _record(archive: ArchiveClient, entry: dict[str, Any]) -> object:
    """Request the metadata of one asset; None if the archive has them in a form that cannot be read."""
    asset_id = entry["asset_id"]
    try:
        record = archive.session.get(f"/assets/{asset_id}/")
    except ResponseTooDeep:
        return None
    except (BadAnswerError, NotFoundError):
        return MissingRecord()
    if not isinstance(record, dict):
        return MissingRecord()
    # a response may be about another asset, or something else; the archive's records name their asset
    own = {"identifier": asset_id, "path": entry.get("path")}
    said = [record[name] == value for name, value in own.items() if name in record]
    return record if said and all(said) else MissingRecord()
