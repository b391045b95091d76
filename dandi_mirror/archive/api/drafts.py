"""The API calls that change a Dandiset: its draft's assets, publishing, creating, deleting.

No call is repeated only because its response was lost: the program first looks at what the archive has.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from dandi_mirror.archive.api.client import PAGE
from dandi_mirror.archive.api.rows import dandiset_row, json_object
from dandi_mirror.archive.http.retrying_client import LostResponse, RequestRefused
from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import BadAnswerError, NotFoundError
from dandi_mirror.model import DandisetRow, is_asset_id


@dataclass(frozen=True, slots=True)
class DraftAsset:
    """An asset of a draft."""

    asset_id: str
    path: str
    blob: str
    """The blob's id; empty for a Zarr."""


def create_dandiset(
    session: Session, name: str, metadata: Mapping[str, object], *, embargo: bool = False
) -> DandisetRow:
    """Create a Dandiset; only one, even if a response is lost.

    Raises:
        RequestRefused: the archive does not accept the metadata.
        CredentialsError: the user may not create Dandisets.
    """
    path = "/dandisets/?embargo=true" if embargo else "/dandisets/"
    there = set(_own(session, name))

    def post() -> DandisetRow:
        return dandiset_row(session.send("POST", path, {"name": name, "metadata": dict(metadata)}), path)

    def look() -> DandisetRow | None:
        new = [row for identifier, row in _own(session, name).items() if identifier not in there]
        return new[0] if len(new) == 1 else None

    return session.once(post, look)


def publish(session: Session, dandiset: str, notes: str = "") -> None:
    """Publish the draft, which the archive does some time later (the draft's status is ``Published`` then).

    ``notes`` are its release notes.

    Raises:
        RequestRefused: the archive refuses; ``said`` is its reason.
    """

    def look() -> bool | None:
        path = f"/dandisets/{dandiset}/"
        return dandiset_row(session.get(path), path).draft.status in {"Publishing", "Published"} or None

    def post() -> bool:
        session.send(
            "POST", f"/dandisets/{dandiset}/versions/draft/publish/", {"release_notes": notes} if notes else {}
        )
        return True

    session.once(post, look)


def unembargo(session: Session, dandiset: str) -> None:
    """Lift the embargo of a Dandiset, which the archive does some time later.

    Raises:
        RequestRefused: it is not embargoed, or has unfinished uploads.
    """

    def look() -> bool | None:
        path = f"/dandisets/{dandiset}/"
        return dandiset_row(session.get(path), path).embargo_status != "EMBARGOED" or None

    def post() -> bool:
        session.send("POST", f"/dandisets/{dandiset}/unembargo/")
        return True

    session.once(post, look)


def delete_dandiset(session: Session, dandiset: str) -> None:
    """Delete a Dandiset that has no published version; does nothing if it does not exist."""
    with suppress(NotFoundError):  # perhaps deleted by a request whose response was lost
        session.send("DELETE", f"/dandisets/{dandiset}/", again=True)


def asset_at(session: Session, dandiset: str, path: str) -> DraftAsset | None:
    """The asset of the draft at a path."""
    where = f"/dandisets/{dandiset}/versions/draft/assets/"
    rows = json_object(session.get(where, path=path, page_size=1), where).get("results")
    if not isinstance(rows, list):
        raise BadAnswerError(f"{where}: a page without results")
    # without an asset at the path, the API lists those whose paths begin with it
    return next((placed for row in rows if (placed := _placed(row, where)).path == path), None)


def create_asset(session: Session, dandiset: str, metadata: Mapping[str, object], blob: str) -> str:
    """Create an asset at the path that its metadata names; its id.  Takes an existing asset with the same blob.

    Raises:
        RequestRefused: 409 if the path has other content, or is both a file and a folder; 400 for an invalid path.
    """
    where, path = f"/dandisets/{dandiset}/versions/draft/assets/", str(metadata["path"])

    def look() -> str | None:
        found = asset_at(session, dandiset, path)
        return found.asset_id if found and found.blob == blob else None

    def post() -> str:
        return _asset_id(session.send("POST", where, {"metadata": dict(metadata), "blob_id": blob}), where)

    try:
        return session.once(post, look)
    except RequestRefused as refused:
        if refused.status == 409 and (found := look()):
            return found
        raise


def replace_asset(session: Session, dandiset: str, asset_id: str, metadata: Mapping[str, object], blob: str) -> str:
    """Replace an asset by a new one, which may have another path; its id.

    Raises:
        NotFoundError: the draft has neither the old asset nor the new one.
        RequestRefused: as :func:`create_asset`.
    """
    where, path = f"/dandisets/{dandiset}/versions/draft/assets/{asset_id}/", str(metadata["path"])

    def look() -> str | None:
        found = asset_at(session, dandiset, path)
        return found.asset_id if found and found.blob == blob and found.asset_id != asset_id else None

    def put() -> str:
        return _asset_id(session.send("PUT", where, {"metadata": dict(metadata), "blob_id": blob}), where)

    try:
        return session.once(put, look)
    except NotFoundError:
        if found := look():
            return found
        raise


def delete_asset(session: Session, dandiset: str, asset_id: str) -> None:
    """Remove an asset from the draft; does nothing if it is not there."""
    with suppress(NotFoundError):  # perhaps deleted by a request whose response was lost
        session.send("DELETE", f"/dandisets/{dandiset}/versions/draft/assets/{asset_id}/", again=True)


def _own(session: Session, name: str) -> dict[str, DandisetRow]:
    """The user's newest Dandisets of this name, by their ids."""
    path = "/dandisets/"
    answer = session.get(path, user="me", embargoed="true", ordering="-id", page_size=PAGE)
    rows = json_object(answer, path).get("results")
    if not isinstance(rows, list):
        raise BadAnswerError(f"{path}: a page without results")
    found = [dandiset_row(row, path) for row in rows]
    return {row.identifier: row for row in found if row.draft.name == name}


def _placed(answer: object, path: str) -> DraftAsset:
    row = json_object(answer, path)
    asset_id, at, blob = row.get("asset_id"), row.get("path"), row.get("blob")
    if not is_asset_id(asset_id) or not isinstance(at, str):
        raise BadAnswerError(f"{path}: not an asset's entry")
    return DraftAsset(asset_id, at, blob if isinstance(blob, str) else "")


def _asset_id(answer: object, path: str) -> str:
    asset_id = answer.get("asset_id") if isinstance(answer, dict) else None
    if not is_asset_id(asset_id):
        # it has been created all the same
        raise LostResponse(f"{path}: the response has no asset; run the command again")
    return asset_id
