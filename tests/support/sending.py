"""Files, and sending them as a test does: impatiently."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from dandi_mirror.addresses import Allowed
from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Archive, Objects, Server
from dandi_mirror.upload.send.send_files import send_blobs
from dandi_mirror.upload.send.types import SendMeter, Sent, SourceFile, Unsent
from tests.support.asking import OWNER

MIB = 1 << 20
PART = 64 * MIB
TOKEN = OWNER
SMALL_PART = 5 * MIB
"""The least that S3 takes; for tests that set it."""
DANDISET = "000123"
PATIENCE = RetryPolicy(attempts=3, backoff=0.01, connect_timeout=5, read_timeout=5, total_timeout=20)


def own_archive(s3: Objects | None = None) -> Archive:
    archive = Archive(s3=s3)
    archive.jobs.delay = None
    archive.add_user("owner@nil.nil", TOKEN)
    archive.create_dandiset(DANDISET, owners=("owner@nil.nil",))
    return archive


HERE = Allowed(addresses=frozenset({"127.0.0.1"}))
"""The bucket may be a server of its own on this machine."""


class Desk:
    """From where a person uploads."""

    def __init__(self, api_url: str, folder: Path, patience: RetryPolicy = PATIENCE, token: str = TOKEN) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.meter = SendMeter()
        self.session = Session(api_url, token, patience, allowed=HERE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def file(self, name: str, size: int, seed: int = 0) -> SourceFile:
        """A file of so many bytes, which are others for each seed."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        piece = random.Random(f"{size} {seed}").randbytes(min(size, MIB))
        with file.open("wb") as out:
            for number in range(0, size, MIB):
                out.write((number.to_bytes(8) + piece[8:])[: size - number])
        return SourceFile(file, name, DANDISET)

    def send(self, *sources: SourceFile, jobs: int = 4) -> dict[str, Sent | Unsent]:
        """What became of each, by its path."""
        return {done.source.path: done for done in self.sending(sources, jobs)}

    def sending(self, sources: Iterable[SourceFile], jobs: int = 4) -> Iterable[Sent | Unsent]:
        return send_blobs(self.session, sources, self.state, jobs=jobs, meter=self.meter)

    def sent(self, *sources: SourceFile) -> dict[str, Sent]:
        """The same, where each is sent."""
        done = self.send(*sources)
        assert all(isinstance(outcome, Sent) for outcome in done.values()), done
        return {path: outcome for path, outcome in done.items() if isinstance(outcome, Sent)}

    def why(self, source: SourceFile) -> str:
        """Why a file is not sent."""
        outcome = self.send(source)[source.path]
        assert isinstance(outcome, Unsent), outcome
        return str(outcome.error)

    @property
    def notes(self) -> list[Path]:
        """What is there of uploads that go on."""
        return sorted(self.state.glob("*")) if self.state.exists() else []


def sha256(source: SourceFile) -> str:
    return hashlib.sha256(source.file.read_bytes()).hexdigest()


def put(server: Server) -> list[int]:
    """The bytes of each part that arrived."""
    return [
        int(request.headers["content-length"])
        for request in server.requests
        if request.method == "PUT" and "/dandi-dandisets/" in request.path and request.status == 200
    ]


def asked(server: Server) -> list[str]:
    """Method and path of each request, ids left out."""
    return [f"{request.method} {_bare(request.path)}" for request in server.requests]


def _bare(path: str) -> str:
    names = path.removeprefix("/api").split("/")
    return "/".join("ID" if len(name) == 36 and name.count("-") == 4 else name for name in names)


def stored(archive: Archive, sent: Sent) -> bytes:
    return b"".join(archive.bucket.read(f"blobs/{sent.blob[:3]}/{sent.blob[3:6]}/{sent.blob}"))
