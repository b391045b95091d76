"""Every command of DataLad that is not `get` behaves with the extension switched on as without it."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.zarrs import a_zarr

DATES = {"GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z"}
FIRST, SECOND = "sub-0/sub-0_ses-1_ecephys.nwb", "sub-1/sub-1_ses-1_ecephys.nwb"
DONE: list[tuple[str, dict[str, Any]]] = [
    ("clone", {"source": "MIRROR", "path": "."}),
    ("subdatasets", {"dataset": "."}),
    ("install", {"path": "000123", "dataset": ".", "get_data": True}),
    ("status", {"dataset": "000123", "annex": "all"}),
    ("drop", {"dataset": "000123", "path": [f"000123/{FIRST}", "000123/sub-1", "000123/nothing"]}),
    ("run", {"dataset": ".", "cmd": f"wc -c {SECOND} >lines.nwb", "inputs": [SECOND], "outputs": ["lines.nwb"]}),
    ("save", {"dataset": "000123", "message": "mine"}),
    ("download_url", {"dataset": "000123", "urls": "URL", "path": "000123/other.nwb"}),
    ("diff", {"dataset": "000123", "fr": "HEAD~1", "to": "HEAD"}),
    ("update", {"dataset": "000123", "how": "ff-only"}),
    ("remove", {"dataset": "000123", "path": "000123/other.nwb", "reckless": "kill"}),
    ("status", {"dataset": ".", "recursive": True}),
    ("drop", {"dataset": ".", "path": "000123", "what": "all", "reckless": "kill", "recursive": True}),
]
"""Commands, by their names in Python; in one process, because each start of DataLad takes a second."""
PROGRAM = """
import contextlib, json, sys
import datalad.api
from datalad.support.annexrepo import AnnexRepo
for name, options in json.load(sys.stdin):
    if name == "save":
        open("000123/notes.nwb", "w").write("notes")
    how = {"on_failure": "ignore", "result_renderer": "disabled", "return_type": "list", "result_xfm": None}
    with contextlib.chdir("000123" if name == "run" else "."):
        found = getattr(datalad.api, name)(**options, **how)
    print(json.dumps([name, found], default=str))
print(json.dumps(["replaced", AnnexRepo.get.__module__]))
"""


@pytest.fixture
def words(archive: Archive, mirror: MirrorOfTest) -> dict[str, str]:
    """A mirror of a Dandiset with files and a Zarr; what the words in capitals stand for."""
    dandiset = seed(archive, 3)
    a_zarr(dandiset, "sub-2/img.zarr")
    dandiset.add_asset("README.md", archive.add_blob(b"# Read me\n"))
    mirror.sync()
    return {"MIRROR": str(mirror.path), "URL": f"{mirror.server.api_url}/info/"}


def done(top: Path, words: dict[str, str], *, on: bool) -> list[list[Any]]:
    """The result records of all commands, typed in an empty folder; then whose `AnnexRepo.get` it was."""
    top.mkdir()
    typed = json.dumps([
        [name, {key: words.get(value, value) if isinstance(value, str) else value for key, value in options.items()}]
        for name, options in DONE
    ])  # fmt: skip
    env = DATES | ({"DATALAD_EXTENSIONS_LOAD": "dandi_mirror"} if on else {})
    said = run(sys.executable, "-c", PROGRAM, cwd=top, env=env, stdin=typed).stdout
    return [json.loads(line.replace(str(top), "TOP")) for line in said.splitlines() if line.startswith('["')]


def test_the_other_commands_give_the_same_records_and_leave_the_same(words: dict[str, str], tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        sides = [pool.submit(done, tmp_path / name, words, on=name == "faster") for name in ("plain", "faster")]
        (*without, own), (*with_it, replaced) = (side.result() for side in sides)
    assert (own[1], replaced[1]) == ("datalad.support.annexrepo", "dandi_mirror.datalad_extension.bulk_get")
    assert [name for name, _ in without] == [name for name, _ in DONE]
    for plain, faster in zip(without, with_it, strict=True):
        assert faster == plain
    statuses = {record["status"] for _, records in without for record in records}
    assert statuses == {"ok", "error"}, "they had something to do, and something was wrong"
    assert not (tmp_path / "faster" / "000123" / ".git").exists(), "it was dropped"
