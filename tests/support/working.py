"""Clones of a small Dandiset, in which a test is at work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.demo.seed import nwb_file
from dandi_mirror.embedded import Archive, serve
from tests.conftest import MirrorOfTest, run

THERE = "sub-m0/sub-m0_ses-day1.nwb"
"""The one NWB file that the Dandiset has; its content is not in a clone."""

_MADE: dict[str, Path] = {}


@dataclass
class Working:
    """A clone, and what a test does with it."""

    path: Path
    mirror: Path

    def cli(self, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> str:
        """``dandi-mirror ARGUMENTS`` in the clone; what it prints."""
        done = run("dandi-mirror", *arguments, cwd=self.path, env=env, code=None)
        assert done.returncode == code, f"ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def json(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        """The records of a command."""
        done = run("dandi-mirror", *arguments, cwd=self.path, code=None)
        assert done.returncode == code, f"ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return [json.loads(line) for line in done.stdout.splitlines()]

    def git(self, *arguments: str) -> str:
        """What git says."""
        return run("git", "-C", str(self.path), *arguments).stdout.strip()

    def status(self) -> list[str]:
        """What git shows, file by file."""
        return self.git("status", "--porcelain", "--untracked-files=all").splitlines()


@pytest.fixture
def clone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Working]:
    """A clone of a mirror's dataset; both are made once in a run and copied for each test."""
    if "mirror" not in _MADE:
        _MADE["mirror"] = _make(tmp_path_factory.mktemp("working"))
    mirror = _MADE["mirror"]
    shutil.copytree(mirror / "clone", tmp_path / "clone", symlinks=True)
    yield Working(tmp_path / "clone", mirror / "mirror")


def _make(folder: Path) -> Path:
    archive = Archive(instance_name="DANDI", doi_prefix="10.48324")
    dandiset = archive.create_dandiset("000123", created="2024-01-02T03:04:05Z")
    dandiset.add_asset(THERE, archive.add_blob(nwb_file("m0", 1)))
    with serve(archive) as server:
        MirrorOfTest(folder / "mirror", server).sync()
    run("datalad", "clone", str(folder / "mirror" / "000123"), str(folder / "clone"))
    return folder
