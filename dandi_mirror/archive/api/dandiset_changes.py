"""The API calls that change a Dandiset: its draft's assets, publishing, creating, deleting.

No call is repeated only because its response was lost: the program first looks at what the archive has.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode

from dandi_mirror.archive.api.client import PAGE
from dandi_mirror.archive.api.entries import json_object, listed_dandiset
from dandi_mirror.archive.http.retrying_client import LostResponse, RequestRefused
from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import BadAnswerError, NotFoundError
from dandi_mirror.model import ListedDandiset, is_asset_id


@dataclass(frozen=True, slots=True)
class Source:
    """The blob or the Zarr of an asset: one of the two ids is empty."""

    blob: str = ""
    zarr: str = ""

    @property
    def body(self) -> dict[str, str]:
        """As a request names it."""
        return {"zarr_id": self.zarr} if self.zarr else {"blob_id": self.blob}


@dataclass(frozen=True, slots=True)
class DraftAsset:
    """An asset of a draft."""

    asset_id: str
    path: str
    source: Source
    """What it is made of."""


def create_dandiset(
    session: Session, name: str, metadata: Mapping[str, object], query: Mapping[str, str] | None = None
) -> ListedDandiset:
    """Create a Dandiset; only one, even if a response is lost.  ``query`` is about its embargo.

    Raises:
        RequestRefused: the archive does not accept the metadata.
        CredentialsError: the user may not create Dandisets.
    """
    path = f"/dandisets/?{urlencode(query)}" if query else "/dandisets/"
    there = set(own_dandisets(session, name))

    def post() -> ListedDandiset:
        return listed_dandiset(session.send("POST", path, {"name": name, "metadata": dict(metadata)}), path)

    def look() -> ListedDandiset | None:
        new = [entry for identifier, entry in own_dandisets(session, name).items() if identifier not in there]
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
        return listed_dandiset(session.get(path), path).draft.status in {"Publishing", "Published"} or None

    def post() -> bool:
        session.send(
            "POST", f"/dandisets/{dandiset}/versions/draft/publish/", {"release_notes": notes} if notes else {}
        )
        return True

    session.once(post, look)


@dataclass(frozen=True, slots=True)
class DraftRecord:
    """The Dandiset's record in its draft, as the archive gives it."""

    metadata: dict[str, object]
    modified: str
    """When the draft last changed; the archive's own text."""
    errors: tuple[str, ...]
    """What the archive found wrong with the record, as ``FIELD: words``."""


def draft_record(session: Session, dandiset: str) -> DraftRecord:
    """The Dandiset's record in its draft."""
    path = f"/dandisets/{dandiset}/versions/draft/info/"
    answer = json_object(session.get(path), path)
    metadata, modified = answer.get("metadata"), answer.get("modified")
    if not isinstance(metadata, dict) or not isinstance(modified, str) or not isinstance(metadata.get("name"), str):
        raise BadAnswerError(f"{path}: no record of a Dandiset")
    said = answer.get("version_validation_errors")
    errors = [error for error in said if isinstance(error, dict)] if isinstance(said, list) else []
    return DraftRecord(metadata, modified, tuple(f"{e.get('field') or 'record'}: {e.get('message')}" for e in errors))


def set_draft_record(session: Session, dandiset: str, metadata: Mapping[str, object]) -> None:
    """Replace the Dandiset's record in its draft; what the archive computes it writes itself.

    Raises:
        RequestRefused: the archive does not accept it, for example while it opens an embargo.
        CredentialsError: the token's user does not own the Dandiset.
    """
    body = {"name": metadata["name"], "metadata": dict(metadata)}
    session.send("PUT", f"/dandisets/{dandiset}/versions/draft/", body, again=True)


def record_schema(session: Session) -> dict[str, object]:
    """The JSON Schema that the archive gives for a Dandiset's record."""
    path = "/schemas/"
    return json_object(session.get(path, model="Dandiset"), path)


def unembargo(session: Session, dandiset: str) -> None:
    """Lift the embargo of a Dandiset, which the archive does some time later; another owner may have done it meanwhile.

    Raises:
        RequestRefused: it is not embargoed, or has unfinished uploads.
    """

    def look() -> bool | None:
        path = f"/dandisets/{dandiset}/"
        return listed_dandiset(session.get(path), path).embargo_status != "EMBARGOED" or None

    def post() -> bool:
        session.send("POST", f"/dandisets/{dandiset}/unembargo/")
        return True

    try:
        session.once(post, look)
    except RequestRefused:
        if not look():
            raise


