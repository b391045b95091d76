"""What stock DataLad and git-annex print and ask for."""

from __future__ import annotations

from pathlib import Path

from dandi_mirror.embedded import Server
from tests.conftest import run


def quiet(*arguments: str, cwd: Path) -> str:
    """Run a stock tool that must have nothing to complain about; its standard output."""
    done = run(*arguments, cwd=cwd)
    for line in done.stderr.splitlines():
        assert not any(word in line.lower() for word in ("warn", "error", "fail", "not auto-enabled")), done.stderr
    return done.stdout


def content_requests(server: Server) -> list[str]:
    return [request.path for request in server.requests if "/blobs/" in request.path or "/download/" in request.path]
