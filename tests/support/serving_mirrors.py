"""``dandi-mirror serve`` on a mirror, as its user runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import requests

from tests.conftest import MirrorOfTest


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    address: str
    """Of the API."""
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(30)


@contextmanager
def serving(mirror: MirrorOfTest, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Serving]:
    """``dandi-mirror serve``; the test may kill it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dandi_mirror", "serve", "-d", str(mirror.path), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip
    try:
        assert process.stdout
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), process.stderr and process.stderr.read()
        yield Serving(address, process)
    finally:
        process.terminate()
        assert process.wait(30) in {130, -15, -9}  # -15: before it serves
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


@contextmanager
def served(mirror: MirrorOfTest, *options: str, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of the API of ``dandi-mirror serve``."""
    with serving(mirror, *options, env=env) as found:
        yield found.address


def get(address: str, path: str, /, **parameters: str) -> object:
    """The JSON that the API answers."""
    answer = requests.get(f"{address}{path}", params=parameters, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def asset_ids(address: str) -> dict[str, str]:
    """The assets of the draft: path → id."""
    listed = get(address, "/dandisets/000123/versions/draft/assets/", page_size="100")
    return {row["path"]: row["asset_id"] for row in listed["results"]}  # type: ignore[index]
