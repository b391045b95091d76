"""The official client, as a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def client() -> str:
    beside = Path(sys.executable).parent / "dandi"
    found = str(beside) if beside.exists() else shutil.which("dandi")
    if not found:
        pytest.fail("no dandi client beside the interpreter or on PATH: install the extra `test`")
    return found


def dandi(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the client with a home of its own and nothing of the caller's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    env = {**kept, "HOME": str(home), "DANDI_NO_ET": "1", "NO_PROXY": "*", "DANDI_CACHE": "ignore", **more}
    return subprocess.run(
        [client(), *arguments], env=env, cwd=home, capture_output=True, text=True, timeout=180, check=False
    )


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
