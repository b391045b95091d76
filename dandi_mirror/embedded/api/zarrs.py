"""The endpoints that read Zarrs."""

from __future__ import annotations

import re
from datetime import UTC
from typing import Any
from urllib.parse import urlencode

from dandi_mirror.embedded.api.answers import Redirect
from dandi_mirror.embedded.api.calls import Call
from dandi_mirror.embedded.api.dandisets import counted
from dandi_mirror.embedded.bucket.objects import ListedObject
from dandi_mirror.embedded.rules.names import DANDISET, check_zarr_path
from dandi_mirror.embedded.rules.queries import boolean, limited
from dandi_mirror.embedded.rules.refusals import Refused, not_found
from dandi_mirror.embedded.store.zarr import Zarr

NO_PATTERN = "This value does not match the required pattern."


def listed(call: Call) -> Any:
    """``GET /zarr/?dandiset=&name=``, oldest first."""
    wanted, name = call.query.get("dandiset", ""), call.query.get("name", "").strip()
    if wanted and not re.match(DANDISET, wanted):
        raise Refused(400, {"dandiset": [NO_PATTERN]})
    entries = [
        zarr
        for zarr in call.archive.zarrs.values()
        if (not wanted or zarr.dandiset.identifier == wanted)
        and (not name or zarr.name == name)
        and is_visible(call, zarr)
    ]
    return counted(call, sorted(entries, key=lambda z: z.created), Zarr.record)


def is_visible(call: Call, zarr: Zarr) -> bool:
    """Whether the user may know of a Zarr; those of a deleted Dandiset are gone."""
    dandiset = zarr.dandiset
    known = call.archive.dandisets.get(dandiset.identifier) is dandiset
    return known and (dandiset.is_open or call.owns(dandiset))


def one(call: Call) -> Any:
    """``GET /zarr/{id}/``: 404 for users who may not see it."""
    found = find_zarr(call)
    if not is_visible(call, found):
        raise not_found()
    return found.record()


def find_zarr(call: Call) -> Zarr:
    """The Zarr of the URL.

    Raises:
        Refused: 404.
    """
    found = call.archive.zarrs.get(call.args["zarr"])
    if found is None:
        raise not_found()
    return found


def files(call: Call) -> Any:
    """``GET /zarr/{id}/files/?prefix=&after=&limit=&download=``: pages by the last key seen.

    As on the real server, anybody may ask, also about a Zarr under embargo; and it drops white space and
    slashes at the ends of ``prefix`` and ``after``.
    """
    found = find_zarr(call)
    prefix, after = (call.query.get(name, "").strip() for name in ("prefix", "after"))
    limit, download = limited(call.query), boolean(call.query, "download", False)
    for name, text in (("after", after), ("prefix", prefix)):
        check_zarr_path(name, text)
    inside = prefix.lstrip("/")
    whole = (found.key + inside).rstrip("/")
    if call.method == "HEAD" or download:
        key = whole if call.method == "HEAD" else found.key + inside
        raise Redirect(call.archive.bucket.presigned(call.method, key, {}, call.archive.link_seconds))
    start = (found.key + after.lstrip("/")).rstrip("/") if after.lstrip("/") else ""
    entries = call.archive.bucket.listing(whole, start, limit + 1 if limit else 0)
    page = [_file(entry, found.key) for entry in entries[:limit]]
    url = call.url.partition("?")[0]
    query = {**call.query, "after": page[-1]["Key"]} if len(entries) > limit else {}
    return {"next": f"{url}?{urlencode(sorted(query.items()))}" if query else None, "results": page}


def _file(entry: ListedObject, folder: str) -> dict[str, Any]:
    """A file in the list."""
    return {
        "Key": entry.key.removeprefix(folder),
        "LastModified": str(entry.modified.astimezone(UTC).replace(microsecond=0)),
        "ETag": entry.etag,
        "Size": entry.size,
    }
