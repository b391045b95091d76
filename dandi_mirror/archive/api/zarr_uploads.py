"""The API calls that change a Zarr: create it, get URLs for its entries, delete entries, have its checksum computed.

Entries go to presigned URLs, whose query no message and no log shows; only the API gets the token.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from itertools import count

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.entries import json_object
from dandi_mirror.archive.api.zarrs import PENDING, ListedZarr, listed_zarr, zarr_state
from dandi_mirror.archive.http.retrying_client import RequestRefused
from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import BadAnswerError

DELETED_AT_ONCE = 100
"""Entries in one request to delete them, as many as the stock client sends."""


def zarr_named(archive: ArchiveClient, dandiset: str, name: str) -> ListedZarr | None:
    """The Zarr of a Dandiset that has a name, whether or not an asset holds it."""
    path = "/zarr/"
    for answer in archive.counted(path, dandiset=dandiset, name=name):
        if isinstance(answer, dict) and answer.get("name") == name:
            return listed_zarr(answer, path)
    return None


def create_zarr(archive: ArchiveClient, dandiset: str, name: str) -> tuple[ListedZarr, bool]:
    """Create an empty Zarr, or find the one of that name; whether it may hold entries already.

    Raises:
        RequestRefused: the archive does not accept the name.
    """
    path = "/zarr/"

    def look() -> tuple[ListedZarr, bool] | None:
        found = zarr_named(archive, dandiset, name)
        return (found, True) if found else None

    def post() -> tuple[ListedZarr, bool]:
        answer = archive.session.send("POST", path, {"name": name, "dandiset": dandiset})
        return listed_zarr(answer, path), False

    try:
        return archive.session.once(post, look)
    except RequestRefused as refused:
        if refused.status == 400 and (found := look()):
            return found
        raise


def free_name(archive: ArchiveClient, dandiset: str, path: str) -> str:
    """A name that no Zarr of a Dandiset has; assets move, but a Zarr keeps its name."""
    names = (f"{path}.{number}" for number in count(2))
    return next(name for name in names if not zarr_named(archive, dandiset, name))


def sign(session: Session, zarr_id: str, wanted: Sequence[tuple[str, str]]) -> list[str]:
    """A presigned URL for each entry (path and MD5); the Zarr becomes Pending.

    Raises:
        RequestRefused: the archive is computing its checksum just now.
    """
    path = f"/zarr/{zarr_id}/files/"
    body = [{"path": entry, "base64md5": base64_md5(md5)} for entry, md5 in wanted]
    urls = session.send("POST", path, body, again=True)
    if not isinstance(urls, list) or len(urls) != len(wanted) or not all(isinstance(url, str) for url in urls):
        raise BadAnswerError(f"{path}: not a URL for each of the {len(wanted)} files")
    return urls


def base64_md5(md5: str) -> str:
    """An MD5 as the header ``Content-MD5`` has it."""
    return b64encode(bytes.fromhex(md5)).decode("ascii")


def headers_for(url: str, md5: str) -> dict[str, str]:
    """The headers that a PUT to a presigned URL must have; the URL of an embargoed entry asks for a tag."""
    tag = {"x-amz-tagging": "embargoed=true"} if "x-amz-tagging" in url.rpartition("X-Amz-SignedHeaders=")[2] else {}
    return {"Content-MD5": base64_md5(md5), **tag}


def delete_entries(session: Session, zarr_id: str, paths: Sequence[str]) -> None:
    """Delete entries of a Zarr, at most :data:`DELETED_AT_ONCE`; the Zarr becomes Pending.

    Raises:
        RequestRefused: one of them does not exist, and nothing was deleted; or the archive computes its checksum.
    """
    where = f"/zarr/{zarr_id}/files/"

    def delete() -> bool:
        session.send("DELETE", where, [{"path": path} for path in paths])
        return True

    def look() -> bool | None:
        # all of them are deleted, or none
        return None if _exists(session, zarr_id, paths[0]) else True

    session.once(delete, look)


def _exists(session: Session, zarr_id: str, entry: str) -> bool:
    path = f"/zarr/{zarr_id}/files/"
    rows = json_object(session.get(path, prefix=entry, limit=1), path).get("results")
    return isinstance(rows, list) and any(json_object(row, path).get("Key") == entry for row in rows)


def finalize(archive: ArchiveClient, zarr_id: str) -> None:
    """Have the archive compute the checksum of a Pending Zarr, which it does some time later."""

    def post() -> bool:
        archive.session.send("POST", f"/zarr/{zarr_id}/finalize/")
        return True

    def look() -> bool | None:
        return zarr_state(archive, zarr_id).status != PENDING or None

    try:
        archive.session.once(post, look)
    except RequestRefused:
        # somebody else has had it computed
        if not look():
            raise
