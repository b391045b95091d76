"""The endpoints about Zarrs."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode

from dandi_mirror.embedded.api.answers import Empty, Redirect
from dandi_mirror.embedded.api.calls import NO_PERMISSION, Call
from dandi_mirror.embedded.api.dandisets import counted
from dandi_mirror.embedded.rules.computed import zarr_checksum
from dandi_mirror.embedded.rules.queries import LARGEST_PAGE, boolean
from dandi_mirror.embedded.rules.refusals import Refused, detail, not_found
from dandi_mirror.embedded.store.archive import Archive
from dandi_mirror.embedded.store.blobs import Zarr

INGESTING = "Zarr archive is currently ingesting or has already ingested"


def listed(call: Call) -> Any:
    """``GET /zarr/?dandiset=&name=``."""
    rows = [z for z in call.archive.zarrs.values() if z.dandiset.is_open or call.owns(z.dandiset)]
    for key, value in call.query.items():
        if key in ("dandiset", "name"):
            rows = [zarr for zarr in rows if zarr.record()[key] == value]
    return counted(call, sorted(rows, key=lambda z: z.created), Zarr.record)


def create(call: Call) -> Any:
    """``POST /zarr/``: an empty Zarr; its name is unique in the Dandiset."""
    call.need_approved()
    body = call.posted("name", "dandiset")
    dandiset = call.archive.dandisets.get(str(body["dandiset"]))
    if dandiset is None:
        raise Refused(400, {"dandiset": [f"Object with identifier={body['dandiset']} does not exist."]})
    if not call.owns(dandiset):
        raise detail(403, NO_PERMISSION)
    name = str(body["name"])
    if any(zarr.dandiset is dandiset and zarr.name == name for zarr in call.archive.zarrs.values()):
        raise Refused(400, {"non_field_errors": ["The fields dandiset, name must make a unique set."]})
    return dandiset.add_zarr(name).record()


def one(call: Call) -> Any:
    """``GET /zarr/{id}/``: 404 for users who may not see it."""
    found = _find(call)
    if not found.dandiset.is_open and not call.owns(found.dandiset):
        raise not_found()
    return found.record()


def _find(call: Call) -> Zarr:
    found = call.archive.zarrs.get(call.args["zarr"])
    if found is None:
        raise not_found()
    return found


def files(call: Call) -> Any:
    """``GET /zarr/{id}/files/?prefix=&after=&limit=&download=``: pages by the last key seen."""
    found = _find(call)
    prefix, after = call.query.get("prefix", ""), call.query.get("after", "")
    if call.method == "HEAD" or boolean(call.query, "download", False):
        method, seconds = call.method, call.archive.link_seconds
        raise Redirect(call.archive.bucket.presigned(method, found.key + prefix, {}, seconds))
    text = call.query.get("limit", "")
    limit = int(text) if text.isdecimal() else LARGEST_PAGE
    if ".." in prefix.split("/"):
        raise Refused(400, {"prefix": ['Zarr path cannot contain ".." components.']})
    if limit > LARGEST_PAGE:
        words = f"Ensure this value is less than or equal to {LARGEST_PAGE}."
        raise Refused(400, {"limit": [words]})
    start = len(found.key)
    entries = [e for e in call.archive.bucket.listing(found.key + prefix) if e.key[start:] > after]
    rows = [
        {
            "Key": entry.key[start:],
            "LastModified": str(entry.modified.replace(microsecond=0)),
            "ETag": entry.etag,
            "Size": entry.size,
        }
        for entry in entries[:limit]
    ]
    url = call.url.partition("?")[0]
    query = {**call.query, "after": rows[-1]["Key"]} if 0 < limit < len(entries) else {}
    return {"next": f"{url}?{urlencode(sorted(query.items()))}" if query else None, "results": rows}


def _changed(call: Call) -> Zarr:
    """The Zarr of the URL, if the user may change it and the archive is not ingesting it."""
    call.need_approved()
    found = _find(call)
    if not call.owns(found.dandiset):
        raise detail(403, NO_PERMISSION) if found.dandiset.is_open else not_found()
    if found.status in ("Uploaded", "Ingesting"):
        raise Refused(400, INGESTING)
    return found


def post_files(call: Call) -> Any:
    """``POST /zarr/{id}/files/``: a presigned PUT for each file; the Zarr becomes Pending."""
    found = _changed(call)
    embargo = {} if found.dandiset.is_open else {"x-amz-tagging": "embargoed=true"}
    sent = call.posted_json()
    if not isinstance(sent, list) or not all(isinstance(f, dict) and {"path", "base64md5"} <= f.keys() for f in sent):
        raise Refused(400, {"non_field_errors": ['Expected a list of items but got type "dict".']})
    _pending(found)
    seconds = call.archive.link_seconds
    urls = []
    for file in sent:
        headers = {"content-md5": str(file["base64md5"]), **embargo}
        urls.append(call.archive.bucket.presigned("PUT", found.key + str(file["path"]), {}, seconds, headers))
    return urls


def delete_files(call: Call) -> Empty:
    """``DELETE /zarr/{id}/files/``; deletes nothing if one of them does not exist."""
    found = _changed(call)
    keys = [f"{found.key}{file['path']}" for file in call.posted_json()]
    for key in keys:
        if call.archive.bucket.stat(key) is None:
            raise Refused(400, [f"File {key} does not exist."])
    call.archive.bucket.delete(keys)
    _pending(found)
    return Empty(204)


def _pending(zarr: Zarr) -> None:
    zarr.status, zarr.checksum, zarr.stored_size = "Pending", None, 0
    zarr.dandiset.forget()


def finalize(call: Call) -> Empty:
    """``POST /zarr/{id}/finalize/``: the archive computes the checksum some time later."""
    found = _changed(call)
    if found.status != "Pending":
        raise Refused(400, INGESTING)
    found.status = "Uploaded"
    call.archive.jobs.later(partial(_ingest, call.archive, found))
    return Empty(204)


def _ingest(archive: Archive, zarr: Zarr) -> None:
    """The job of ``finalize``: checksum, and a new ``modified`` of the Zarr's assets and the draft."""
    with archive.lock:
        start = len(zarr.key)
        entries = [(entry.key[start:], entry.size, entry.etag) for entry in archive.bucket.listing(zarr.key)]
        zarr.checksum = zarr_checksum(entries)
        zarr.stored_size = sum(size for _, size, _ in entries)
        zarr.status = "Complete"
        now = archive.now()
        dandiset = archive.dandisets.get(zarr.dandiset.identifier)
        for asset in dandiset.draft if dandiset else ():
            if asset.zarr is zarr:
                asset.modified = now
        zarr.dandiset.changed()
