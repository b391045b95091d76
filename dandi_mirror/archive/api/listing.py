"""Reading a version's assets so that what is read is one state, not a mixture of two.

Pages are by position: an asset deleted while they are read makes another one slip by unseen.  So the pages
are only believed when the number of rows, their distinct ids and the count of the first page agree; the
caller compares the draft's ``modified`` before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from math import ceil
from typing import Any

from dandi_mirror.archive.api import client
from dandi_mirror.archive.api.client import Archive
from dandi_mirror.archive.http.response import TooDeep, Unread
from dandi_mirror.errors import BadAnswerError, NotFoundError
from dandi_mirror.model import is_asset_id

AHEAD = 3
"""Pages asked for before the one being worked on is done."""


class Unstable(BadAnswerError):
    """The listing changed while it was read."""


def asset_pages(
    archive: Archive,
    dandiset: str,
    version: str,
    *,
    repeats: bool = False,
    metadata: bool = True,
    where: Mapping[str, str] | None = None,
) -> Iterator[list[object]]:
    """The rows of a version's assets, with their metadata or without, a page at a time, in no order to rely on.

    ``repeats`` lets an asset that is listed more than once pass: for an archive that always lists it so.  ``where``
    has the archive list some of them only: ``path`` (what paths begin with) or ``glob``.

    Raises:
        Unstable: the pages do not fit together.
        BadAnswerError: an answer that is not what the API promises.
    """
    path = _path(dandiset, version)
    ask = partial(_page, archive, path, metadata, where or {})
    first = ask(1)
    count = first.get("count")
    if type(count) is not int or not 0 <= count <= client.PAGE * client.MOST_PAGES:
        raise BadAnswerError(f"{path} does not say how many assets there are")
    pages = max(1, ceil(count / client.PAGE))
    rows = 0
    ids: set[object] = set()
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="pages") as pool:
        for number, answer in enumerate(_ahead(pool, ask, first, pages), start=1):
            results = answer["results"]
            assert isinstance(results, list)
            more = client.check_next(archive.session.api_url, path, answer.get("next"), number)
            if more != (number < pages):
                raise Unstable(f"{path}: {'more' if more else 'fewer'} pages than its count of {count} asks for")
            ids.update(_identity(row, rows + place) for place, row in enumerate(results))
            rows += len(results)
            yield results
    if rows != count:
        raise Unstable(f"{path}: {rows} rows where {count} were counted")
    if len(ids) < rows and not repeats:
        raise Unstable(f"{path}: an asset was seen twice")


def newest_rows(archive: Archive, dandiset: str, version: str, count: int) -> list[object]:
    """The ``count`` rows that were modified last, with their metadata; at most a page.

    No row where they cannot be read together: one bad record may be to blame.
    """
    query: dict[str, str | int] = {"order": "-modified", "page": 1, "page_size": min(count, client.PAGE)}
    try:
        answer = archive.session.get(_path(dandiset, version), metadata="true", **query)
    except BadAnswerError:
        return []
    results = answer.get("results") if isinstance(answer, dict) else None
    return results if isinstance(results, list) else []


def _path(dandiset: str, version: str) -> str:
    return f"/dandisets/{dandiset}/versions/{version}/assets/"


def _identity(row: object, place: int) -> object:
    """What no other row of the list may share; a row without an id is only like itself."""
    asset_id = row.get("asset_id") if isinstance(row, dict) else None
    return asset_id if isinstance(asset_id, str) else place


def _ahead(
    pool: ThreadPoolExecutor, ask: Callable[[int], dict[str, object]], first: dict[str, object], pages: int
) -> Iterator[dict[str, object]]:
    """The pages in order, a few of them under way at any time."""
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


def _page(archive: Archive, path: str, metadata: bool, where: Mapping[str, str], number: int) -> dict[str, object]:
    query: dict[str, str | int] = {**where, "order": "path", "page": number, "page_size": client.PAGE}
    try:
        wanted = {"metadata": "true"} if metadata else {}
        answer = archive.session.get(path, **wanted, **query)
    except BadAnswerError:
        # too large or not readable as a whole: one record may be to blame, so take them one by one
        if not metadata:
            raise
        answer = archive.session.get(path, **query)
        _read_singly(archive, answer)
    if not isinstance(answer, dict) or not isinstance(answer.get("results"), list):
        raise BadAnswerError(f"{path}: a page without results")
    return answer


def _read_singly(archive: Archive, answer: object) -> None:
    """Put each row's metadata into a page that came without; ``Unread`` where a record did not come.

    What the archive does not give this time may be there the next time, so nothing is concluded from it.
    """
    results = answer.get("results") if isinstance(answer, dict) else None
    for row in results if isinstance(results, list) else []:
        if not isinstance(row, dict) or not is_asset_id(row.get("asset_id")):
            continue
        row["metadata"] = _record(archive, row)


def _record(archive: Archive, row: dict[str, Any]) -> object:
    """The metadata of an asset, asked for alone; None if they are the archive's, and nobody can read them."""
    asset_id = row["asset_id"]
    try:
        record = archive.session.get(f"/assets/{asset_id}/")
    except TooDeep:
        return None
    except (BadAnswerError, NotFoundError):
        return Unread()
    if not isinstance(record, dict):
        return Unread()
    # an answer may be of something else, or of another asset; the archive's records say which they are of
    own = {"identifier": asset_id, "path": row.get("path")}
    said = [record[name] == value for name, value in own.items() if name in record]
    return record if said and all(said) else Unread()
