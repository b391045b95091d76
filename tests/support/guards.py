"""Transfers that a guard has to stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from starlette.responses import RedirectResponse, Response

from dandi_mirror.addresses import Allowed
from dandi_mirror.archive.content.single import ByteCounter, FileDownloader, Item
from dandi_mirror.archive.content.sources import TransferSettings, TransferState
from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.embedded import Request
from dandi_mirror.errors import MirrorError

ID = "6a2f0f40-0000-4000-8000-000000000000"
HERE = Allowed(addresses=frozenset({"127.0.0.1"}))
QUICK = RetryPolicy(attempts=2, backoff=0.01, connect_timeout=5, read_timeout=5, total_timeout=20)


def bring(urls: list[str], content: bytes, folder: Path, access: TransferSettings) -> MirrorError | None:
    """Fetch one file as `get` does; what went wrong."""
    worker = FileDownloader(TransferState(access), ByteCounter())
    with closing(worker):
        item = Item(tuple(urls), len(content), sha256(content).hexdigest(), folder / "partial")
        return worker.whole(item).error


def leading_to(there: str) -> Callable[[Request], Response | None]:
    return lambda request: RedirectResponse(there) if request.path.endswith("/download/") else None
