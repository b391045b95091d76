"""The extension of DataLad: its own commands, and a plain ``datalad get`` that is the same, only faster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Dandiset
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.zarrs import a_zarr

ON = ["-c", "datalad.extensions.load=dandi_mirror"]
FIRST = "sub-0/sub-0_ses-1_ecephys.nwb"


@pytest.fixture
def dandiset(archive: Archive, mirror: MirrorOfTest) -> Dandiset:
    made = seed(archive, 6)
    made.add_asset("README.md", archive.add_blob(b"# Read me\n"))
    made.add_asset("sub-1/same.nwb", archive.add_blob(b"content 1"))
    a_zarr(made, "sub-2/img.zarr")
    lost = archive.add_blob(b"lost")
    made.add_asset("sub-5/lost.nwb", lost)
    mirror.sync()
    archive.bucket.delete(lost.key)
    mirror.server.requests.clear()
    return made


ASKED = [
    ("sub-1", "sub-0"),
    (FIRST, FIRST),
    ("README.md", "sub-3/sub-3_ses-1_ecephys.nwb"),
    ("-n", "sub-4"),
    ("-J", "2", "sub-4"),
    ("--source", "web", "sub-2/sub-2_ses-1_ecephys.nwb"),
    ("sub-5", "nothing"),
    ("sub-[34]", "sub-*/*.nwb"),
    ("-r", "sub-2"),
]


def get(clone: Path, *arguments: str, on: bool) -> list[dict[str, Any]]:
    """The result records of ``datalad get ARGUMENTS``, without what differs between two clones."""
    done = run("datalad", *(ON if on else []), "-f", "json", "get", *arguments, cwd=clone, code=None)
    records = [json.loads(line.replace(f"/{clone.name}", "/CLONE")) for line in done.stdout.splitlines()]
    return sorted(records, key=lambda record: (record.get("path", ""), record["status"]))


def test_plain_datalad_get_gives_the_same_records_with_the_extension_as_without(
    dandiset: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    for name in ("plain", "faster"):
        run("datalad", "clone", str(mirror.path / "000123"), name, cwd=tmp_path)
    for arguments in ASKED:
        without, with_it = (get(tmp_path / name, *arguments, on=name == "faster") for name in ("plain", "faster"))
        assert with_it == without, arguments
        assert arguments[0] != "sub-1" or len(without) == 5, "three files and two folders"


def test_in_another_dataset_the_extension_changes_nothing(tmp_path: Path) -> None:
    run("datalad", "create", "other", cwd=tmp_path)
    (tmp_path / "other" / "a.dat").write_bytes(b"data")
    run("datalad", "save", cwd=tmp_path / "other")
    run("datalad", "clone", "other", "clone", cwd=tmp_path)
    done = run("datalad", *ON, "-f", "json", "get", ".", cwd=tmp_path / "clone")
    statuses = [(json.loads(line)["status"], json.loads(line)["type"]) for line in done.stdout.splitlines()]
    assert ("ok", "file") in statuses and (tmp_path / "clone" / "a.dat").read_bytes() == b"data"


def test_the_two_commands_are_there_without_switching_anything_on(
    dandiset: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    typed = ["dandi-sync", "000123", "-m", str(tmp_path / "new"), "-i", mirror.server.api_url]
    done = run("datalad", "-f", "json", *typed, cwd=tmp_path)
    (record,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (record["action"], record["status"]) == ("sync", "ok")
    (tmp_path / "new" / "000123" / "sub-0").is_dir()
    done = run("datalad", "-f", "json", "dandi-get", "sub-0", cwd=tmp_path / "new" / "000123")
    (record,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (record["action"], record["status"], record["type"]) == ("get", "ok", "file")
    assert (tmp_path / "new" / "000123" / FIRST).read_bytes() == b"content 0"
    failed = run("datalad", "-f", "json", "dandi-get", "nothing", cwd=tmp_path / "new" / "000123", code=1)
    assert "there is no such file" in failed.stdout


@pytest.mark.slow
def test_git_annex_gets_nothing_where_all_came_and_is_asked_where_something_is_left(
    dandiset: Dandiset, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    run("datalad", "clone", str(mirror.path / "000123"), "clone", cwd=tmp_path)

    def traced(*arguments: str) -> str:
        trace = tmp_path / "trace"
        trace.write_text("")
        run("datalad", *ON, "get", *arguments, cwd=tmp_path / "clone", env={"GIT_TRACE": str(trace)}, code=None)
        return trace.read_text()

    first = traced("sub-1", "sub-0")
    assert "git-annex get" not in first and "git-annex find" not in first
    assert (tmp_path / "clone" / FIRST).read_bytes() == b"content 0"
    assert "git-annex find" not in traced("sub-1"), "all of it is here"
    refused = "blobs", "download"
    mirror.server.intercept = lambda asked: (
        Response(status_code=404) if any(word in asked.path for word in refused) else None
    )
    assert "git-annex get" in traced("sub-3")
