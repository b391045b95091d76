"""``get`` as its user types it, and what it reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import run


def get(folder: Path, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """The records of ``dandi-mirror get`` in a folder."""
    done = run("dandi-mirror", "get", *arguments, "-f", "json", cwd=folder, code=code, env=env)
    return [json.loads(line) for line in done.stdout.splitlines()]
