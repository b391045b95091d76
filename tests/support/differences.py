"""Two versions that are compared, and how a test asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import MirrorOfTest, run


def ask(made: MirrorOfTest, *arguments: str, code: int = 0, cwd: Path | None = None) -> str:
    done = run("dandi-mirror", *arguments, cwd=cwd or made.path, code=code)
    assert made.server.requests == [], "the archive was not asked"
    return done.stdout if not code else done.stderr


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
