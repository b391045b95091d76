"""A mirror with a sibling, and what push reports."""

from __future__ import annotations

import os
import shlex
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.http.session import Session
from dandi_mirror.config import Sibling
from dandi_mirror.embedded import Dandiset
from dandi_mirror.errors import TemporaryError
from dandi_mirror.mirror.push.push import PushResult, PushRun, push_many
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import ListedDandiset
from tests.conftest import IMPATIENT, MirrorOfTest, run


@dataclass
class Published:
    """A mirror of two Dandisets, and a folder of bare repositories to push it to."""

    mirror: MirrorOfTest
    dandisets: dict[str, Dandiset]
    target: Path

    def push(self, *ids: str, private: bool = False, ask: Any = None, **options: Any) -> dict[str, PushResult]:
        """A push in this process; the reports by Dandiset."""
        here = Mirror(self.mirror.path)
        with closing(Session(self.mirror.server.api_url, policy=IMPATIENT)) as session:
            sibling = Sibling("backup", str(self.target), "bare", private)
            asked = ask or ArchiveClient(session).dandiset
            return {
                report.dandiset: report
                for report in push_many(PushRun(here, sibling, list(ids) or here.dandisets(), asked, **options), 2)
            }

    def cli(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """``dandi-mirror push``, with the sibling in the settings."""
        self.configure()
        return self.mirror.cli("push", *arguments, code=code)

    def configure(self, more: str = "") -> None:
        settings = f'[sibling.backup]\nurl = "{self.target}"\n{more}'
        (self.mirror.path / "dandi-mirror.toml").write_text(settings)

    def there(self, part: str) -> dict[str, str]:
        """Every ref of a repository at the sibling."""
        if not (self.target / part / "HEAD").exists():
            return {}
        lines = run("git", "-C", str(self.target / part), "show-ref", code=None).stdout.splitlines()
        return {ref: oid for oid, _, ref in (line.partition(" ") for line in lines)}

    def here(self, part: str) -> dict[str, str]:
        """What of a repository is to be published."""
        refs = self.mirror.refs(part)
        return {ref: oid for ref, oid in refs.items() if ref.startswith(("refs/heads/", "refs/tags/"))}

    def change(self, dandiset: str) -> None:
        made = self.dandisets[dandiset]
        made.add_asset(f"{len(made.archive.blobs)}.nwb", made.archive.add_blob(os.urandom(8)))
        assert self.mirror.sync(dandiset).exit_code == 0


def codes(reports: dict[str, PushResult]) -> dict[str, int]:
    return {dandiset: report.exit_code for dandiset, report in reports.items()}


def type_in(report: PushResult, start: str) -> None:
    """Do what a report says should be typed, word for word."""
    begin = report.message.index(start)
    command = report.message[begin:].split(";")[0].split(",")[0]
    run(*shlex.split(command))


def refuse_to_answer(dandiset: str) -> ListedDandiset:
    raise TemporaryError("did not answer")
