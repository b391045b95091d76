"""Replay the recorded history of a Dandiset into an embedded archive, state by state."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dandi_mirror.embedded import Archive, Dandiset

DEMO_HISTORY = Path(__file__).with_name("000004.json.gz")


@dataclass(frozen=True, slots=True)
class Moment:
    """One recorded state: of the draft, or of a version as it was published."""

    time: str
    version: str
    """``draft`` or the published version."""
    metadata: dict[str, Any]
    assets: list[dict[str, Any]]
    annex_keys: dict[str, str]
    """Path → key in the official mirror."""


@dataclass(frozen=True, slots=True)
class History:
    """The recorded history of one Dandiset."""

    dandiset: dict[str, Any]
    moments: list[Moment]
    """In order of time."""

    @property
    def identifier(self) -> str:
        """``000004``."""
        return str(self.dandiset["identifier"])


def read_history(path: Path = DEMO_HISTORY) -> History:
    """A recorded history from its file."""
    with gzip.open(path) as file:
        recorded = json.load(file)
    moments = [
        Moment(state["draft_modified"], "draft", state["metadata"], state["assets"], state["official_annex_keys"])
        for state in recorded["states"]
    ]
    moments += [
        Moment(version["created"], name, version["metadata"], version["assets"], version["official_annex_keys"])
        for name, version in recorded["versions"].items()
    ]
    return History(recorded["dandiset"], sorted(moments, key=lambda moment: moment.time))


def play(archive: Archive, history: History) -> Iterator[Moment]:
    """Bring the archive to each recorded state in turn, and yield that state."""
    entry = history.dandiset
    dandiset = archive.create_dandiset(
        history.identifier, name=history.moments[0].metadata["name"], created=entry["created"]
    )
    for moment in history.moments:
        bring(dandiset, moment)
        yield moment


def bring(dandiset: Dandiset, moment: Moment) -> None:
    """Make the draft what was recorded, record by record, and publish it if a version was."""
    wanted = {entry["asset_id"]: entry for entry in moment.assets}
    for asset in list(dandiset.draft):
        if asset.asset_id not in wanted or asset.metadata != wanted[asset.asset_id]["metadata"]:
            dandiset.delete_asset(asset.path)
        else:
            del wanted[asset.asset_id]
    for entry in wanted.values():
        dandiset.add_asset(entry=entry, verbatim=True)
    if moment.version == "draft":
        dandiset.set_metadata(moment.metadata, verbatim=True)
    else:
        dandiset.publish(moment.version, created=moment.time, metadata=moment.metadata)
    dandiset.draft.modified = moment.time
