"""A file under embargo, and who asked for it with a token."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from dandi_mirror.embedded import Request, Server
from tests.conftest import MirrorOfTest

FILE = "sub-0/sub-0_ses-1_ecephys.nwb"
OTHER = "sub-1/sub-1_ses-1_ecephys.nwb"
CONTENT = b"content 0"


def without_program(tmp_path: Path) -> dict[str, str]:
    """A PATH that has everything but our programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("datalad", "git-annex", "git-annex-remote-datalad", "git-annex-remote-datalad-archives"):
        where = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        assert where
        (folder / name).symlink_to(where)
    kept = [part for part in os.environ["PATH"].split(os.pathsep) if not Path(part, "git-annex-remote-dandi").exists()]
    path = os.pathsep.join([str(folder), *kept])
    assert not shutil.which("git-annex-remote-dandi", path=path)
    return {"PATH": path}


def with_token(server: Server) -> list[Request]:
    return [request for request in server.requests if "authorization" in request.headers]


def asset_id(mirror: MirrorOfTest, path: str) -> str:
    return str(next(record["asset_id"] for record in mirror.records() if record["path"] == path))
