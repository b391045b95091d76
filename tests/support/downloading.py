"""``dandi-mirror download``, and what lies in its folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.conftest import MirrorOfTest


def download(mirror: MirrorOfTest, folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    mirror.server.requests.clear()
    return mirror.cli("download", *arguments, "-o", str(folder), code=code)


def found(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def asked(mirror: MirrorOfTest) -> list[str]:
    """What content was asked for."""
    paths = (request.path for request in mirror.server.requests)
    return [path for path in paths if "/blobs/" in path or "/download/" in path]
