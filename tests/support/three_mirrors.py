"""Three mirrors of one archive on one machine, which know each other as siblings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dandi_mirror.config import FILE
from dandi_mirror.embedded import Archive, Server
from dandi_mirror.mirror.copies.table import ALL_VERSIONS
from tests.conftest import MirrorOfTest
from tests.support.dandisets import participant

DANDISET = "000123"
VERSION = "0.240101.0000"
OLD = {f"sub-{number}/a.nwb": f"published content {number} ".encode() * (number + 1) for number in range(4)}
NEW = {"later.nwb": b"content of the draft alone"}


@dataclass
class ThreeMirrors:
    """The mirrors ``here``, ``oxford`` and ``basel``; ``here`` knows the others."""

    archive: Archive
    here: MirrorOfTest
    oxford: MirrorOfTest
    basel: MirrorOfTest

    def know(self, mirror: MirrorOfTest, siblings: Mapping[str, str], more: str = "") -> None:
        """Name other mirrors in the settings of one."""
        tables = [f'[sibling.{name}]\nurl = "{url}"\ntype = "mirror"\n' for name, url in siblings.items()]
        (mirror.path / FILE).write_text(more + "\n" + "".join(tables))

    def uuid(self, mirror: MirrorOfTest) -> str:
        """The UUID of a mirror's dataset."""
        return mirror.git("config", "annex.uuid")


def make_three(archive: Archive, server: Server, folder: Path) -> ThreeMirrors:
    """Make the mirrors: oxford has all content, basel that of the published version, here none."""
    made = archive.create_dandiset(DANDISET, name="a Dandiset with copies")
    for path, content in OLD.items():
        made.add_asset(path, archive.add_blob(content), metadata=participant(path[:5]))
    made.publish(VERSION, created="2024-01-01T00:00:00Z")
    for path, content in NEW.items():
        made.add_asset(path, archive.add_blob(content), metadata=participant("late"))
    three = ThreeMirrors(archive, *(MirrorOfTest(folder / name, server) for name in ("here", "oxford", "basel")))
    three.here.cli("sync", DANDISET)
    three.oxford.cli("sync", DANDISET, "--get", "*.nwb")
    three.basel.cli("sync", DANDISET, "--get", "sub-*.nwb")
    three.know(three.here, {"oxford": str(three.oxford.path), "basel": str(three.basel.path)})
    return three


def records(text: str, action: str) -> list[dict[str, Any]]:
    """The JSON records of an action that a command printed."""
    found = [json.loads(line) for line in text.splitlines()]
    return [record for record in found if record["action"] == action]


def all_versions(mirror: MirrorOfTest) -> dict[str, Any]:
    """What ``coverage`` shows of all versions together."""
    (found,) = records(mirror.cli("coverage", "-f", "json").stdout, "coverage")
    assert found["versions"][-1]["version"] == ALL_VERSIONS
    row: dict[str, Any] = found["versions"][-1]
    return row


def sizes(row: dict[str, Any]) -> list[int]:
    """The bytes with 0, 1, 2, 3 and more copies."""
    return [amount["size"] for amount in row["copies"]]
