"""``dandi-mirror sync`` run in this process, as impatient as a test is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.archive.api import client
from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.archive.http.session import Session
from dandi_mirror.cli.main import cli
from dandi_mirror.errors import MirrorError

STEADY = RetryPolicy(attempts=2, backoff=0.1)
QUICK = RetryPolicy(attempts=2, backoff=0.1, read_timeout=0.5, total_timeout=1.0)
"""For faults that are a matter of time; a busy machine must not look like one elsewhere."""
PAGE = 4


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended."""

    code: int
    records: dict[str, dict[str, Any]]
    """Of each Dandiset."""
    message: str
    """What is said of the whole run, if it failed as a whole."""

    def said(self, dandiset: str) -> str:
        """What a person is told of a Dandiset."""
        record = self.records.get(dandiset, {})
        reasons = [finding["reason"] for finding in record.get("findings", [])]
        return " | ".join(filter(None, [self.message, record.get("message"), *reasons]))


def sync(mirror: Path, api_url: str, *arguments: str) -> Ran:
    """``dandi-mirror sync ARGUMENTS``: the command itself, without the half second that a process takes."""
    output, message = StringIO(), ""
    where = ["-d", str(mirror), "-i", api_url, "-f", "json"]
    with redirect_stdout(output), redirect_stderr(StringIO()):
        try:
            code = int(cli.main(["sync", *arguments, *where], prog_name="dandi-mirror", standalone_mode=False))
        except MirrorError as error:
            code, message = error.exit_code, str(error)
    records = [json.loads(line) for line in output.getvalue().splitlines()]
    return Ran(code, {record["dandiset"]: record for record in records if "dandiset" in record}, message)


@contextmanager
def impatient(patience: RetryPolicy, page: int = PAGE) -> Iterator[None]:
    """Let every session in this process try for a moment only, and every list have many pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session.__init__, "__defaults__", (None, patience))
        patch.setattr(client, "PAGE", page)
        yield
