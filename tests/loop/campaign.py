"""Rounds of edits and uploads, and what must hold after each."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.http.session import Session
from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset, Server, serve
from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.state.layout import mirror_of
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.workflows.upload.request import UploadRequest
from dandi_mirror.workflows.upload.upload import Upload
from tests.conftest import MirrorOfTest, run
from tests.loop.edits import Edits
from tests.support.credentials import TOKEN
from tests.support.moments import reaches
from tests.support.waiting import wait_until

DANDISET = "000123"
ROUNDS_WITHOUT = 20
"""Rounds that may go by without a kill that struck."""


@dataclass(slots=True)
class Loop:
    """One archive, its mirror, and a clone in which somebody works."""

    archive: Archive
    server: Server
    dandiset: Dandiset
    mirror: MirrorOfTest
    edits: Edits
    worker: Worker
    seed: int
    problems: list[str] = field(default_factory=list)
    bytes_sent: int = 0
    kills: int = 0
    """Those that came before the upload had ended."""
    tries: int = 0
    takes: float = 1.5
    """Seconds that an upload computes; corrected by each that ended before it could be killed."""

    @property
    def folder(self) -> Path:
        """The clone."""
        return self.edits.folder

    def rounds(self, number: int) -> None:
        """So many times: edits, an upload, and a look at everything."""
        for index in range(number):
            self.edits.some()
            held = self.edits.held()
            self.upload()
            for problem in self.wrong(held):
                self.problems.append(f"round {index}: {problem}")
            if self.problems:
                return

    def killed_rounds(self, number: int) -> None:
        """The same, and each upload is killed once or twice before it may come to its end.

        A round counts if a kill struck in it.  The rounds go on until so many count; where too few do, that is a
        problem.
        """
        counted = index = 0
        while counted < number:
            if index == number + ROUNDS_WITHOUT:
                self.problems.append(f"kills struck in {counted} of {index} rounds; {number} were wanted")
                return
            index += 1
            self.edits.some()
            held = self.edits.held()
            before = self.kills
            for _ in range(self.edits.dice.randint(1, 2)):
                self._killed_upload()
            counted += self.kills > before
            self.upload()
            self.problems += [f"round {index}: {problem}" for problem in self.wrong(held)]
            if self.problems:
                return

    def _killed_upload(self) -> None:
        """An upload that is killed at a moment that does not depend on how busy the machine is."""
        child = started(self.folder, self.server)
        if not reaches(child, self.edits.dice.uniform(0.3, 1.0) * self.takes):
            self.takes *= 0.9
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        wait_until(lambda: _is_gone(child.pid))  # on a busy machine its git may hold the locks for a moment
        self.tries += 1
        self.kills += child.returncode == -signal.SIGKILL

    def upload(self) -> Upload:
        """One upload, in this process."""
        with closing(Session(self.server.api_url, TOKEN)) as session:
            wanted = UploadRequest(sync=True, allow_deletes=True, validate=False, include=("*",))
            upload = Upload(
                ArchiveClient(session), mirror_of(self.folder, DANDISET), DANDISET, wanted, worker=self.worker
            )
            with upload.held():
                planned = upload.plan()
                upload.check(planned)
                if planned.idle(wanted.selects):
                    return upload
                for outcome in upload.carry_out(planned):
                    self.bytes_sent += outcome.sent
                    if outcome.exit_code:
                        self.problems.append(f"{outcome.step.path}: {outcome.message}")
            report = upload.result.report
            if report and report.exit_code:
                self.problems.append(f"sync: {report.message} {report.findings}")
            return upload

    def wrong(self, held: dict[str, bytes]) -> Iterator[str]:
        """What does not hold after an upload of a work tree that held this."""
        listed = {asset.path: asset.blob.read() for asset in self.dandiset.draft if asset.blob}
        yield from (f"{path} is not in the archive as it was here" for path in sorted(held)
                    if listed.get(path) != held[path])  # fmt: skip
        yield from (f"{path} is in the archive, and not here" for path in sorted(listed.keys() - held.keys()))
        after = self.edits.held()
        if after != held:
            yield f"the upload changed files: {sorted(set(after.items()) ^ set(held.items()))[:3]!a}"
        if status := self._git("status", "--porcelain"):
            yield f"git is not clean: {status}"
        yield from self._sent_twice()
        head = self._git("rev-parse", "draft")
        try:
            again = self.upload()
        except MirrorError as error:
            yield f"another upload is refused: {error}"
            return
        if again.result.report is not None or self._git("rev-parse", "draft") != head:
            yield "another upload finds something to do"
        self.mirror.sync(DANDISET)
        if (there := self.mirror.git("rev-parse", "draft")) != head:
            yield f"the mirror made {there}, the clone {head}"
        yield from self._undroppable()

    def _sent_twice(self) -> Iterator[str]:
        distinct = {hashlib.sha256(content).digest(): len(content) for content in self.edits.contents}
        if self.bytes_sent > (most := sum(distinct.values())):
            yield f"{self.bytes_sent:,} bytes were sent, and all that was ever written are {most:,}"

    def _undroppable(self) -> Iterator[str]:
        clone = AnnexRepository(self.folder)
        clone.read_config()
        keys = {file.key: file.path for file in clone.tracked(clone.listing())}
        for key, facts in clone.facts(keys):
            urls = [url for url in facts.urls if url.startswith(self.server.api_url)]
            live = {f"{self.server.api_url}/assets/{asset.asset_id}/download/" for asset in self.dandiset.draft}
            if not live.intersection(urls) or len(facts.urls) < 2:
                yield f"{keys[key]}: git-annex knows no live URL of it: {facts}"

    def _git(self, *arguments: str) -> str:
        return run("git", "-C", str(self.folder), *arguments).stdout.strip()


def started(folder: Path, server: Server) -> subprocess.Popen[bytes]:
    """An upload in a process of its own, and its group."""
    command = [sys.executable, "-m", "dandi_mirror", "upload", "--sync", "--allow-deletes", "--validation", "skip"]
    command += ["--include", "*"]
    env = {**os.environ, token_variable(server.api_url): TOKEN}
    return subprocess.Popen(
        [*command, "-i", server.api_url], cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


@contextmanager
def begin(seed: int, folder: Path) -> Iterator[Loop]:
    """Everything that a loop needs, with a few files in the archive."""
    archive, dice = Archive(instance_name="DANDI", doi_prefix="10.48324"), random.Random(seed)
    archive.add_user("me@example.org", TOKEN, name="Olive Owner")
    dandiset = archive.create_dandiset(DANDISET, name="A loop", owners=("me@example.org",))
    for number in range(4):
        content = dice.randbytes(500)
        dandiset.add_asset(f"sub-{number}/sub-{number}_behavior.mp4", archive.add_blob(content))
    dandiset.add_asset("participants.tsv", archive.add_blob(b"a\tb\n"))
    with serve(archive) as server, Worker(2) as worker:
        mirror = MirrorOfTest(folder / "mirror", server)
        mirror.sync(DANDISET)
        run("datalad", "clone", str(mirror.path / DANDISET), "clone", cwd=folder)
        run("datalad", "get", ".", cwd=folder / "clone")
        yield Loop(archive, server, dandiset, mirror, Edits(folder / "clone", dice), worker, seed)


def _is_gone(group: int) -> bool:
    """Whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False
