"""Uploads in this process, with one worker for all tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.http.session import Session
from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset, Request, Server
from dandi_mirror.mirror.state.layout import mirror_of
from dandi_mirror.upload.change.execute import StepOutcome, outcomes_without_work
from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.workflows.upload.plan import Planned
from dandi_mirror.workflows.upload.request import UploadRequest
from dandi_mirror.workflows.upload.update import bring_changes
from dandi_mirror.workflows.upload.upload import Result, Upload
from tests.conftest import IMPATIENT, MirrorOfTest, run
from tests.support.credentials import TOKEN
from tests.support.dandisets import seed_owned


@dataclass(slots=True)
class Uploaded:
    """What an upload did."""

    planned: Planned
    outcomes: list[StepOutcome]
    result: Result

    @property
    def failures(self) -> dict[str, str]:
        """Path → why it did not go up."""
        return {outcome.step.path: outcome.message for outcome in self.outcomes if outcome.exit_code}

    @property
    def steps(self) -> dict[str, str]:
        """Path → what was to be done."""
        return {step.path: str(step.do) for step in self.planned.plan.steps}

    @property
    def sent(self) -> int:
        """Bytes."""
        return sum(outcome.sent for outcome in self.outcomes)


@dataclass(slots=True)
class Person:
    """Somebody who uploads from one folder."""

    folder: Path
    server: Server
    worker: Worker
    dandiset: str = "000123"
    said: list[str] = field(default_factory=list)

    def upload(
        self, *, token: str = TOKEN, update: bool = False, meanwhile: Callable[[], object] = bool, **how: Any
    ) -> Uploaded:
        """An upload of what is in the folder, whatever its kind; ``meanwhile`` is done after each file."""
        with closing(Session(self.server.api_url, token, IMPATIENT)) as session:
            usual: dict[str, Any] = {"validate": False, "wait": 10.0, "include": ("*",)}
            wanted = UploadRequest(**usual | how)
            mirror = mirror_of(self.folder, self.dandiset)
            upload = Upload(ArchiveClient(session), mirror, self.dandiset, wanted, worker=self.worker)
            with upload.held():
                if update:
                    assert bring_changes(upload).exit_code == 0
                planned = upload.plan()
                upload.check(planned)
                outcomes = list(outcomes_without_work(planned.plan, wanted.names_itself))
                if not planned.idle(wanted.selects):
                    for outcome in upload.carry_out(planned):
                        outcomes.append(outcome)
                        meanwhile()
            return Uploaded(planned, outcomes, upload.result)

    def write(self, path: str, content: bytes) -> Path:
        """A file with some content, whatever was there."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_bytes(content)
        return file

    def git(self, *arguments: str) -> str:
        """What git says."""
        return run("git", "-C", str(self.folder), *arguments).stdout.strip()

    def writes(self) -> list[Request]:
        """The requests that changed something, or meant to; looking for a blob is none."""
        return [
            request for request in self.server.requests
            if request.method != "GET" and not request.path.endswith("/blobs/digest/")
        ]  # fmt: skip


FIRST, SECOND, THIRD = (f"sub-{number}/sub-{number}_ses-1_ecephys.nwb" for number in range(3))


@pytest.fixture
def mine(archive: Archive) -> Dandiset:
    return seed_owned(archive)


@pytest.fixture
def token(server: Server) -> dict[str, str]:
    return {token_variable(server.api_url): TOKEN}


@pytest.fixture
def me(mine: Dandiset, mirror: MirrorOfTest, worker: Worker) -> Person:
    """Somebody in the mirror's own dataset."""
    mirror.sync()
    mirror.server.requests.clear()
    return Person(mirror.path / "000123", mirror.server, worker)


@pytest.fixture
def elsewhere(mine: Dandiset, mirror: MirrorOfTest, worker: Worker, tmp_path: Path) -> Person:
    """Somebody in a clone, without content."""
    mirror.sync()
    run("datalad", "clone", str(mirror.path / "000123"), "clone", cwd=tmp_path)
    mirror.server.requests.clear()
    return Person(tmp_path / "clone", mirror.server, worker)


def paths(dandiset: Dandiset) -> list[str]:
    return sorted(asset.path for asset in dandiset.draft)
