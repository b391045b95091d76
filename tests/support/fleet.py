"""A mirror of several Dandisets: how it is filled, asked and looked at."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.monitor.status import status_of
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import IMPATIENT, MirrorOfTest

TAG = "0.240101.0000"
STALLED = threading.Event()
"""Set at a test's end: no answer that was to take long is waited for any more."""
IDS = [f"{number:06d}" for number in range(1, 5)]


def fill(archive: Archive, ids: list[str]) -> None:
    for identifier in ids:
        dandiset = archive.create_dandiset(identifier, name=f"Test {identifier}")
        dandiset.add_asset("a.nwb", archive.add_blob(identifier.encode()))
        dandiset.add_asset("b.nwb", archive.add_blob(b"b" + identifier.encode()))


def asked(mirror: MirrorOfTest) -> list[str]:
    """The paths of the API that were asked for, and those requests are forgotten."""
    paths = [request.path.removeprefix("/api/") for request in mirror.server.requests]
    mirror.server.requests.clear()
    return paths


def records(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {str(line.get("dandiset", "summary")): line for line in lines}


def word(mirror: MirrorOfTest, dandiset: str, *, offline: bool = False) -> str:
    with closing(Session(mirror.server.api_url, policy=IMPATIENT)) as session:
        ask = None if offline else ArchiveClient(session).dandiset
        return str(status_of(Mirror(mirror.path), dandiset, ask).word)


def all_refs(mirror: MirrorOfTest) -> dict[str, dict[str, str]]:
    return {identifier: mirror.refs(identifier) for identifier in [*Mirror(mirror.path).dandisets(), "."]}


def registered(mirror: MirrorOfTest) -> dict[str, str]:
    """What the superdataset's commit holds: Dandiset → commit."""
    return {path: oid for path, (mode, oid) in mirror.tree(dandiset=".").items() if mode == b"160000"}


def set_verified(mirror: MirrorOfTest, dandiset: str, when: float) -> None:
    with sqlite3.connect(mirror.path / ".dandi-mirror" / "index.sqlite") as database:
        assert database.execute("UPDATE dandiset SET verified = ? WHERE id = ?", [when, dandiset]).rowcount == 1


def command(mirror: MirrorOfTest, *arguments: str) -> list[str]:
    where = ["-d", str(mirror.path), "-i", mirror.server.api_url]
    return [sys.executable, "-m", "dandi_mirror", "sync", *arguments, *where]
