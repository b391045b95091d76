"""The calls to the API that change a Dandiset: its draft's assets, publishing, creating, deleting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dandi_mirror.archive.http import Session
from dandi_mirror.model import DandisetRow


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
    raise NotImplementedError


def publish(session: Session, dandiset: str) -> None:
    """Have the draft published, which the archive does some time later (the draft's status is ``Published`` then).

    Raises:
        Refused: the archive does not; it says why (``said``).
    """
    raise NotImplementedError


def unembargo(session: Session, dandiset: str) -> None:
    """Have an embargoed Dandiset opened, which the archive does some time later."""
    raise NotImplementedError


def delete_dandiset(session: Session, dandiset: str) -> None:
    """Delete a Dandiset that has no published version."""
    raise NotImplementedError


def asset_at(session: Session, dandiset: str, path: str) -> Placed | None:
    """What the draft has at a path."""
    raise NotImplementedError


def create_asset(session: Session, dandiset: str, metadata: Mapping[str, object], blob: str) -> str:
    """An asset at the path that its metadata names; its id."""
    raise NotImplementedError


def replace_asset(session: Session, dandiset: str, asset_id: str, metadata: Mapping[str, object], blob: str) -> str:
    """An asset in the place of another one, also at another path; its id."""
    raise NotImplementedError


def delete_asset(session: Session, dandiset: str, asset_id: str) -> None:
    """Take an asset out of the draft; nothing if it is not there."""
    raise NotImplementedError
