"""The calls to the API that change a Dandiset: its draft's assets, publishing, creating, deleting.

None is made twice because its answer was lost: what the archive has is looked at first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from dandi_mirror.archive.api.client import PAGE
from dandi_mirror.archive.api.rows import dandiset_row, json_object
from dandi_mirror.archive.http.session import LostAnswer, Refused, Session
from dandi_mirror.errors import BadAnswerError, NotFoundError
from dandi_mirror.model import DandisetRow, is_asset_id

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Placed:
    """An asset of a draft."""

    asset_id: str
    path: str
    blob: str
    """The blob's id; empty of a Zarr."""


def create_dandiset(
    session: Session, name: str, metadata: Mapping[str, object], *, embargo: bool = False
) -> DandisetRow:
    """A new Dandiset; also if the answer is lost, there is one only.

    Raises:
        Refused: the archive does not take the metadata.
        CredentialsError: who asks may not.
    """
    path = "/dandisets/?embargo=true" if embargo else "/dandisets/"
    there = set(_own(session, name))

    def post() -> DandisetRow:
        return dandiset_row(session.send("POST", path, {"name": name, "metadata": dict(metadata)}), path)

    def look() -> DandisetRow | None:
        new = [row for identifier, row in _own(session, name).items() if identifier not in there]
        return new[0] if len(new) == 1 else None

    return _once(session, post, look)


def publish(session: Session, dandiset: str, notes: str = "") -> None:
    """Have the draft published, which the archive does some time later (the draft's status is ``Published`` then).

    ``notes`` are its release notes.

    Raises:
        Refused: the archive does not; it says why (``said``).
    """

    def look() -> bool | None:
        path = f"/dandisets/{dandiset}/"
        return dandiset_row(session.get(path), path).draft.status in {"Publishing", "Published"} or None

    def post() -> bool:
        session.send(
            "POST", f"/dandisets/{dandiset}/versions/draft/publish/", {"release_notes": notes} if notes else {}
        )
        return True

    _once(session, post, look)


def unembargo(session: Session, dandiset: str) -> None:
    """Have an embargoed Dandiset opened, which the archive does some time later.

    Raises:
        Refused: it is not embargoed, or somebody uploads to it.
    """

    def look() -> bool | None:
        path = f"/dandisets/{dandiset}/"
        return dandiset_row(session.get(path), path).embargo_status != "EMBARGOED" or None

    def post() -> bool:
        session.send("POST", f"/dandisets/{dandiset}/unembargo/")
        return True

    _once(session, post, look)


def delete_dandiset(session: Session, dandiset: str) -> None:
    """Delete a Dandiset that has no published version; nothing if there is none."""
    with suppress(NotFoundError):  # also by a request whose answer was lost
        session.send("DELETE", f"/dandisets/{dandiset}/", again=True)


def asset_at(session: Session, dandiset: str, path: str) -> Placed | None:
    """What the draft has at a path."""
    where = f"/dandisets/{dandiset}/versions/draft/assets/"
    rows = json_object(session.get(where, path=path, page_size=1), where).get("results")
    if not isinstance(rows, list):
        raise BadAnswerError(f"{where}: a page without results")
    # where there is none at the path, those are listed whose paths begin with it
    return next((placed for row in rows if (placed := _placed(row, where)).path == path), None)


def create_asset(session: Session, dandiset: str, metadata: Mapping[str, object], blob: str) -> str:
    """An asset at the path that its metadata names; its id.  If that path has this blob already, it is that one.

    Raises:
        Refused: 409 if the path has other content, or is both a file and a folder; 400 if it cannot be a path.
    """
    where, path = f"/dandisets/{dandiset}/versions/draft/assets/", str(metadata["path"])

    def look() -> str | None:
        found = asset_at(session, dandiset, path)
        return found.asset_id if found and found.blob == blob else None

    def post() -> str:
        return _asset_id(session.send("POST", where, {"metadata": dict(metadata), "blob_id": blob}), where)

    try:
        return _once(session, post, look)
    except Refused as refused:
        if refused.status == 409 and (found := look()):
            return found
        raise


def replace_asset(session: Session, dandiset: str, asset_id: str, metadata: Mapping[str, object], blob: str) -> str:
    """An asset in the place of another one, also at another path; its id.

    Raises:
        NotFoundError: the draft has the other one no more, and not this one either.
        Refused: as :func:`create_asset`.
    """
    where, path = f"/dandisets/{dandiset}/versions/draft/assets/{asset_id}/", str(metadata["path"])

    def look() -> str | None:
        found = asset_at(session, dandiset, path)
        return found.asset_id if found and found.blob == blob and found.asset_id != asset_id else None

    def put() -> str:
        return _asset_id(session.send("PUT", where, {"metadata": dict(metadata), "blob_id": blob}), where)

    try:
        return _once(session, put, look)
    except NotFoundError:
        if found := look():
            return found
        raise


def delete_asset(session: Session, dandiset: str, asset_id: str) -> None:
    """Take an asset out of the draft; nothing if it is not there."""
    with suppress(NotFoundError):  # also by a request whose answer was lost
        session.send("DELETE", f"/dandisets/{dandiset}/versions/draft/assets/{asset_id}/", again=True)


def _once(session: Session, do: Callable[[], _T], look: Callable[[], _T | None]) -> _T:
    """Have something done once: when the answer is lost, look whether it has been done before it is asked again."""
    for attempt in range(1, session.policy.attempts + 1):
        try:
            return do()
        except LostAnswer:
            time.sleep(session.policy.pause(attempt))
            if (found := look()) is not None:
                return found
            if attempt == session.policy.attempts:
                raise
    raise AssertionError("the last attempt returns or raises")


def _own(session: Session, name: str) -> dict[str, DandisetRow]:
    """The newest Dandisets of who asks that have this name, by their ids."""
    path = "/dandisets/"
    answer = session.get(path, user="me", embargoed="true", ordering="-id", page_size=PAGE)
    rows = json_object(answer, path).get("results")
    if not isinstance(rows, list):
        raise BadAnswerError(f"{path}: a page without results")
    found = [dandiset_row(row, path) for row in rows]
    return {row.identifier: row for row in found if row.draft.name == name}


def _placed(answer: object, path: str) -> Placed:
    row = json_object(answer, path)
    asset_id, at, blob = row.get("asset_id"), row.get("path"), row.get("blob")
    if not is_asset_id(asset_id) or not isinstance(at, str):
        raise BadAnswerError(f"{path}: a row that is not an asset's")
    return Placed(asset_id, at, blob if isinstance(blob, str) else "")


def _asset_id(answer: object, path: str) -> str:
    asset_id = answer.get("asset_id") if isinstance(answer, dict) else None
    if not is_asset_id(asset_id):
        # it has been made all the same
        raise LostAnswer(f"{path} answers with no asset; run the command again")
    return asset_id