def delete_dandiset(session: Session, dandiset: str) -> None:
    """Delete a Dandiset that has no published version; does nothing if it does not exist."""
    with suppress(NotFoundError):  # perhaps deleted by a request whose response was lost
        session.send("DELETE", f"/dandisets/{dandiset}/", again=True)


def asset_at(session: Session, dandiset: str, path: str) -> DraftAsset | None:
    """The asset of the draft at a path."""
    where = f"/dandisets/{dandiset}/versions/draft/assets/"
    entries = json_object(session.get(where, path=path, page_size=1), where).get("results")
    if not isinstance(entries, list):
        raise BadAnswerError(f"{where}: a page without results")
    # without an asset at the path, the API lists those whose paths begin with it
    return next((placed for entry in entries if (placed := _placed(entry, where)).path == path), None)


def asset_record(session: Session, asset_id: str) -> dict[str, object]:
    """The record of an asset, as the archive has it.

    Raises:
        NotFoundError: there is no such asset.
        BadAnswerError: the answer is no record.
    """
    return json_object(session.get(path := f"/assets/{asset_id}/"), path)


def create_asset(session: Session, dandiset: str, metadata: Mapping[str, object], source: Source) -> str:
    """Create an asset at the path that its metadata names; its id.  Takes an existing asset with the same source.

    Raises:
        RequestRefused: 409 if the path has other content, or is both a file and a folder; 400 for an invalid path.
    """
    where, path = f"/dandisets/{dandiset}/versions/draft/assets/", str(metadata["path"])

    def look() -> str | None:
        found = asset_at(session, dandiset, path)
        return found.asset_id if found and found.source == source else None

    def post() -> str:
        return _asset_id(session.send("POST", where, {"metadata": dict(metadata), **source.body}), where)

    try:
        return session.once(post, look)
    except RequestRefused as refused:
        if refused.status == 409 and (found := look()):
            return found
        raise


def replace_asset(
    session: Session, dandiset: str, asset_id: str, metadata: Mapping[str, object], source: Source
) -> str:
    """Replace an asset by a new one, which may have another path; its id.

    Raises:
        NotFoundError: the draft has neither the old asset nor the new one.
        RequestRefused: as :func:`create_asset`.
    """
    where, path = f"/dandisets/{dandiset}/versions/draft/assets/{asset_id}/", str(metadata["path"])

    def look() -> str | None:
        found = asset_at(session, dandiset, path)
        return found.asset_id if found and found.source == source and found.asset_id != asset_id else None

    def put() -> str:
        return _asset_id(session.send("PUT", where, {"metadata": dict(metadata), **source.body}), where)

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


def own_dandisets(session: Session, name: str) -> dict[str, ListedDandiset]:
    """The user's newest Dandisets of this name, by their ids."""
    path = "/dandisets/"
    answer = session.get(path, user="me", embargoed="true", ordering="-id", page_size=PAGE)
    entries = json_object(answer, path).get("results")
    if not isinstance(entries, list):
        raise BadAnswerError(f"{path}: a page without results")
    found = [listed_dandiset(entry, path) for entry in entries]
    return {entry.identifier: entry for entry in found if entry.draft.name == name}


def _placed(answer: object, path: str) -> DraftAsset:
    entry = json_object(answer, path)
    asset_id, at = entry.get("asset_id"), entry.get("path")
    blob, zarr = (found if isinstance(found := entry.get(kind), str) else "" for kind in ("blob", "zarr"))
    if not is_asset_id(asset_id) or not isinstance(at, str):
        raise BadAnswerError(f"{path}: not an asset's entry")
    return DraftAsset(asset_id, at, Source(blob, zarr))


def _asset_id(answer: object, path: str) -> str:
    asset_id = answer.get("asset_id") if isinstance(answer, dict) else None
    if not is_asset_id(asset_id):
        # it has been created all the same
        raise LostResponse(f"{path}: the response has no asset; run the command again")
    return asset_id
