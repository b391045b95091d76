"""The endpoints that change Zarrs: create, upload and delete files, finalize."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from dandi_mirror.embedded.api.answers import Empty
from dandi_mirror.embedded.api.calls import NO_PERMISSION, Call
from dandi_mirror.embedded.api.zarrs import NO_PATTERN, find_zarr, is_visible
from dandi_mirror.embedded.rules.names import DANDISET, LONGEST_PATH, check_zarr_path
from dandi_mirror.embedded.rules.refusals import Refused, detail, not_found
from dandi_mirror.embedded.store.archive import Archive
from dandi_mirror.embedded.store.zarr import INGESTING, PENDING, UPLOADED, Zarr

IS_INGESTING = "Zarr archive is currently ingesting or has already ingested"
BLANK, REQUIRED = "This field may not be blank.", "This field is required."


def create(call: Call) -> Any:
    """``POST /zarr/``: an empty Zarr; its name is unique in the Dandiset."""
    call.need_approved()
    body = call.posted("name", "dandiset")
    name, identifier = str(body["name"]), str(body["dandiset"])
    if len(name) > LONGEST_PATH:
        raise Refused(400, {"name": [f"Ensure this field has no more than {LONGEST_PATH} characters."]})
    if not re.fullmatch(DANDISET, identifier):
        raise Refused(400, {"dandiset": [NO_PATTERN]})
    dandiset = call.archive.dandisets.get(identifier)
    if dandiset is None or not (dandiset.is_open or call.owns(dandiset)):
        raise not_found()
    if not call.owns(dandiset):
        raise detail(403, NO_PERMISSION)
    if dandiset.embargo_status == "UNEMBARGOING":
        raise Refused(400, "Cannot add zarr to dandiset during unembargo")
    if any(zarr.dandiset is dandiset and zarr.name == name for zarr in call.archive.zarrs.values()):
        raise Refused(400, {"non_field_errors": ["The fields dandiset, name must make a unique set."]})
    return dandiset.add_zarr(name).record()


def _changed(call: Call) -> Zarr:
    """The Zarr of the URL, if the user may change it and the archive is not ingesting it."""
    call.need_approved()
    found = find_zarr(call)
    if not is_visible(call, found):
        raise not_found()
    if not call.owns(found.dandiset):
        raise detail(403, NO_PERMISSION)
    if found.status in (UPLOADED, INGESTING):
        raise Refused(400, IS_INGESTING)
    return found


def post_files(call: Call) -> Any:
    """``POST /zarr/{id}/files/``: a presigned PUT for each file; the Zarr becomes Pending."""
    found = _changed(call)
    embargo = {} if found.dandiset.is_open else {"x-amz-tagging": "embargoed=true"}
    sent = _sent(call, "path", "base64md5")
    _pending(found)
    bucket, seconds = call.archive.bucket, call.archive.link_seconds
    return [
        bucket.presigned("PUT", found.key + path, {}, seconds, {"content-md5": md5, **embargo}) for path, md5 in sent
    ]


def delete_files(call: Call) -> Empty:
    """``DELETE /zarr/{id}/files/``; deletes nothing if one of them does not exist."""
    found = _changed(call)
    keys = [found.key + path for (path,) in _sent(call, "path")]
    for key in keys:
        if call.archive.bucket.stat(key) is None:
            raise Refused(400, [f"File {key} does not exist."])
    call.archive.bucket.delete(keys)
    _pending(found)
    return Empty(204)


def _sent(call: Call, *fields: str) -> list[list[str]]:
    """The fields of each file in the body; white space at the ends of a text is dropped, as on the real server.

    Raises:
        Refused: 400 with the errors of each file.
    """
    sent = call.posted_json()
    if not isinstance(sent, list):
        words = f'Expected a list of items but got type "{type(sent).__name__}".'
        raise Refused(400, {"non_field_errors": [words]})
    errors = [_errors(file, fields) for file in sent]
    if any(errors):
        raise Refused(400, errors)
    return [[str(file[field]).strip() for field in fields] for file in sent]


def _errors(file: Any, fields: tuple[str, ...]) -> dict[str, list[str]]:
    """What is wrong with one file of the body."""
    if not isinstance(file, dict):
        words = f"Invalid data. Expected a dictionary, but got {type(file).__name__}."
        return {"non_field_errors": [words]}
    found = {field: [REQUIRED] for field in fields if field not in file}
    found |= {field: [BLANK] for field in fields if field not in found and not str(file[field]).strip()}
    if "path" not in found:
        try:
            check_zarr_path("path", str(file["path"]))
        except Refused as refusal:
            found |= refusal.body
    return found


def _pending(zarr: Zarr) -> None:
    zarr.change(PENDING)
    zarr.dandiset.forget()


def finalize(call: Call) -> Empty:
    """``POST /zarr/{id}/finalize/``: the archive computes the checksum some time later."""
    found = _changed(call)
    if found.status != PENDING:
        raise Refused(400, IS_INGESTING)
    found.change(UPLOADED)
    call.archive.jobs.later(partial(_begin_ingest, call.archive, found))
    return Empty(204)


def _begin_ingest(archive: Archive, zarr: Zarr) -> None:
    """The first job of ``finalize``: the Zarr is Ingesting, for ``ingest_seconds``."""
    with archive.lock:
        zarr.change(INGESTING)
    if archive.ingest_seconds:
        archive.jobs.later(partial(_ingest, archive, zarr), after=archive.ingest_seconds)
    else:
        _ingest(archive, zarr)


def _ingest(archive: Archive, zarr: Zarr) -> None:
    """The job of ``finalize``: checksum, and a new ``modified`` of the Zarr's assets and the draft."""
    with archive.lock:
        start = len(zarr.key)
        zarr.complete((entry.key[start:], entry.size, entry.etag) for entry in archive.bucket.listing(zarr.key))
        now = archive.now()
        dandiset = archive.dandisets.get(zarr.dandiset.identifier)
        for asset in dandiset.draft if dandiset else ():
            if asset.zarr is zarr:
                asset.modified = now
        zarr.dandiset.changed()
